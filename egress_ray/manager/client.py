"""How everybody else reaches the task manager: one actor, made when missing, replaced when its code is older."""

from __future__ import annotations

import asyncio
from typing import Any

import ray
from ray.exceptions import RayActorError

from egress_ray.manager.actor import TaskManager
from egress_ray.manager.version import code_version
from egress_ray.names import MANAGER, ON_HEAD
from egress_ray.settings import Settings

_TRIES = 5
_RETIRE_S = 15.0
_CALLS_AT_ONCE = 10_000


async def get_manager(settings: Settings) -> Any:
    """The handle of the task manager. Raises RayActorError when it cannot be had."""
    wanted = code_version(settings.without_secrets())
    for left in reversed(range(_TRIES)):
        handle = present_manager(settings)
        try:
            if await handle.version.remote() == wanted:
                return handle
            await asyncio.wait_for(handle.retire.remote(), _RETIRE_S)
            ray.kill(handle)
        except (RayActorError, TimeoutError):  # a dying one may be found for a moment (ray#44083)
            if not left:
                raise
            await asyncio.sleep(0.2)
    raise TimeoutError("The task manager of another version could not be replaced.")


def present_manager(settings: Settings) -> Any:
    """The handle of the task manager of whichever version; one of this version is made when there is none."""
    return (
        ray.remote(TaskManager)
        .options(
            name=MANAGER,
            namespace=settings.namespace,
            lifetime="detached",
            get_if_exists=True,
            max_restarts=-1,
            max_task_retries=-1,
            num_cpus=0,
            resources=ON_HEAD,
            max_concurrency=_CALLS_AT_ONCE,
        )
        .remote(settings.without_secrets())
    )
