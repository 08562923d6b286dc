"""One open task from its queue to its end: waits for a node, watches the recorder, replaces a lost one, stops it,
finishes its files."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, cast

from ray.exceptions import ActorUnavailableError, RayActorError, RayError

from egress_ray.manager.move import move
from egress_ray.manager.nodes import cluster_resources
from egress_ray.manager.office import Office, end
from egress_ray.manager.placement import missing
from egress_ray.manager.states import Event
from egress_ray.recording.job import Outcome, Renewal
from egress_ray.store import rows
from egress_ray.store.rows import Entry
from egress_ray.tasks import State, Task
from recorders.errors import RecorderError

log = logging.getLogger("egress_ray.manager")
# How long a recording that has found room may keep others from being started, while its process does.
_START_SLOT_S = 3.0
# How long a recorder that is up may take to tell its node.
_NODE_S = 5.0
# How soon a recorder that is out of sight is asked again.
_ASK_AGAIN_S = 0.2
# How long a recorder may take to tell something about itself.
_ASK_S = 3.0
# How long a recorder that has closed may take to say so.
_OUTCOME_S = 5.0


class Driver:
    """Owns all moves of one task but a stop's first; the manager has one for each open task.

    `away_s` is how long there was no manager before this one.
    """

    def __init__(self, entry: Entry, office: Office, away_s: float = 0.0) -> None:
        self.stop_asked = asyncio.Event()
        if entry.stop_asked:
            self.stop_asked.set()
        self._entry = entry
        self._away_s = away_s
        self._office = office
        self._limits = office.settings.limits
        self._attempts = office.settings.attempts
        self._lease = office.settings.lease
        self._lease_until = time.monotonic() + self._lease.expiry_s
        self._files = entry.task.files
        self._began_at: float | None = None
        self.renewal: Renewal | None = None
        self._given_up = ""
        self._beside: set[int] = set()  # attempts that record beside the present one while it moves
        self._leaving = asyncio.Event()
        self._stays = False
        self._moves = 0
        self._releases: set[asyncio.Task[None]] = set()
        self._avoid: str | None = None  # a node on which the next recorder should not be
        self._work: asyncio.Task[None] | None = None
        self.ended = asyncio.Event()

    def begin(self, ended: Callable[[], Any]) -> None:
        """Drive until the task has ended, then call `ended`."""
        self._work = asyncio.create_task(self._drive(), name=f"task {self._entry.task.task_id}")
        self._work.add_done_callback(lambda _: ended())
        self._work.add_done_callback(lambda _: self.ended.set())

    def cancel(self) -> None:
        """Leave the task as it is, for the next manager."""
        if self._work is not None:
            self._work.cancel()

    def renewed(self, renewal: Renewal) -> bool:
        """A sign of life; False when it comes from another attempt than the present one."""
        if renewal.attempt in self._beside:
            return True
        if renewal.attempt != self._entry.task.attempt or self._entry.task.state is State.ENQUEUED:
            return False
        self._lease_until = time.monotonic() + self._lease.expiry_s
        self._files = renewal.progress.files
        self.renewal = renewal
        self._began_at = renewal.progress.began_at
        return True

    def give_up(self, error: str) -> None:
        """Close the recording and end the task as FAILED."""
        self._given_up = error
        self.stop_asked.set()

    @property
    def records(self) -> bool:
        """Whether a recorder is at work on it, as far as is known."""
        return self._entry.task.state is State.PROCESSING and not self.stop_asked.is_set()

    @property
    def node_id(self) -> str | None:
        """Where it is recorded."""
        return self._entry.node_id

    def leave(self) -> None:
        """Its node will be gone soon: go on elsewhere."""
        if not self._stays:
            self._leaving.set()

    def with_progress(self, task: Task) -> Task:
        """The task with the files and the message that the recorder last told of."""
        if task.state.terminal:
            return task
        renewal = self.renewal
        told = renewal.progress.message if renewal is not None and renewal.attempt == task.attempt else ""
        return replace(task, files=self._files or task.files, message=f"{task.message} {told}".strip())

    async def _drive(self) -> None:
        try:
            while not self._entry.task.state.terminal:
                if self._entry.task.state is State.ENQUEUED:
                    actor = await self._start()
                    outcome = self._run(actor) if actor is not None else None
                else:
                    actor = self._office.find(self._entry.task)
                    outcome = self._wait(actor) if actor is not None else None
                    if actor is None:
                        await self._gone()
                if actor is not None:
                    await self._watch(actor, outcome)
        except Exception as error:  # a defect of ours: no task may be left open for it, nor its recorder
            log.exception("The driver of task %s failed", self._entry.task.task_id)
            if (actor := self._office.find(self._entry.task)) is not None:
                end(actor)
            await self._end(Event.BROKEN, error=f"The task manager failed: {error!r}.")

    async def _gone(self) -> None:
        """The task's recorder had ended before this manager began."""
        if self._away_s > self._attempts.resume_within_s and not self.stop_asked.is_set():
            await self._finish(Event.BROKEN, error=f"The service was away for {self._away_s:.0f} s.")
        else:
            await self._lost("its process was gone when the task manager came back")

    async def _start(self) -> Any | None:
        """Wait for a recorder; the actor, its task PROCESSING, or None when the task has ended or must try again."""
        if (former := self._office.find(self._entry.task)) is not None:
            end(former)  # a manager that died here had made it, but not given it its job
        await self._stopped(within=self._entry.enqueued_at - time.time())
        until = time.monotonic() + self._limits.enqueued_s - max(0.0, time.time() - self._entry.enqueued_at)
        key = self._entry.key
        attempt = await self._store(lambda connection: rows.begin_attempt(connection, key))
        if attempt is None:
            await self._leave_queue()
            return None
        self._entry = replace(self._entry, task=replace(self._entry.task, attempt=attempt))
        actor = await self._create(attempt, until)
        if actor is None:
            return None
        try:
            node = str(await asyncio.wait_for(actor.node_id.remote(), _NODE_S))
        except (RayActorError, TimeoutError) as error:
            end(actor)
            await self._lost(f"it could not start: {_line(error)}")
            return None
        claimed = await self._store(lambda connection: rows.claim(connection, key, time.time(), attempt, node))
        if claimed is None:
            end(actor)
            await self._leave_queue()
            return None
        self._entry = claimed
        self._lease_until = time.monotonic() + self._lease.expiry_s
        return actor

    async def _create(self, attempt: int, until: float) -> Any | None:
        """The actor when it is up; otherwise it is gone, and what follows has been done."""
        if (warm := await self._office.take_warm(self._entry, attempt, self._avoid)) is not None:
            self._avoid = None
            return warm
        async with self._office.starts:
            starts = await self._office.has_room(self._entry.task, self._avoid)
            actor = self._office.create(self._entry, attempt, self._avoid)
            self._avoid = None
            ready = asyncio.ensure_future(cast(Awaitable[Any], actor.__ray_ready__.remote()))
            if starts:
                await self._first(ready, within=min(_START_SLOT_S, until - time.monotonic()))
        if not ready.done():
            await self._office.warm.make_way(self._office.cost(self._entry.task))
        await self._first(ready, within=until - time.monotonic())
        if self.stop_asked.is_set():
            end(actor)
            await self._leave_queue()
            return None
        if not ready.done():
            ready.cancel()
            end(actor)
            why = missing(self._office.cost(self._entry.task), *cluster_resources(), self._limits.enqueued_s)
            finish = self._finish if self._entry.resumed else self._end
            await finish(Event.AGED_OUT, message=f"{self._entry.task.message} {why}".strip())
            return None
        try:
            ready.result()
        except RayActorError as error:
            await self._lost(f"it could not start: {_line(error)}")
            return None
        return actor

    async def _leave_queue(self) -> None:
        """The task was moved while it waited. One that was stopped and that nobody has recorded yet has ended so."""
        entry = await self._store(lambda connection: rows.get(connection, self._entry.key))
        self._entry = entry
        if entry.stop_asked:
            await self._finish(Event.STOP_ASKED)
        elif self._given_up and not entry.task.state.terminal:
            await self._finish(Event.BROKEN, error=self._given_up)

    def _run(self, actor: Any) -> Any:
        job = self._office.job(self._entry, self._entry.task.attempt)
        return actor.run.options(name=self._title).remote(job)

    def _wait(self, actor: Any) -> Any:
        return actor.wait.options(name=self._title).remote()

    @property
    def _title(self) -> str:
        """What the dashboard, and the recorder's process, say of it."""
        return f"record {self._entry.task.task_id}"

    async def _watch(self, actor: Any, reference: Any) -> None:
        """Until the recorder has ended, is lost, or is stopped."""
        killed = False
        while True:
            outcome = asyncio.ensure_future(cast(Awaitable[Outcome], reference))
            while not outcome.done() and not self.stop_asked.is_set() and self._lease_left > 0:
                await self._first(outcome, within=self._lease_left, also=self._leaving)
                if self._leaving.is_set() and (successor := await self._move(actor, outcome)) is not None:
                    actor, outcome = successor, asyncio.ensure_future(self._wait(successor))
            if not outcome.done() and self.stop_asked.is_set():
                killed = await self._stop(actor, outcome)
            dead = outcome.done() and not isinstance(outcome.exception(), ActorUnavailableError)
            if dead or killed:
                break
            if self._lease_left <= 0:
                end(actor)
                # What silenced it may have silenced its node, which Ray is slower to see.
                self._avoid = self._entry.node_id
                await self._lost(f"it gave no sign of life for {self._lease.expiry_s:g} s")
                return
            # Out of sight is not dead: it may still be writing, until its lease has run out.
            await asyncio.sleep(_ASK_AGAIN_S)
            reference = self._wait(actor)
        result = outcome.result() if dead and outcome.exception() is None else None
        if result is not None:
            await self._ended(result, actor)
        end(actor)
        if killed and result is None:
            await self._close(f"The recorder did not stop within {self._limits.stop_s:.0f} s and was killed.")
        elif result is None:
            await self._lost("its process died")

    async def _move(self, actor: Any, outcome: asyncio.Future[Outcome]) -> Any | None:
        """The recorder elsewhere that has taken over; None when none has."""
        self._leaving.clear()
        if outcome.done() or self.stop_asked.is_set():
            return None
        try:
            self._stays = not await asyncio.wait_for(actor.movable.remote(), _ASK_S)
        except (RayError, TimeoutError):
            return None
        if self._stays:
            log.warning("Task %s stays where it is: its recorder cannot hand over", self._entry.task.task_id)
            return None
        self._moves += 1
        before = self._entry.task.attempt
        attempt = before + self._moves
        if self._entry.epoch is None and self._began_at is not None:
            key, epoch = self._entry.key, self._began_at
            self._entry = await self._store(lambda connection: rows.note(connection, key, epoch=epoch))
        self._beside.add(attempt)

        def given_up() -> bool:
            return outcome.done() or self.stop_asked.is_set()

        moved = await move(self._office, self._entry, attempt, given_up)
        if moved is None:
            self._beside.discard(attempt)
            return None
        self._entry, successor, at = moved
        self._beside = {before}
        self._moves = 0
        self._lease_until = time.monotonic() + self._lease.expiry_s
        log.info("Task %s moves to another node at %.2f s", self._entry.task.task_id, at)
        task = asyncio.create_task(self._release(actor, at, before))
        self._releases.add(task)
        task.add_done_callback(self._releases.discard)
        return successor

    async def _release(self, actor: Any, at: float, attempt: int) -> None:
        """Let the predecessor write up to `at`, and go."""
        try:
            await asyncio.wait_for(actor.hand_over.remote(at), self._limits.finish_s)
        except (RayError, TimeoutError) as error:
            log.warning("Attempt %d of a task that moved has ended early: %s", attempt, type(error).__name__)
        finally:
            self._beside.discard(attempt)
            end(actor)

    @property
    def _lease_left(self) -> float:
        return self._lease_until - time.monotonic()

    async def _stop(self, actor: Any, outcome: asyncio.Future[Outcome]) -> bool:
        """Stop the recorder and let it finish its files; True when it had to be killed."""
        closed: asyncio.Future[Any] = asyncio.ensure_future(cast(Awaitable[Any], actor.stop.remote()))
        both: set[asyncio.Future[Any]] = {closed, outcome}
        await asyncio.wait(both, timeout=self._limits.stop_s, return_when=asyncio.FIRST_COMPLETED)
        if not closed.done() and not outcome.done():
            closed.cancel()
            end(actor)
            return True
        heard = not closed.done() or closed.exception() is None
        await asyncio.wait({outcome}, timeout=_OUTCOME_S if heard else _ASK_AGAIN_S)
        if heard and not outcome.done():
            end(actor)
            return True
        return False

    async def _ended(self, outcome: Outcome, actor: Any) -> None:
        if outcome.kind == "closed":
            if not self.stop_asked.is_set():
                # From now on it is finished and not resumed, whatever dies. Whoever asks for a stop notes why.
                await self._end(Event.STOP_ASKED, reason=outcome.reason)
            await self._close(self._with(outcome.message), actor)
        elif outcome.retryable or outcome.kind == "fenced":
            await self._retry(outcome.error)
        else:
            await self._finish(Event.BROKEN, actor, error=outcome.error, message=self._with(outcome.message))

    def _with(self, message: str) -> str:
        """The task's message and another one, of the recorder's last attempt."""
        return f"{self._entry.task.message} {message}".strip()

    async def _close(self, message: str, actor: Any | None = None) -> None:
        """End a task that was to end."""
        if self._given_up:
            await self._finish(Event.BROKEN, actor, error=self._given_up)
        else:
            await self._finish(Event.CLOSED, actor, **({"message": message} if message else {}))

    async def _lost(self, why: str) -> None:
        await self._retry(f"The recorder was lost: {why}.")

    async def _retry(self, error: str) -> None:
        """Back to the queue for the next attempt, while there are any left; otherwise finish what there is."""
        entry, now = self._entry, time.time()
        if self.stop_asked.is_set() and entry.task.state is not State.ENQUEUED:
            await self._close(error)
            return
        healthy = entry.claimed_at is not None and now - entry.claimed_at >= self._attempts.healthy_s
        losses = 1 if healthy else entry.losses + 1
        if losses >= self._attempts.in_a_row:
            many = f" {losses} attempts in a row were lost." if losses > 1 else ""
            await self._finish(Event.BROKEN, error=f"{error}{many}")
            return
        changes = {
            "epoch": entry.epoch if entry.epoch is not None else self._began_at,
            "enqueued_at": now + self._attempts.backoff(losses),
            "losses": losses,
            "files": list(self._files),
            "message": f"{error} Attempt {entry.task.attempt + 1} goes on.",
        }
        await self._end(Event.LOST, **changes)

    async def _finish(self, event: Event, recorder: Any | None = None, **changes: Any) -> None:
        """Finish what was recorded, then end the task. `recorder` is there when it has ended by itself."""
        try:
            done = await self._office.finish(self._entry, recorder, self._tell)
        except RecorderError as error:
            fact = str(getattr(error, "cause", error))
            error_before = changes.get("error", "")
            await self._end(Event.BROKEN, **{**changes, "error": f"{error_before} {fact}".strip(), "reason": ""})
            return
        if recorder is None:
            changes["message"] = f"{changes.get('message', '')} {done.seconds:.1f} s of media were kept.".strip()
        await self._end(event, files=list(done.files), **changes)

    async def _tell(self, why: str) -> None:
        """What finishing waits for, in the task's message."""
        key, message = self._entry.key, f"{self._entry.task.message} Finishing waits: {why}".strip()
        await self._store(lambda connection: rows.note(connection, key, message=message))

    async def _end(self, event: Event, **changes: Any) -> None:
        """Make this move. When somebody has made another meanwhile (a stop), the task is looked at again."""
        key, now = self._entry.key, time.time()
        moved = await self._store(lambda connection: rows.move(connection, key, event, now, **changes))
        if moved is None:
            moved = await self._store(lambda connection: rows.get(connection, key))
        self._entry = moved
        log.info("Task %s is %s", key.task_id, moved.task.state)

    async def _first(self, future: asyncio.Future[Any], within: float, also: asyncio.Event | None = None) -> None:
        """Wait for a future, for a stop or for another event, whichever is first."""
        events = [asyncio.ensure_future(event.wait()) for event in (self.stop_asked, also) if event is not None]
        await asyncio.wait({future, *events}, timeout=max(0.0, within), return_when=asyncio.FIRST_COMPLETED)
        for event in events:
            event.cancel()

    async def _stopped(self, within: float) -> None:
        """Wait for a stop, so long at most."""
        if within > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.stop_asked.wait(), within)

    async def _store(self, do: Callable[[Any], Any]) -> Any:
        return await self._office.store.insist(do)


def _line(error: Exception) -> str:
    """The first line of an error's text."""
    return (str(error).splitlines() or [type(error).__name__])[0]
