"""What every recorder is, and which one a specification asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

from recorders.lease import Lease
from recorders.log.window import Window
from recorders.progress import Progress
from recorders.spec import ChannelSpec, Limits, RecordingSpec

if TYPE_CHECKING:
    from recorders.config import RecorderConfig
    from recorders.web.station import Station

EndReason = Literal["user_stop", "completed", "max_duration", "max_size", "idle"]


class Recorder(Protocol):
    """One attempt at a recording, from connecting to its last closed part; used once.

    It appends to the segment log in `spec.folder` and does not finish the recording: playlist, MP4 and
    manifest are derived afterwards by `recorders.log.finish`.
    """

    async def run(self) -> EndReason:
        """Record until `stop` is called ("user_stop"), the subject ends by itself ("completed") or a limit is reached.

        Every part is closed and in the log on return. Raises `RecorderError` with one clear sentence;
        what was recorded until then is in the log all the same.
        """
        ...

    def stop(self) -> None:
        """Ask `run` to close its last part and return; idempotent, from any thread, at any time."""
        ...

    def progress(self) -> Progress:
        """The present state; cheap, from any thread."""
        ...


def build(
    spec: RecordingSpec,
    config: RecorderConfig,
    lease: Lease | None = None,
    window: Window | None = None,
    station: Station | None = None,
) -> Recorder:
    """The recorder for `spec`, writing while it holds `lease` what is in `window`; a page's takes a `station` that is
    open already, if there is one.

    Imports of the other kind's heavy parts are avoided.
    """
    recorder = _build(spec, config, lease, window, station)
    if spec.limits == Limits():
        return recorder
    from recorders.limits import Limited

    return Limited(recorder, spec.limits)


def _build(
    spec: RecordingSpec, config: RecorderConfig, lease: Lease | None, window: Window | None, station: Station | None
) -> Recorder:
    if isinstance(spec.subject, ChannelSpec):
        from recorders.native.recorder import NativeRecorder

        return NativeRecorder(spec, config, lease, window)
    from recorders.web.recorder import WebRecorder

    return WebRecorder(spec, config, lease, window, station)
