"""The web recorder: a page in a headless browser that captures and encodes its own tab, into the segment log.

The attempt only: a browser's life is `session.py`, what it sends goes to `output.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recorders.config import RecorderConfig
from recorders.errors import InvalidSpec
from recorders.formats import codecs_of, wanted
from recorders.lease import Lease
from recorders.log.files import listed_files
from recorders.log.segment_log import SegmentLog
from recorders.log.window import Window
from recorders.progress import Phase, Progress
from recorders.recorder import EndReason
from recorders.spec import AudioSpec, PageSpec, RecordingSpec, VideoSpec
from recorders.web.codecs import configurations
from recorders.web.session import Beginning, Session, cancel, first
from recorders.web.sink import Sink

if TYPE_CHECKING:
    from recorders.web.output import Output


class WebRecorder:
    """One attempt at recording `spec.subject`, a page. Raises `InvalidSpec` for any other subject."""

    def __init__(
        self, spec: RecordingSpec, config: RecorderConfig, lease: Lease | None = None, window: Window | None = None
    ) -> None:
        if not isinstance(spec.subject, PageSpec):
            raise InvalidSpec("The web recorder records pages; a channel needs the native recorder.")
        self._subject = spec.subject
        self._spec = spec
        self._config = config
        self._lease = lease or Lease()
        self._window = window or Window()
        self._video, self._audio = wanted(spec)
        self._phase: Phase = "starting"
        self._stopped = False
        self._stop: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._log: SegmentLog | None = None
        self._first_frame_at: float | None = None
        self._session: Session | None = None
        self._counters: dict[str, int] = {}
        self._files: tuple[int, tuple[str, ...]] = (0, ())

    async def run(self) -> EndReason:
        """See `Recorder`. The recording begins when the page has loaded."""
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        if self._stopped:
            self._stop.set()
        stopped = asyncio.create_task(self._stop.wait())
        sink = Sink(self._keep_counters)
        video = self._video or VideoSpec()
        session = self._session = Session(self._subject, self._config.web, video, self._options(), sink)
        started = asyncio.create_task(self._start(session, sink))
        try:
            await first(started, stopped)
            if started.done():
                started.result()
                await session.watch(stopped, sink.failed)
                if not stopped.done():
                    sink.failed.result()
                self._phase = "closing"
                await sink.close(await session.flush())
            return "user_stop"
        finally:
            self._phase = "closing"
            await cancel(started, stopped)
            try:
                await sink.close(None)
            finally:
                await session.close()
                self._phase = "closed"

    def stop(self) -> None:
        """See `Recorder`."""
        self._stopped = True
        loop, event = self._loop, self._stop
        if loop is not None and event is not None and not loop.is_closed():
            loop.call_soon_threadsafe(event.set)

    def progress(self) -> Progress:
        """See `Recorder`."""
        log = self._log
        counters = {**self._counters, "requests_refused": self._session.requests_refused if self._session else 0}
        if log is None:
            return Progress(phase=self._phase, counters=counters)
        parts = len(log.parts)
        if self._files[0] != parts:
            self._files = (parts, listed_files(Path(self._spec.folder), self._spec.prefix))
        return Progress(
            phase=self._phase,
            began_at=log.epoch,
            first_frame_at=self._first_frame_at,
            parts=parts,
            media_seconds=log.media_seconds,
            bytes=log.total_bytes,
            files=self._files[1],
            counters=counters,
        )

    async def _start(self, session: Session, sink: Sink) -> None:
        """From nothing to the first picture in the browser's encoder."""
        prepared = asyncio.create_task(self._prepare(session))
        try:
            begun = await session.start(prepared)
            self._log = prepared.result()
        finally:
            await cancel(prepared)
        sink.begin(self._make_output(self._log, begun))
        self._first_frame_at = begun.at
        self._phase = "recording"

    async def _prepare(self, session: Session) -> SegmentLog:
        """What takes time and does not need the browser: while it starts, once the processor is free for it."""

        def prepare() -> SegmentLog:
            import recorders.web.output  # noqa: F401
            from recorders.log.salvage import open_log

            return open_log(self._spec, self._lease)

        await session.driver_up.wait()
        return await asyncio.to_thread(prepare)

    def _make_output(self, log: SegmentLog, begun: Beginning) -> Callable[[], Output]:
        def make() -> Output:
            from recorders.web.output import Output

            return Output(self._spec, self._config, log, self._window, begun.at, begun.codec, begun.matrix)

        return make

    def _options(self) -> dict[str, Any]:
        """For `start` in capture.js."""
        video, codec = self._video or VideoSpec(), codecs_of(self._spec.format).video
        return {
            "width": video.width,
            "height": video.height,
            "frameRate": video.frame_rate,
            "keyEvery": max(1, round(self._config.log.part_seconds * video.frame_rate)),
            "sampleRate": (self._audio or AudioSpec()).sample_rate,
            "configs": configurations(video, codec) if self._video is not None and codec is not None else [],
        }

    def _keep_counters(self, counters: dict[str, int]) -> None:
        self._counters = counters
