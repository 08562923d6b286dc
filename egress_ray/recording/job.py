"""What a recording actor is told and what it tells: plain data between it and the task manager."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from recorders.config import RecorderConfig
from recorders.progress import Progress
from recorders.spec import RecordingSpec


@dataclass(frozen=True, slots=True)
class Job:
    """Handed to a recording by a method call, never as a constructor's argument: it holds the access token, and
    Ray's control store keeps constructor arguments."""

    app_id: str
    spec: RecordingSpec
    config: RecorderConfig = field(repr=False)
    renew_s: float
    expiry_s: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended. `error` is one sentence when it is broken.

    Its files are finished, unless a fresh attempt may go on where it broke off (`retryable`).
    """

    kind: Literal["closed", "broken", "fenced"]
    reason: str = ""
    error: str = ""
    files: tuple[str, ...] = ()
    seconds: float = 0.0
    retryable: bool = False


@dataclass(frozen=True, slots=True)
class Renewal:
    """A recorder's sign of life."""

    app_id: str
    task_id: str
    attempt: int
    progress: Progress


@dataclass(frozen=True, slots=True)
class Publication:
    """What came of a WHIP request; a value, because exceptions cross Ray with a traceback in their text.

    `answer` is SDP, `error` one sentence.
    """

    status: Literal["created", "deleted", "refused", "forbidden", "unknown"]
    resource: str = ""
    answer: str = ""
    error: str = ""


def recording_name(app_id: str, task_id: str, attempt: int) -> str:
    """The Ray name of the actor of one attempt."""
    return f"rec:{app_id}:{task_id}:{attempt}"
