"""One open task from its queue to its end: waits for a node, watches the recorder, stops it, finishes its files."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, cast

from ray.exceptions import RayActorError

from egress_ray.manager.office import Office, cluster_resources, end
from egress_ray.manager.placement import missing
from egress_ray.manager.states import Event
from egress_ray.recording.job import Outcome, Renewal
from egress_ray.store import rows
from egress_ray.store.rows import Entry
from egress_ray.tasks import State, Task

log = logging.getLogger("egress_ray.manager")
# How long one recording may keep others from being started, while it waits for a node itself.
_START_SLOT_S = 3.0


class Driver:
    """Owns all moves of one task but a stop's first; the manager has one for each open task."""

    def __init__(self, entry: Entry, office: Office) -> None:
        self.stop_asked = asyncio.Event()
        if entry.task.state is State.STOPPING:
            self.stop_asked.set()
        self._entry = entry
        self._office = office
        self._limits = office.settings.limits
        self._lease = office.settings.lease
        self._lease_until = time.monotonic() + self._lease.expiry_s
        self._files = entry.task.files
        self._work: asyncio.Task[None] | None = None

    def begin(self, ended: Callable[[], Any]) -> None:
        """Drive until the task has ended, then call `ended`."""
        self._work = asyncio.create_task(self._drive(), name=f"task {self._entry.task.task_id}")
        self._work.add_done_callback(lambda _: ended())

    def cancel(self) -> None:
        """Leave the task as it is, for the next manager."""
        if self._work is not None:
            self._work.cancel()

    def renewed(self, renewal: Renewal) -> bool:
        """A sign of life; False when it comes from another attempt than the present one."""
        if renewal.attempt != self._entry.task.attempt:
            return False
        self._lease_until = time.monotonic() + self._lease.expiry_s
        self._files = renewal.progress.files
        return True

    def with_files(self, task: Task) -> Task:
        """The task with the files that the recorder last told of."""
        return task if task.state.terminal or not self._files else replace(task, files=self._files)

    async def _drive(self) -> None:
        try:
            actor: Any | None
            if self._entry.task.state is State.ENQUEUED:
                actor = await self._start()
                if actor is None:
                    return
                outcome = self._run(actor)
            else:
                actor = self._office.find(self._entry.task)
                outcome = actor.wait.remote() if actor is not None else None
            await self._watch(actor, outcome)
        except Exception as error:  # a defect of ours: no task may be left open for it
            log.exception("The driver of task %s failed", self._entry.task.task_id)
            await self._end(Event.BROKEN, error=f"The task manager failed: {error!r}.")

    async def _start(self) -> Any | None:
        """Wait for a recorder; the actor, its task PROCESSING, or None when the task has ended before."""
        key, task = self._entry.key, self._entry.task
        until = time.monotonic() + max(0.0, self._limits.enqueued_s - (time.time() - self._entry.enqueued_at))
        if (former := self._office.find(task)) is not None:
            end(former)  # a manager that died here had made it, but not given it its job
        attempt = await self._store(lambda connection: rows.begin_attempt(connection, key))
        if attempt is None:
            return None
        actor = await self._create(task, attempt, until)
        if actor is None:
            return None
        node = await self._node_of(actor)
        claimed = await self._store(
            lambda connection: rows.move(
                connection, key, Event.CLAIMED, time.time(), attempt=attempt, node_id=node, message=""
            )
        )
        if claimed is None:  # stopped meanwhile
            end(actor)
            return None
        self._entry = claimed
        self._lease_until = time.monotonic() + self._lease.expiry_s
        return actor

    async def _create(self, task: Task, attempt: int, until: float) -> Any | None:
        """The actor when it is up; otherwise the task has been ended and the actor is gone."""
        async with contextlib.AsyncExitStack() as slot:
            await slot.enter_async_context(self._office.starts)
            actor = self._office.create(task, attempt)
            ready = asyncio.ensure_future(cast(Awaitable[Any], actor.__ray_ready__.remote()))
            await self._first(ready, within=min(_START_SLOT_S, until - time.monotonic()))
        await self._first(ready, within=until - time.monotonic())
        if self.stop_asked.is_set():
            end(actor)
            return None
        if not ready.done():
            ready.cancel()
            end(actor)
            needed = self._office.cost(task)
            why = missing(needed, *cluster_resources(), self._limits.enqueued_s)
            await self._end(Event.AGED_OUT, message=why)
            return None
        try:
            ready.result()
        except RayActorError as error:
            await self._end(Event.BROKEN, error=f"The recorder could not start: {str(error).splitlines()[0]}")
            return None
        return actor

    def _run(self, actor: Any) -> Any:
        task = self._entry.task
        job = self._office.job(self._entry, task.attempt)
        return actor.run.options(name=f"record {task.task_id}").remote(job)

    async def _watch(self, actor: Any | None, reference: Any | None) -> None:
        """Until the recorder has ended, is lost, or is stopped."""
        if actor is None or reference is None:
            await self._lost("its process was gone when the task manager came back")
            return
        outcome = asyncio.ensure_future(cast(Awaitable[Outcome], reference))
        while not outcome.done() and not self.stop_asked.is_set():
            left = self._lease_until - time.monotonic()
            if left <= 0:
                end(actor)
                await self._lost(f"it gave no sign of life for {self._lease.expiry_s:.0f} s")
                return
            await self._first(outcome, within=left)
        killed = False
        if not outcome.done():
            killed = await self._stop(actor, outcome)
        try:
            result = outcome.result() if outcome.done() else None
        except RayActorError:
            result = None
        end(actor)
        if result is not None:
            await self._ended(result)
        elif killed:
            await self._finish(
                Event.CLOSED,
                message=f"The recorder did not stop within {self._limits.stop_s:.0f} s and was killed.",
                reason="user_stop",
            )
        else:
            await self._lost("its process died")

    async def _stop(self, actor: Any, outcome: asyncio.Future[Outcome]) -> bool:
        """Stop the recorder and let it finish its files; True when it had to be killed."""
        closed: asyncio.Future[Any] = asyncio.ensure_future(cast(Awaitable[Any], actor.stop.remote()))
        both: set[asyncio.Future[Any]] = {closed, outcome}
        await asyncio.wait(both, timeout=self._limits.stop_s, return_when=asyncio.FIRST_COMPLETED)
        if not closed.done() and not outcome.done():
            closed.cancel()
            end(actor)
            return True
        await asyncio.wait({outcome}, timeout=self._limits.finish_s)
        if closed.done() and not closed.cancelled():
            closed.exception()
        return not outcome.done()

    async def _ended(self, outcome: Outcome) -> None:
        if outcome.kind == "closed":
            reason = "user_stop" if self.stop_asked.is_set() else outcome.reason
            await self._end(Event.CLOSED, reason=reason, files=list(outcome.files))
        else:
            await self._end(Event.BROKEN, error=outcome.error, files=list(outcome.files))

    async def _lost(self, why: str) -> None:
        if self.stop_asked.is_set():
            await self._finish(
                Event.CLOSED, reason="user_stop", message=f"The recorder was lost while stopping: {why}."
            )
        else:
            await self._finish(Event.BROKEN, error=f"The recorder was lost: {why}.")

    async def _finish(self, event: Event, **changes: Any) -> None:
        """Finish what a recorder left behind, then end the task."""
        try:
            done = await self._office.finish(self._entry)
        except Exception as error:
            log.exception("Files of task %s could not be finished", self._entry.task.task_id)
            changes["error"] = f"{changes.get('error', '')} Its files could not be finished: {error!r}.".strip()
            await self._end(Event.BROKEN, **{**changes, "reason": ""})
            return
        changes["message"] = f"{changes.get('message', '')} {done.seconds:.1f} s of media were kept.".strip()
        await self._end(event, files=list(done.files), **changes)

    async def _end(self, event: Event, **changes: Any) -> None:
        key = self._entry.key
        now = time.time()
        moved = await self._store(lambda connection: rows.move(connection, key, event, now, **changes))
        if moved is None and event is Event.AGED_OUT:
            return  # stopped in the same moment
        if moved is not None:
            self._entry = moved
            log.info("Task %s is %s", key.task_id, moved.task.state)

    async def _first(self, future: asyncio.Future[Any], within: float) -> None:
        """Wait for a future or for a stop, whichever is first."""
        stop = asyncio.ensure_future(self.stop_asked.wait())
        await asyncio.wait({future, stop}, timeout=max(0.0, within), return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()

    async def _node_of(self, actor: Any) -> str:
        return str(await asyncio.wait_for(actor.node_id.remote(), 5))

    async def _store(self, do: Callable[[Any], Any]) -> Any:
        return await self._office.store.run(do)
