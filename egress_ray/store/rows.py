"""What can be asked of the tasks table and done to it; each function is part of its caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, and_, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from egress_ray.manager.states import Event, sources, target
from egress_ray.store.schema import managers, tasks
from egress_ray.tasks import ChannelTaken, NewTask, Page, RequestConflict, State, Task

OPEN = (State.ENQUEUED, State.PROCESSING, State.STOPPING)
_LIVE = (State.ENQUEUED, State.PROCESSING)
ENDED = (State.STOPPED, State.FAILED, State.TIMEOUT)


@dataclass(frozen=True, slots=True)
class Key:
    """Which task: unique in the store."""

    app_id: str
    task_id: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A task with what only the manager needs (`egress_ray.store.schema` tells what it is). `token` is encrypted."""

    task: Task
    enqueued_at: float
    node_id: str | None
    token: bytes | None
    claimed_at: float | None = None
    losses: int = 0
    epoch: float | None = None

    @property
    def key(self) -> Key:
        return Key(self.task.app_id, self.task.task_id)

    @property
    def resumed(self) -> bool:
        """Whether there has been a recorder, so that there may be something recorded."""
        return self.claimed_at is not None

    @property
    def stop_asked(self) -> bool:
        """Whether it is to end: somebody wants it, or it has come to its end by itself."""
        asked = self.task.action == "stop" or self.task.state is State.STOPPING
        return asked and not self.task.state.terminal


def add(
    connection: Connection, new: NewTask, token: bytes | None, now: float
) -> Entry | RequestConflict | ChannelTaken:
    """Enter a task as ENQUEUED, or answer with the one that has its request id already, or its channel to itself."""
    values: dict[str, Any] = {
        "app_id": new.app_id,
        "task_id": new.task_id,
        "request_id": new.request_id,
        "fingerprint": new.fingerprint,
        "cmd": new.cmd,
        "state": State.ENQUEUED,
        "action": "start",
        "created_at": now,
        "updated_at": now,
        "enqueued_at": now,
        "payload": new.payload,
        "channel": new.payload.get("channel"),
        "access_token": token,
        "error": "",
        "message": "",
        "reason": "",
        "attempt": 0,
        "losses": 0,
        "files": [],
        "filed": True,
    }
    going_on = tasks.c.state.in_(_LIVE), tasks.c.action != "stop"
    other = _first_of(connection, new.app_id, new.payload["channel"], *going_on) if new.alone else None
    if other is not None and not requested(connection, new.app_id, new.request_id):
        return ChannelTaken(other.task.task_id)
    try:
        with connection.begin_nested():
            connection.execute(insert(tasks).values(values))
    except IntegrityError:
        same = and_(tasks.c.app_id == new.app_id, tasks.c.request_id == new.request_id)
        row = connection.execute(select(tasks).where(same)).one_or_none()
        if row is None:
            raise
        return _entry(row) if row.fingerprint == new.fingerprint else RequestConflict(row.task_id)
    entry = get(connection, Key(new.app_id, new.task_id))
    assert entry is not None
    return entry


def get(connection: Connection, key: Key) -> Entry | None:
    """One task."""
    row = connection.execute(select(tasks).where(_is(key))).one_or_none()
    return None if row is None else _entry(row)


def open_tasks(connection: Connection) -> list[Entry]:
    """All tasks that have not ended, oldest first."""
    rows = connection.execute(select(tasks).where(tasks.c.state.in_(OPEN)).order_by(tasks.c.number))
    return [_entry(row) for row in rows]


def page(
    connection: Connection, app_id: str, state: State | None, cmd: str | None, limit: int, before: int | None
) -> Page:
    """An app's tasks, newest first, those entered before number `before`."""
    query = select(tasks).where(tasks.c.app_id == app_id).order_by(tasks.c.number.desc()).limit(limit + 1)
    if state is not None:
        query = query.where(tasks.c.state == state)
    if cmd is not None:
        query = query.where(tasks.c.cmd == cmd)
    if before is not None:
        query = query.where(tasks.c.number < before)
    rows = connection.execute(query).all()
    cursor = str(rows[limit - 1].number) if len(rows) > limit else None
    return Page(tuple(_entry(row).task for row in rows[:limit]), cursor)


def recorded_now(connection: Connection, app_id: str, channel: str) -> Entry | None:
    """The oldest task that is recording a channel."""
    return _first_of(connection, app_id, channel, tasks.c.state == State.PROCESSING)


def begin_attempt(connection: Connection, key: Key) -> int | None:
    """Take the next attempt number of a task that is still ENQUEUED and to be recorded; None when it is not."""
    done = connection.execute(
        update(tasks)
        .where(_is(key), tasks.c.state == State.ENQUEUED, tasks.c.action != "stop")
        .values(attempt=tasks.c.attempt + 1)
        .returning(tasks.c.attempt)
    ).one_or_none()
    return None if done is None else int(done.attempt)


def claim(connection: Connection, key: Key, now: float, attempt: int, node_id: str) -> Entry | None:
    """An attempt's recorder is up: PROCESSING; None when the task is not waiting for it any more."""
    entry = get(connection, key)
    if entry is None or entry.stop_asked:
        return None
    return move(connection, key, Event.CLAIMED, now, attempt=attempt, node_id=node_id, claimed_at=now)


def hand_over(connection: Connection, key: Key, now: float, attempts: tuple[int, int], node_id: str) -> Entry | None:
    """From one attempt's recorder to another's, both of which are up; None when the first is not the present one."""
    before, after = attempts
    changed = connection.execute(
        update(tasks)
        .where(_is(key), tasks.c.state == State.PROCESSING, tasks.c.attempt == before)
        .values(attempt=after, node_id=node_id, claimed_at=now, updated_at=now)
    )
    return get(connection, key) if changed.rowcount else None


def ask_stop(connection: Connection, key: Key, now: float, reason: str = "user_stop") -> Entry | None:
    """Note that the task is to end; None when it is unknown, has ended or is ending.

    One that waits for its next recorder stays ENQUEUED until what was recorded is finished.
    """
    entry = get(connection, key)
    if entry is None:
        return None
    asked: dict[str, Any] = {"action": "stop", "reason": reason}
    if entry.task.state is not State.ENQUEUED or not entry.resumed:
        return move(connection, key, Event.STOP_ASKED, now, **asked)
    if entry.stop_asked:
        return None
    connection.execute(update(tasks).where(_is(key)).values(updated_at=now, **asked))
    return get(connection, key)


def move(
    connection: Connection,
    key: Key,
    event: Event,
    now: float,
    *,
    attempt: int | None = None,
    **changes: Any,
) -> Entry | None:
    """Apply an event to a task by the one table; None when it means nothing in the task's state (any more), or
    comes from another attempt than the present one. A task that ends gives up its token."""
    allowed: list[Any] = [tasks.c.state.in_(sources(event))]
    if attempt is not None:
        allowed.append(tasks.c.attempt == attempt)
    row = connection.execute(select(tasks.c.state).where(_is(key), *allowed)).one_or_none()
    if row is None:
        return None
    state = target(State(row.state), event)
    assert state is not None
    values = {"state": state, "updated_at": now, **changes}
    if state.terminal:
        values["access_token"] = None
    connection.execute(update(tasks).where(_is(key)).values(values))
    return get(connection, key)


def note(connection: Connection, key: Key, **changes: Any) -> Entry | None:
    """Keep something about a task that is not its state: `epoch`, `message`, `files`."""
    connection.execute(update(tasks).where(_is(key)).values(changes))
    return get(connection, key)


def requested(connection: Connection, app_id: str, request_id: str) -> bool:
    """Whether a start with this request id has been accepted."""
    query = select(tasks.c.number).where(tasks.c.app_id == app_id, tasks.c.request_id == request_id)
    return connection.execute(query).one_or_none() is not None


def with_old_files(connection: Connection, before: float, limit: int, offset: int = 0) -> list[Entry]:
    """Tasks that ended before then (Unix seconds) and have files still, oldest first; without so many at first."""
    query = select(tasks).where(tasks.c.state.in_(ENDED), tasks.c.updated_at < before, tasks.c.filed)
    return [_entry(row) for row in connection.execute(query.order_by(tasks.c.number).limit(limit).offset(offset))]


def forget(connection: Connection, before: float, *, filed_too: bool) -> int:
    """Delete tasks that ended before then (Unix seconds), perhaps those that have files still, too; how many."""
    old = delete(tasks).where(tasks.c.state.in_(ENDED), tasks.c.updated_at < before)
    return int(connection.execute(old if filed_too else old.where(~tasks.c.filed)).rowcount)


def beat(connection: Connection, now: float) -> float | None:
    """Note that a manager is alive; when one was the last time (Unix seconds), None before the first."""
    before = connection.execute(select(managers.c.alive_at)).scalar_one_or_none()
    change = insert(managers) if before is None else update(managers)
    connection.execute(change.values(number=1, alive_at=now))
    return before


def _first_of(connection: Connection, app_id: str, channel: str, *which: Any) -> Entry | None:
    """The oldest such of an app's tasks for a channel."""
    query = select(tasks).where(tasks.c.app_id == app_id, tasks.c.channel == channel, *which)
    row = connection.execute(query.order_by(tasks.c.number).limit(1)).one_or_none()
    return None if row is None else _entry(row)


def _is(key: Key) -> Any:
    return and_(tasks.c.app_id == key.app_id, tasks.c.task_id == key.task_id)


def _entry(row: Row[Any]) -> Entry:
    files: Sequence[str] = row.files
    task = Task(
        app_id=row.app_id,
        task_id=row.task_id,
        request_id=row.request_id,
        cmd=row.cmd,
        state=State(row.state),
        action=row.action,
        created_at=datetime.fromtimestamp(row.created_at, UTC),
        payload=row.payload,
        error=row.error,
        message=row.message,
        reason=row.reason,
        attempt=row.attempt,
        files=tuple(files),
    )
    return Entry(task, row.enqueued_at, row.node_id, row.access_token, row.claimed_at, row.losses, row.epoch)
