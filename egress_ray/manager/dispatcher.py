"""What happens to tasks: accepts, stops, finds and recovers them. Each open task has a driver (`driver`)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import Any

from egress_ray.manager.driver import Driver
from egress_ray.manager.office import Office
from egress_ray.manager.version import code_version
from egress_ray.recording.job import Renewal, recording_name
from egress_ray.secrets import open_vault
from egress_ray.settings import load
from egress_ray.store import rows
from egress_ray.store.rows import Entry, Key
from egress_ray.store.store import TaskStore
from egress_ray.tasks import NewTask, Page, RequestConflict, State, Task

log = logging.getLogger("egress_ray.manager")
_SWEEP_S = 10.0


class Dispatcher:
    """The work of the task manager. `args` are the settings without secrets; those come from the environment.

    Every public method may be called again with the same effect, and must not be cancelled half-way.
    """

    def __init__(self, args: dict[str, Any]) -> None:
        settings = load(args)
        store = TaskStore(settings.store_url)
        self._office = Office(settings, store, open_vault(settings.secret_key, settings.data_path))
        self._store = store
        self._drivers: dict[Key, Driver] = {}
        self._version = code_version(args)
        self._accepting = True
        self._recovered = asyncio.Event()
        self._sweeper = asyncio.get_event_loop().create_task(self._sweep())

    async def _sweep(self) -> None:
        """Take up every open task that has no driver, from the store alone: all of them at first, and later those
        whose start was in the store before its answer got lost."""
        while self._accepting:
            before = await self._store.insist(lambda connection: rows.beat(connection, time.time()))
            away_s = 0.0 if before is None or self._recovered.is_set() else time.time() - before
            for entry in await self._store.insist(rows.open_tasks):
                self._drive(entry, away_s)
            self._recovered.set()
            await asyncio.sleep(_SWEEP_S)

    async def start(self, new: NewTask) -> Task | RequestConflict:
        """Accept a task durably, or answer with the one that has this request id already."""
        if not self._accepting:
            raise RuntimeError("This task manager is being replaced.")
        token = self._office.vault.encrypt(new.access_token) if new.access_token is not None else None
        added = await self._store.run(lambda connection: rows.add(connection, new, token, time.time()))
        if isinstance(added, RequestConflict):
            return added
        if added.task.state is State.ENQUEUED:
            self._drive(added)
        return added.task

    async def stop(self, app_id: str, task_id: str, reason: str = "user_stop") -> tuple[Task, bool] | None:
        """Ask for a stop. The task, and whether it had ended before; None when this app has no such task."""
        key = Key(app_id, task_id)
        changed = await self._store.run(lambda connection: rows.ask_stop(connection, key, time.time(), reason))
        if changed is None:
            entry = await self._store.run(lambda connection: rows.get(connection, key))
            return None if entry is None else (self._seen(entry), entry.task.state.terminal)
        driver = self._drivers.get(key)
        if driver is not None:
            driver.stop_asked.set()
        return self._seen(changed), False

    async def task(self, app_id: str, task_id: str) -> Task | None:
        """The task, or None when this app has no such task."""
        key = Key(app_id, task_id)
        entry = await self._store.run(lambda connection: rows.get(connection, key))
        return None if entry is None else self._seen(entry)

    async def tasks(self, app_id: str, state: State | None, cmd: str | None, limit: int, cursor: str | None) -> Page:
        """This app's tasks, newest first."""
        before = int(cursor) if cursor is not None else None
        return await self._store.run(lambda connection: rows.page(connection, app_id, state, cmd, limit, before))

    async def recording_of(self, app_id: str, channel: str) -> str | None:
        """The name of the live `Recording` actor whose channel this is; None without."""
        entry = await self._store.run(lambda connection: rows.recorded_now(connection, app_id, channel))
        return None if entry is None else recording_name(app_id, entry.task.task_id, entry.task.attempt)

    async def renew(self, renewal: Renewal) -> bool:
        """A recorder's sign of life; False tells it that its lease is not its own any more."""
        await self._recovered.wait()
        driver = self._drivers.get(Key(renewal.app_id, renewal.task_id))
        return driver is not None and driver.renewed(renewal)

    @property
    def version(self) -> str:
        """The code and settings that this manager runs."""
        return self._version

    async def ready(self) -> None:
        """Returns when the store can be written; raises when not."""
        await self._recovered.wait()
        await self._store.run(lambda connection: None)

    async def shut_down(self, within_s: float) -> int:
        """Accept nothing more and stop every task (reason "shutdown"); how many were still open at the end."""
        self._accepting = False
        await asyncio.gather(*(self.stop(key.app_id, key.task_id, "shutdown") for key in list(self._drivers)))
        at_work = [driver.ended.wait() for driver in self._drivers.values()]
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.gather(*at_work), within_s)
        return len(self._drivers)

    def retire(self) -> None:
        """Accept nothing more, and leave the open tasks as they are."""
        self._accepting = False
        self._sweeper.cancel()
        for driver in self._drivers.values():
            driver.cancel()

    async def close(self) -> None:
        """Close the store."""
        await asyncio.to_thread(self._store.close)

    def _drive(self, entry: Entry, away_s: float = 0.0) -> None:
        if entry.key in self._drivers or not self._accepting:
            return
        driver = Driver(entry, self._office, away_s)
        self._drivers[entry.key] = driver
        driver.begin(lambda: self._drivers.pop(entry.key, None))

    def _seen(self, entry: Entry) -> Task:
        """A task with the files that its recorder told of since the store was written."""
        driver = self._drivers.get(entry.key)
        return entry.task if driver is None else driver.with_files(entry.task)
