"""Deleting tasks that ended long ago, and their files."""

from __future__ import annotations

import logging
import time

from sqlalchemy import Connection

from egress_ray.manager.office import Office
from egress_ray.manager.rounds import again_and_again
from egress_ray.settings import RetentionSettings
from egress_ray.store import rows
from egress_ray.store.rows import Entry
from recorders.errors import RecorderError

log = logging.getLogger("egress_ray.manager")
_EACH_S = 60.0
_DAY_S = 86400.0
_AT_ONCE = 100
# So many that cannot be deleted one after another, and it is the store that is away.
_FAILURES = 3


async def run(office: Office, settings: RetentionSettings) -> None:
    """Until cancelled."""
    await again_and_again(_EACH_S, "delete what is old", lambda: tidy(office, settings, time.time()))


async def tidy(office: Office, settings: RetentionSettings, now: float) -> None:
    """Delete what is older than it may be at `now` (Unix seconds)."""
    if settings.files_days is not None:
        await _delete_old(office, now - settings.files_days * _DAY_S)
    if settings.tasks_days is not None:
        oldest, files_stay = now - settings.tasks_days * _DAY_S, settings.files_days is None
        await office.store.insist(lambda connection: rows.forget(connection, oldest, filed_too=files_stay))


async def _delete_old(office: Office, ended_before: float) -> None:
    """The files of all tasks that ended before then (Unix seconds), unless the store is away."""
    kept = in_a_row = 0  # that could not be deleted now

    def next_few(connection: Connection) -> list[Entry]:
        return rows.with_old_files(connection, ended_before, _AT_ONCE, kept)

    while entries := await office.store.insist(next_few):
        for entry in entries:
            if await _delete_files(office, entry):
                in_a_row = 0
                continue
            kept, in_a_row = kept + 1, in_a_row + 1
            if in_a_row == _FAILURES:
                return


async def _delete_files(office: Office, entry: Entry) -> bool:
    """Whether they are gone."""
    task = entry.task
    try:
        await office.delete_files(task)
    except RecorderError as error:
        log.warning("Files of task %s are old and could not be deleted: %s", task.task_id, error)
        return False
    log.info("Files of task %s were deleted for their age", task.task_id)
    await office.store.insist(lambda connection: rows.note(connection, entry.key, files=[], filed=False))
    return True
