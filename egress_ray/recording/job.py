"""What a recording actor is told and what it tells: plain data between it and the task manager."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from egress_ray.folders import here, task_folder

if TYPE_CHECKING:  # an actor begins without them
    from recorders.config import RecorderConfig
    from recorders.progress import Progress
    from recorders.spec import Format, RecordingSpec
    from recorders.storage.place import Place


@dataclass(frozen=True, slots=True)
class Order:
    """What to finish; `place` is where its files belong, None for the data folder itself."""

    data_dir: str
    app_id: str
    task_id: str
    prefix: str
    format: Format
    place: Place | None

    @property
    def folder(self) -> Path:
        """The task's folder on this node."""
        return task_folder(here(self.data_dir), self.app_id, self.task_id)


@dataclass(frozen=True, slots=True)
class Job:
    """Handed to a recording by a method call, never as a constructor's argument: it holds the access token, and
    Ray's control store keeps constructor arguments.

    `order` is what is to be finished in the end; its folder is the one to record to. `room_mb` must be free there.
    """

    order: Order
    spec: RecordingSpec
    config: RecorderConfig = field(repr=False)
    renew_s: float
    expiry_s: float
    room_mb: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended. `error` is one sentence when it is broken; `retryable` tells that a fresh attempt may go on
    where it broke off; `message` is its progress' last. Its files are still to be finished."""

    kind: Literal["closed", "broken", "fenced"]
    reason: str = ""
    error: str = ""
    retryable: bool = False
    message: str = ""


@dataclass(frozen=True, slots=True)
class Renewal:
    """A recorder's sign of life; `free_mb` on the disk that it writes to, `backlog` bytes that are only there."""

    app_id: str
    task_id: str
    attempt: int
    progress: Progress
    free_mb: float
    backlog: int


@dataclass(frozen=True, slots=True)
class Publication:
    """What came of a WHIP request; a value, because exceptions cross Ray with a traceback in their text.

    `answer` is SDP, or a fragment of it; `etag` names the ICE session that it is of; `error` is one sentence.
    """

    status: Literal["created", "taken", "restarted", "deleted", "refused", "busy", "forbidden", "unknown", "stale"]
    resource: str = ""
    answer: str = ""
    error: str = ""
    etag: str = ""


def recording_name(app_id: str, task_id: str, attempt: int) -> str:
    """The Ray name of the actor of one attempt."""
    return f"rec:{app_id}:{task_id}:{attempt}"


def warm_name(version: str, number: str) -> str:
    """The Ray name of an actor that is kept ready for a recording, by a manager of that version."""
    return f"warm:{version}:{number}"


def is_warm(name: str) -> bool:
    """Whether an actor's Ray name is of that kind."""
    return name.startswith("warm:")
