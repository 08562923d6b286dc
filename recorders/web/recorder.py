"""The web recorder: a page in a headless browser that captures and encodes its own tab, into the segment log.

The attempt only: a browser's life is `session.py`, one after another `succession.py`, what they send goes to
`output.py`.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recorders.config import RecorderConfig
from recorders.errors import InvalidSpec, RecorderError
from recorders.formats import codecs_of, wanted
from recorders.lease import Lease
from recorders.log.files import listed_files
from recorders.log.segment_log import SegmentLog
from recorders.log.tracks import key_interval
from recorders.log.window import Window
from recorders.progress import Phase, Progress
from recorders.recorder import EndReason
from recorders.spec import AudioSpec, PageSpec, RecordingSpec, VideoSpec
from recorders.web.clock import Clock
from recorders.web.codecs import configurations
from recorders.web.contract import Contract
from recorders.web.notes import Notes
from recorders.web.session import Session, cancel, first
from recorders.web.sink import Feed, Sink
from recorders.web.succession import Succession

if TYPE_CHECKING:
    from recorders.web.output import Output
    from recorders.web.station import Station

# How many warnings about the page are told in the message; the report has more.
_TOLD = 3


class WebRecorder:
    """One attempt at recording `spec.subject`, a page. Raises `InvalidSpec` for any other subject.

    `station` is one that is open already (`warm.py`), and suits `spec`.
    """

    def __init__(
        self,
        spec: RecordingSpec,
        config: RecorderConfig,
        lease: Lease | None = None,
        window: Window | None = None,
        station: Station | None = None,
    ) -> None:
        if not isinstance(spec.subject, PageSpec):
            raise InvalidSpec("The web recorder records pages; a channel needs the native recorder.")
        self._subject = spec.subject
        self._spec = spec
        self._config = config
        self._lease = lease or Lease()
        self._window = window or Window()
        self._station = station
        self._video, self._audio = wanted(spec)
        self._clock = Clock()
        self._phase: Phase = "starting"
        self._stopped = False
        self._stop: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._log: SegmentLog | None = None
        self._first_frame_at: float | None = None
        self._browsers: Succession | None = None
        self._files: tuple[int, tuple[str, ...]] = (0, ())
        self._notes = Notes(spec, spec.subject)

    async def run(self) -> EndReason:
        """See `Recorder`. The recording begins when the page has loaded."""
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        if self._stopped:
            self._stop.set()
        stopped = asyncio.create_task(self._stop.wait())
        sink = Sink()
        self._browsers = browsers = Succession(lambda: self._session(sink), sink, self._config.web, self._clock)
        noting = asyncio.create_task(self._notes.keep())
        started = asyncio.create_task(self._start(browsers, sink))
        try:
            await first(started, stopped, browsers.present.contract.ended)
            if started.done():
                started.result()
                await browsers.watch(stopped)
                self._phase = "closing"
                await sink.close(await browsers.flush())
            elif browsers.present.contract.has_ended:
                self._notes.report.warn("The page ended its recording before it had begun.")
            return "user_stop" if stopped.done() else "completed"
        except RecorderError as error:
            await self._notes.failed(error, browsers.present.contract.page)
            raise
        finally:
            self._phase = "closing"
            await cancel(started, stopped, noting)
            try:
                await sink.close(None)
            finally:
                await browsers.close()
                await self._notes.close()
                self._phase = "closed"

    def stop(self) -> None:
        """See `Recorder`."""
        self._stopped = True
        loop, event = self._loop, self._stop
        if loop is not None and event is not None and not loop.is_closed():
            loop.call_soon_threadsafe(event.set)

    def progress(self) -> Progress:
        """See `Recorder`."""
        log, browsers = self._log, self._browsers
        counters = {**(browsers.counters if browsers is not None else {}), **self._notes.report.counters}
        if log is None:
            return Progress(phase=self._phase, counters=counters, message=self._message(None))
        parts = len(log.parts)
        if self._files[0] != parts:
            listed = listed_files(Path(self._spec.folder), self._spec.prefix)
            self._files = (parts, (*listed, *self._notes.files))
        return Progress(
            phase=self._phase,
            began_at=log.epoch,
            first_frame_at=self._first_frame_at,
            parts=parts,
            media_seconds=log.media_seconds,
            bytes=log.total_bytes,
            idle_seconds=browsers.present.idle_seconds if browsers is not None else 0.0,
            files=self._files[1],
            counters=counters,
            message=self._message(log.epoch),
        )

    async def _start(self, browsers: Succession, sink: Sink) -> None:
        """From nothing to the first picture in the browser's encoder."""
        prepared = asyncio.create_task(asyncio.to_thread(self._prepare))
        try:
            begun = await browsers.start(prepared)
            log = self._log = prepared.result()
        finally:
            await cancel(prepared)

        def make() -> Output:
            from recorders.web.output import Output

            return Output(self._spec, self._config, log, self._window, begun, self._clock)

        sink.open(make)
        browsers.present.feed.begin()
        self._first_frame_at = begun.at
        self._phase = "recording"

    def _prepare(self) -> SegmentLog:
        """What takes time and does not need the browser, while it starts."""
        import recorders.web.output  # noqa: F401
        from recorders.log.salvage import open_log

        return open_log(self._spec, self._lease)

    def _session(self, sink: Sink) -> Session:
        video = self._video or VideoSpec()
        size = {"width": video.width, "height": video.height, "frameRate": video.frame_rate}
        contract = Contract({"id": self._spec.task_id, **size}, self._notes.report)
        station, self._station = self._station, None
        feed, clock = Feed(sink), self._clock
        return Session(self._subject, self._config.web, video, self._options(), feed, contract, clock, station)

    def _options(self) -> dict[str, Any]:
        """For `start` in capture.js."""
        video, codec = self._video or VideoSpec(), codecs_of(self._spec.format).video
        return {
            "width": video.width,
            "height": video.height,
            "frameRate": video.frame_rate,
            "keyEvery": key_interval(self._config.log.part_seconds, video.frame_rate),
            "sampleRate": (self._audio or AudioSpec()).sample_rate,
            "configs": configurations(video, codec) if self._video is not None and codec is not None else [],
        }

    def _message(self, epoch: float | None) -> str:
        """What has become of browsers, and what was the matter with the page."""
        sentences = list(self._notes.report.warnings[:_TOLD])
        if self._browsers is not None and (replaced := self._browsers.replaced):
            at, why = replaced[-1]
            often = f"{len(replaced)} times, the last time" if len(replaced) > 1 else "once,"
            since = at - (epoch or at)
            sentences.insert(0, f"The browser was replaced {often} {since:.1f} s after the beginning: {why}")
        return " ".join(sentences)
