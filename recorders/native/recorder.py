"""The native recorder: a channel's participants composited into one picture and mixed into one sound, or each in a
log of its own.

Life cycle only: the source runs as a task on the event loop, everything that costs CPU in the render thread.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from recorders.config import RecorderConfig
from recorders.errors import InvalidSpec, RecorderError
from recorders.formats import wanted
from recorders.lease import Lease
from recorders.log.files import listed_files
from recorders.log.segment_log import SegmentLog
from recorders.log.window import Window
from recorders.native.blind import Blind
from recorders.native.renderer import Renderer
from recorders.native.stage import Stage
from recorders.progress import Phase, Progress
from recorders.recorder import EndReason
from recorders.sources import build
from recorders.sources.base import Sized, Source
from recorders.spec import ChannelSpec, RecordingSpec

# How long a source may take to leave its channel.
_LEAVE_TIMEOUT_S = 2.0


class Rendering(Protocol):
    """The render thread: composites (`Renderer`), or writes a log of each user."""

    first_frame_at: float | None  # Unix time
    active_at: float  # when somebody was last seen or heard (monotonic)

    @property
    def epoch(self) -> float | None:
        """Unix seconds of media time 0, once that is known."""
        ...

    @property
    def logs(self) -> Sequence[SegmentLog]:
        """What it writes to."""
        ...

    def run(self, begun: Callable[[], None]) -> None:
        """Blocks until the end; calls `begun` when it has begun. Raises `RecorderError`."""
        ...

    def end(self, at: float) -> None:
        """Write up to `at` (monotonic) and no further. Any thread."""
        ...


class NativeRecorder:
    """One attempt at recording `spec.subject`, a channel. Raises `InvalidSpec` for any other subject."""

    def __init__(
        self, spec: RecordingSpec, config: RecorderConfig, lease: Lease | None = None, window: Window | None = None
    ) -> None:
        if not isinstance(spec.subject, ChannelSpec):
            raise InvalidSpec("The native recorder records channels; a page needs the web recorder.")
        self._subject = spec.subject
        self._config = config
        self._phase: Phase = "starting"
        self._stopped = False
        self._source: Source | None = None
        self._source_lock = threading.Lock()
        self._stage = Stage(spec.subject.users, self._ask_for_keyframe, self._ask_for_size)
        self._renderer = self._make_renderer(spec, spec.subject, lease or Lease(), window or Window())
        self._spec = spec
        self._files: tuple[int, tuple[str, ...]] = (0, ())

    @property
    def source(self) -> Source:
        """The channel's back end; made on first use, for its imports must not delay the first picture."""
        with self._source_lock:
            if self._source is None:
                self._source = build(self._subject, self._config.sources)
            return self._source

    def _make_renderer(self, spec: RecordingSpec, subject: ChannelSpec, lease: Lease, window: Window) -> Rendering:
        if subject.mode == "composite":
            return Renderer(spec, subject, self._config, self._stage, lease, window)
        from recorders.individual.renderer import IndividualRenderer

        return IndividualRenderer(spec, subject, self._config, self._stage, lease, self._ask_for_keyframe)

    async def run(self) -> EndReason:
        """See `Recorder`. The first picture is made at once, whoever is in the channel."""
        loop = asyncio.get_running_loop()
        begun, closed = loop.create_future(), loop.create_future()
        threading.Thread(target=self._render, args=(loop, begun, closed), name="render", daemon=True).start()
        source = asyncio.create_task(self._play(begun))
        try:
            await asyncio.wait((source, closed), return_when=asyncio.FIRST_COMPLETED)
            if source.done():
                # What came last is shown as long after as everything else.
                failed = source.cancelled() or source.exception() is not None
                self._renderer.end(time.monotonic() + (0.0 if failed else self._config.native.playout_delay_ms / 1000))
            await asyncio.shield(closed)
        finally:
            self._phase = "closing"
            self._renderer.end(time.monotonic())
            source.cancel()
            await asyncio.wait((source, closed), timeout=_LEAVE_TIMEOUT_S)
            self._phase = "closed"
        if self._stopped:
            return "user_stop"
        try:
            source.result()
        except (RecorderError, asyncio.CancelledError):
            raise
        except Exception as error:
            raise RecorderError(f"The source of channel {self._subject.channel} broke off: {_fact(error)}.") from error
        return "completed"

    def stop(self) -> None:
        """See `Recorder`."""
        self._stopped = True
        if self._phase != "closed":
            self._phase = "closing"
        self._renderer.end(time.monotonic())

    def progress(self) -> Progress:
        """See `Recorder`."""
        logs = self._renderer.logs
        counters = self._stage.counters()
        parts = sum(len(log.parts) for log in logs)
        if self._files[0] != parts:
            names = (name for log in logs for name in listed_files(Path(self._spec.folder), log.prefix))
            self._files = (parts, tuple(names))
        return Progress(
            phase=self._phase,
            began_at=self._renderer.epoch,
            first_frame_at=self._renderer.first_frame_at,
            parts=parts,
            media_seconds=max((log.media_seconds for log in logs), default=0.0),
            bytes=sum(log.total_bytes for log in logs),
            idle_seconds=time.monotonic() - self._renderer.active_at,
            files=self._files[1],
            counters=counters,
        )

    def _ask_for_keyframe(self, uid: str) -> None:
        if self._source is not None:
            self._source.keyframe(uid)

    def _ask_for_size(self, uid: str, size: tuple[int, int] | None) -> None:
        if isinstance(self._source, Sized):
            self._source.want(uid, size)

    async def _play(self, begun: asyncio.Future[None]) -> None:
        await begun
        source = await asyncio.to_thread(lambda: self.source)
        pictures, _ = wanted(self._spec)
        await source.run(self._stage if pictures else Blind(self._stage, lambda uid: self._ask_for_size(uid, None)))

    def _render(
        self, loop: asyncio.AbstractEventLoop, begun: asyncio.Future[None], closed: asyncio.Future[None]
    ) -> None:
        """The render thread's whole life."""

        def settle(future: asyncio.Future[None], error: Exception | None = None) -> None:
            if not future.done():
                future.set_result(None) if error is None else future.set_exception(error)

        def on_begun() -> None:
            if self._phase == "starting":
                self._phase = "recording"
            loop.call_soon_threadsafe(settle, begun)

        failure: Exception | None = None
        try:
            self._renderer.run(on_begun)
        except RecorderError as error:
            failure = error
        except Exception as error:
            failure = RecorderError(f"Rendering broke off: {_fact(error)}.")
            failure.__cause__ = error
        try:
            loop.call_soon_threadsafe(settle, closed, failure)
        except RuntimeError:  # the loop was closed meanwhile: nobody waits
            return


def _fact(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
