"""Keeping a recorder's lease: renewed at the task manager, and without it the process ends before another may begin."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from typing import Any

import ray
import ray._private.state
from ray.exceptions import RayError

from egress_ray.names import MANAGER
from egress_ray.recording.job import Renewal
from recorders.lease import Lease, now

log = logging.getLogger("egress_ray.recording")
# How long one call may take, until it is looked at why.
_CALL_S = 1.0
_AGAIN_S = 0.3


async def keep(
    lease: Lease, renew_s: float, expiry_s: float, namespace: str, sign: Callable[[], Awaitable[Renewal]]
) -> None:
    """Renew until cancelled. This process ends when the lease is refused or has run out.

    While Ray's control store says that there is no manager, nobody can give the recording away, and the manager that
    comes next leaves it for a whole lease from its own beginning: so that much is granted by its absence, too.
    """
    lease.renew(now() + expiry_s)
    manager: Any = None
    while True:
        asked = now()
        try:
            manager = ray.get_actor(MANAGER, namespace=namespace)
            granted: bool = await asyncio.wait_for(manager.renew.remote(await sign()), min(_CALL_S, _left(lease)))
            if not granted:
                log.error("The lease was refused: another attempt has taken over")
                os._exit(1)
            lease.renew(asked + expiry_s)
        except (RayError, ValueError, TimeoutError) as error:
            if manager is not None and await _away(manager, _left(lease)):
                lease.renew(asked + expiry_s)
            else:
                log.warning("The lease could not be renewed: %s", type(error).__name__)
                if lease.left <= 0:
                    log.error("The lease has run out")
                    os._exit(1)
                await asyncio.sleep(min(_AGAIN_S, _left(lease)))
                continue
        await asyncio.sleep(min(renew_s, _left(lease)))


def _left(lease: Lease) -> float:
    return max(0.05, lease.left)


async def _away(manager: Any, within_s: float) -> bool:
    """Whether the control store says that this manager is not there; False when it says nothing."""
    try:
        actor_id = manager._actor_id.hex()
        told = await asyncio.wait_for(asyncio.to_thread(ray._private.state.actors, actor_id), min(_CALL_S, within_s))
    except Exception as error:  # its connection's errors are not documented
        log.warning("The control store does not tell of the task manager: %s", type(error).__name__)
        return False
    return told.get("State") in ("RESTARTING", "DEAD", "PENDING_CREATION", "DEPENDENCIES_UNREADY")
