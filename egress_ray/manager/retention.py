"""Deleting tasks that ended long ago, and their files."""

from __future__ import annotations

import asyncio
import logging
import time

from egress_ray.manager.office import Office
from egress_ray.settings import RetentionSettings
from egress_ray.store import rows
from egress_ray.store.rows import Entry
from recorders.errors import RecorderError

log = logging.getLogger("egress_ray.manager")
_EACH_S = 60.0
_DAY_S = 86400.0
_AT_ONCE = 100


async def run(office: Office, settings: RetentionSettings) -> None:
    """Until cancelled."""
    while True:
        await tidy(office, settings, time.time())
        await asyncio.sleep(_EACH_S)


async def tidy(office: Office, settings: RetentionSettings, now: float) -> None:
    """Delete what is older than it may be at `now` (Unix seconds)."""
    if settings.files_days is not None:
        ended_before = now - settings.files_days * _DAY_S
        for entry in await office.store.insist(
            lambda connection: rows.with_old_files(connection, ended_before, _AT_ONCE)
        ):
            await _delete_files(office, entry)
    if settings.tasks_days is not None:
        oldest = now - settings.tasks_days * _DAY_S
        await office.store.insist(lambda connection: rows.forget(connection, oldest))


async def _delete_files(office: Office, entry: Entry) -> None:
    task = entry.task
    try:
        await office.delete_files(task)
    except RecorderError as error:
        log.warning("Files of task %s are old and could not be deleted: %s", task.task_id, error)
        return
    log.info("Files of task %s were deleted for their age", task.task_id)
    await office.store.insist(lambda connection: rows.note(connection, entry.key, files=[], filed=False))
