"""Moving a live recording to another node, make before break: the successor records already when the other ends."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, cast

from ray.exceptions import RayError

from egress_ray.manager.office import Office, end
from egress_ray.store import rows
from egress_ray.store.rows import Entry

log = logging.getLogger("egress_ray.manager")
# How long a successor may take to be up, before and after room is made for it, and to record.
_ROOM_S, _UP_S, _RECORDS_S = 3.0, 30.0, 30.0
# From when the successor is asked to write: the predecessor must have been told before.
_AHEAD_S = 1.0
_CALL_S = 5.0
_LOOK_S = 0.2


async def move(
    office: Office, entry: Entry, attempt: int, given_up: Callable[[], bool]
) -> tuple[Entry, Any, float] | None:
    """Start a recorder elsewhere and make it the task's: the task as it is now, its actor, and from which media second
    on it writes. None when it cannot be, or is given up; then all is as before.

    The caller lets the predecessor write up to there.
    """
    successor = office.create(entry, attempt, entry.node_id)
    try:
        moved = await _take_over(office, entry, successor, attempt, given_up)
    except (RayError, TimeoutError, OSError, ValueError) as error:
        log.warning("Task %s could not be moved: %s", entry.task.task_id, type(error).__name__)
        moved = None
    if moved is None:
        end(successor)
        return None
    return (moved[0], successor, moved[1])


async def _take_over(
    office: Office, entry: Entry, successor: Any, attempt: int, given_up: Callable[[], bool]
) -> tuple[Entry, float] | None:
    up = asyncio.ensure_future(cast(Awaitable[Any], successor.__ray_ready__.remote()))
    await asyncio.wait({up}, timeout=_ROOM_S)
    if not up.done():
        await office.warm.make_way(office.cost(entry.task))
    await asyncio.wait_for(up, _UP_S)
    node = str(await asyncio.wait_for(successor.node_id.remote(), _CALL_S))
    job = office.job(entry, attempt, standby=True)
    run = asyncio.ensure_future(successor.run.options(name=f"record {entry.task.task_id}").remote(job))
    limit = time.monotonic() + _RECORDS_S
    at: float | None = None
    while at is None:
        if given_up() or run.done() or time.monotonic() > limit:
            return None
        await asyncio.sleep(_LOOK_S)
        if (await asyncio.wait_for(successor.progress.remote(), _CALL_S)).first_frame_at is not None:
            at = await asyncio.wait_for(successor.take_over.remote(time.time() + _AHEAD_S), _CALL_S)
    now, attempts = time.time(), (entry.task.attempt, attempt)
    moved = await office.store.insist(lambda connection: rows.hand_over(connection, entry.key, now, attempts, node))
    return None if moved is None else (moved, at)
