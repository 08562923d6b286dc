"""What happens to tasks: accepts, stops, finds and recovers them. Each open task has a driver (`driver`)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from dataclasses import replace
from typing import Any

from egress_ray.manager import retention
from egress_ray.manager.driver import Driver
from egress_ray.manager.nodes import leaving_nodes
from egress_ray.manager.office import Office
from egress_ray.manager.room import Room
from egress_ray.manager.rounds import again_and_again
from egress_ray.manager.spools import Spools
from egress_ray.manager.version import code_version
from egress_ray.manager.warm import Warm
from egress_ray.recording.job import Renewal, recording_name
from egress_ray.secrets import open_vault
from egress_ray.settings import RetentionSettings, load
from egress_ray.store import rows
from egress_ray.store.rows import Entry, Key
from egress_ray.store.store import TaskStore
from egress_ray.tasks import NewTask, Page, Refusal, Started, State, Task
from recorders.errors import RecorderError

log = logging.getLogger("egress_ray.manager")
_SWEEP_S = 10.0
# How soon a node that is being drained is seen.
_LEAVING_S = 1.0


class Dispatcher:
    """The work of the task manager. `args` are the settings without secrets; those come from the environment.

    Every public method may be called again with the same effect, and must not be cancelled half-way.
    """

    def __init__(self, args: dict[str, Any]) -> None:
        settings = load(args)
        store = TaskStore(settings.store_url)
        self._version = code_version(args)
        self._warm = Warm(settings, self._version)
        self._office = Office(settings, store, open_vault(settings.secret_key, settings.data_path), self._warm)
        self._store = store
        self._drivers: dict[Key, Driver] = {}
        self._accepting = True
        self._retired = False
        self._adopted = False
        self._recovered = asyncio.Event()
        self._room = Room(settings.disk, time.monotonic)
        stored = settings.storage.url is not None
        spools = Spools(str(settings.data_path), stored, self._room, self._settle_late)
        loop = asyncio.get_event_loop()
        works = (
            again_and_again(_SWEEP_S, "look for open tasks", self._sweep),
            again_and_again(_LEAVING_S, "clear the nodes that will be gone", self._clear_leaving_nodes),
            spools.run(),
            self._keep_warm(),
        )
        self._sweepers = [loop.create_task(each) for each in works]
        if settings.retention != RetentionSettings():
            self._sweepers.append(loop.create_task(retention.run(self._office, settings.retention)))

    async def _sweep(self) -> None:
        """Take up every open task that has no driver, from the store alone: all of them at first, and later those
        whose start was in the store before its answer got lost."""
        if self._recovered.is_set():
            await self._warm.end_unclaimed()
        elif not self._adopted:
            await self._warm.adopt()
            self._adopted = True
        if not self._accepting:
            return
        before = await self._store.insist(lambda connection: rows.beat(connection, time.time()))
        away_s = 0.0 if before is None or self._recovered.is_set() else time.time() - before
        for entry in await self._store.insist(rows.open_tasks):
            self._drive(entry, away_s)
        self._recovered.set()

    async def _clear_leaving_nodes(self) -> None:
        """Recordings leave nodes that are being drained."""
        leaving = await leaving_nodes()
        await self._warm.leaving(leaving)
        for driver in self._drivers.values():
            if driver.node_id in leaving:
                driver.leave()

    async def _keep_warm(self) -> None:
        await self._recovered.wait()
        await self._warm.run()

    async def start(self, new: NewTask) -> Started:
        """Accept a task durably, or answer with the one that has this request id already, or why none can be had."""
        if not self._accepting:
            raise RuntimeError("This task manager is being replaced.")
        if (refusal := self._room.refusal()) is not None:
            known = await self._store.run(lambda connection: rows.requested(connection, new.app_id, new.request_id))
            if not known:
                return Refusal(refusal)
        token = self._office.vault.encrypt(new.access_token) if new.access_token is not None else None
        added = await self._store.run(lambda connection: rows.add(connection, new, token, time.time()))
        if not isinstance(added, Entry):
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
            return None if entry is None else (self._with_progress(entry.task), entry.task.state.terminal)
        driver = self._drivers.get(key)
        if driver is not None:
            driver.stop_asked.set()
        return self._with_progress(changed.task), False

    async def task(self, app_id: str, task_id: str) -> Task | None:
        """The task, or None when this app has no such task."""
        key = Key(app_id, task_id)
        entry = await self._store.run(lambda connection: rows.get(connection, key))
        return None if entry is None else self._with_progress(entry.task)

    async def tasks(self, app_id: str, state: State | None, cmd: str | None, limit: int, cursor: str | None) -> Page:
        """This app's tasks, newest first."""
        before = int(cursor) if cursor is not None else None
        page = await self._store.run(lambda connection: rows.page(connection, app_id, state, cmd, limit, before))
        return replace(page, tasks=tuple(self._with_progress(task) for task in page.tasks))

    async def recording_of(self, app_id: str, channel: str) -> str | None:
        """The name of the live `Recording` actor whose channel this is; None without."""
        entry = await self._store.run(lambda connection: rows.recorded_now(connection, app_id, channel))
        return None if entry is None else recording_name(app_id, entry.task.task_id, entry.task.attempt)

    async def renew(self, renewal: Renewal) -> bool:
        """A recorder's sign of life; False tells it that its lease is not its own any more."""
        if self._retired or not self._recovered.is_set():
            return True  # nothing is given away meanwhile, and by the next manager only after a whole lease
        driver = self._drivers.get(Key(renewal.app_id, renewal.task_id))
        if driver is None or not driver.renewed(renewal):
            return False
        if driver.node_id is not None:
            self._room.seen(driver.node_id, renewal.free_mb)
            self._make_room(driver.node_id)
        return True

    def _make_room(self, node: str) -> None:
        """End a recording of a node whose disk is nearly full."""
        there = {
            key: driver.renewal
            for key, driver in self._drivers.items()
            if driver.node_id == node and driver.renewal is not None and driver.records
        }
        victim = self._room.victim(node, there)
        if victim is not None:
            free = there[victim].free_mb
            log.error("Task %s is ended: the disk of its node has %.0f MB free", victim.task_id, free)
            self._drivers[victim].give_up(f"The disk of its node was nearly full: {free:.0f} MB were free.")

    async def _settle_late(self, key: Key, node: str) -> None:
        """Add what a node has put into the store after the task had ended."""
        entry = await self._store.insist(lambda connection: rows.get(connection, key))
        if entry is None or not entry.task.state.terminal:
            return
        try:
            done = await self._office.finish(replace(entry, node_id=node), None, _told)
        except RecorderError as error:
            log.warning("Late files of task %s are not in their place: %s", key.task_id, error)
            return
        message = f"{entry.task.message} Files that came late were added: {done.seconds:.1f} s in all.".strip()
        files = list(done.files)
        await self._store.insist(lambda connection: rows.note(connection, key, message=message, files=files))

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
        await self._warm.close()
        await asyncio.gather(*(self.stop(key.app_id, key.task_id, "shutdown") for key in list(self._drivers)))
        at_work = [driver.ended.wait() for driver in self._drivers.values()]
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.gather(*at_work), within_s)
        return len(self._drivers)

    def retire(self) -> None:
        """Accept nothing more, and leave the open tasks as they are."""
        self._accepting = False
        self._retired = True
        for sweeper in self._sweepers:
            sweeper.cancel()
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

    def _with_progress(self, task: Task) -> Task:
        """A task with what its recorder told of since the store was written."""
        driver = self._drivers.get(Key(task.app_id, task.task_id))
        return task if driver is None else driver.with_progress(task)


async def _told(why: str) -> None:
    """Nobody waits for it."""
