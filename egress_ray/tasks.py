"""A task as everybody sees it, and what the task manager answers: the border between REST and manager."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol


class State(StrEnum):
    """Where a task is; the legal moves are the table in `egress_ray.manager.states`."""

    ENQUEUED = "ENQUEUED"
    PROCESSING = "PROCESSING"
    STOPPING = "STOPPING"
    STOPPED = "STOPPED"
    FAILED = "FAILED"
    TIMEOUT = "TIMEOUT"

    @property
    def terminal(self) -> bool:
        return self in (State.STOPPED, State.FAILED, State.TIMEOUT)


@dataclass(frozen=True, slots=True)
class NewTask:
    """A start request that has passed validation.

    `payload` is the validated payload as JSON values, defaults filled in, *without* `access_token`, which
    travels beside it. `fingerprint` is a keyed digest of the whole request body: equal for equal requests. `alone`: its
    channel can have one recording at a time.
    """

    app_id: str
    task_id: str
    request_id: str
    cmd: str
    payload: dict[str, Any]
    fingerprint: str
    access_token: str | None = field(default=None, repr=False)
    alone: bool = False


@dataclass(frozen=True, slots=True)
class Task:
    """A task at one moment, free of secrets. `files` are names below the task's folder."""

    app_id: str
    task_id: str
    request_id: str
    cmd: str
    state: State
    action: str
    created_at: datetime
    payload: dict[str, Any]
    error: str = ""
    message: str = ""
    reason: str = ""
    attempt: int = 0
    files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RequestConflict:
    """The request id was used before with another body."""

    task_id: str


@dataclass(frozen=True, slots=True)
class ChannelTaken:
    """The channel can have one recording at a time, and this task is it."""

    task_id: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """Nothing can be accepted now; `why` is one sentence."""

    why: str


Started = Task | RequestConflict | ChannelTaken | Refusal
"""What may come of a start."""


@dataclass(frozen=True, slots=True)
class Page:
    """Tasks, newest first; `cursor` asks for the next page, None at the end."""

    tasks: tuple[Task, ...]
    cursor: str | None


class Manager(Protocol):
    """What the REST side may ask of the task manager. Every method is idempotent: a call may be retried."""

    async def start(self, new: NewTask) -> Started:
        """Accept a task durably, or answer with the one that has this request id already, or why none can be had."""
        ...

    async def stop(self, app_id: str, task_id: str) -> tuple[Task, bool] | None:
        """Ask for a stop. The task, and whether it had ended before; None when this app has no such task."""
        ...

    async def task(self, app_id: str, task_id: str) -> Task | None:
        """The task, or None when this app has no such task."""
        ...

    async def tasks(self, app_id: str, state: State | None, cmd: str | None, limit: int, cursor: str | None) -> Page:
        """This app's tasks, newest first."""
        ...

    async def recording_of(self, app_id: str, channel: str) -> str | None:
        """The name of the live `Recording` actor whose channel this is, for WHIP publishers; None without."""
        ...

    async def ready(self) -> None:
        """Returns when the store can be written; raises when not."""
        ...
