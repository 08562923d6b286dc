"""The web recorder: a page in a headless browser that captures and encodes its own tab, into the segment log.

Life cycle only: the browser is `browser.py`, the connection to it `link.py`, what it sends goes to `output.py`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from recorders.config import RecorderConfig
from recorders.errors import InvalidSpec, Lost, RecorderError
from recorders.formats import codecs_of, wanted
from recorders.lease import Lease
from recorders.log.files import listed_files
from recorders.log.segment_log import SegmentLog
from recorders.log.window import Window
from recorders.progress import Phase, Progress
from recorders.recorder import EndReason
from recorders.spec import AudioSpec, PageSpec, RecordingSpec, VideoSpec
from recorders.web.browser import Browser
from recorders.web.codecs import codec_name, configurations
from recorders.web.colour import Matrix
from recorders.web.link import Link
from recorders.web.page import Loaded, load
from recorders.web.sink import Sink

if TYPE_CHECKING:
    from recorders.web.output import Output

T = TypeVar("T")

# A browser that says nothing for this long is stuck: it sends sound ten times a second.
_SILENT_S = 5.0
# How long the browser may take to hand over its last pictures: while they come, and between two of them.
_FLUSH_TIMEOUT_S = 8.0
_FLUSH_PAUSE_S = 2.0


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
        self._counters: dict[str, int] = {}
        self._files: tuple[int, tuple[str, ...]] = (0, ())

    async def run(self) -> EndReason:
        """See `Recorder`. The recording begins when the page has loaded."""
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        if self._stopped:
            self._stop.set()
        stopped = asyncio.create_task(self._stop.wait())
        sink = Sink(self._keep_counters)
        link, browser = Link(sink), Browser(self._config.web, self._video or VideoSpec(), self._subject.web_gl)
        started = asyncio.create_task(self._start(link, browser, sink))
        try:
            await _first(started, stopped)
            if started.done():
                started.result()
                await self._watch(link, browser, sink, stopped)
                self._phase = "closing"
                await sink.close(await self._flush(link))
            return "user_stop"
        finally:
            self._phase = "closing"
            await _cancel(started, stopped)
            try:
                await sink.close(None)
            finally:
                await asyncio.gather(link.close(), browser.close())
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
        if log is None:
            return Progress(phase=self._phase)
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
            counters=dict(self._counters),
        )

    async def _start(self, link: Link, browser: Browser, sink: Sink) -> None:
        """From nothing to the first picture in the browser's encoder."""
        web = self._config.web
        prepared = asyncio.create_task(self._prepare(browser))
        loaded: asyncio.Task[Loaded] | None = None
        try:
            try:
                async with asyncio.timeout(web.launch_timeout_s):
                    _, address = await asyncio.gather(browser.launch(), link.open())
                    subject, own = await asyncio.gather(browser.subject(), browser.recorder(address))
                    await own.evaluate("options => { start(options) }", self._options())
                    await _unless(browser.lost, link.expect("selected"))
                    loaded = asyncio.create_task(load(subject, self._subject.url, web.load_timeout_s))
                    ready = await _unless(browser.lost, link.expect("ready"))
            except TimeoutError:
                raise Lost(f"The browser did not start capturing within {web.launch_timeout_s:g} s.") from None
            self._log = await prepared
            at = await _unless(browser.lost, loaded)
            await link.send("go", painted=at.painted, answered=at.answered)
            begun = await _unless(browser.lost, link.expect("begun"))
        finally:
            await _cancel(prepared, *([loaded] if loaded else []))
        began = time.time() - (time.monotonic() - begun["monotonic"])
        codec = codec_name(ready["codec"]) if ready["codec"] else None
        sink.begin(self._make_output(began, codec, ready["matrix"] or "bt709"))
        self._first_frame_at = began
        self._phase = "recording"

    async def _watch(self, link: Link, browser: Browser, sink: Sink, stopped: asyncio.Task[Any]) -> None:
        """Until a stop. Raises what ended the recording otherwise."""
        while True:
            await _first(stopped, link.broken, browser.lost, sink.failed, timeout=1.0)
            if stopped.done():
                return
            for ended in (sink.failed, browser.lost, link.broken):
                if ended.done():
                    ended.result()
            if time.monotonic() - link.heard > _SILENT_S:
                raise Lost(f"The browser has sent nothing for {_SILENT_S:g} s.")

    async def _flush(self, link: Link) -> float | None:
        """The browser's last pictures; the length of the recording by its clock, None when it does not answer."""
        await link.send("stop")
        asked = time.monotonic()
        done = asyncio.create_task(link.expect("done"))
        while not done.done():
            heard = max(asked, link.heard)
            left = min(heard + _FLUSH_PAUSE_S, asked + _FLUSH_TIMEOUT_S) - time.monotonic()
            if left <= 0:
                break
            await _first(done, timeout=left)
        try:
            return float(done.result()["seconds"]) if done.done() else None
        except RecorderError:
            return None
        finally:
            await _cancel(done)

    async def _prepare(self, browser: Browser) -> SegmentLog:
        """What takes time and does not need the browser: while it starts, once the processor is free for it."""

        def prepare() -> SegmentLog:
            import recorders.web.output  # noqa: F401
            from recorders.log.salvage import open_log

            return open_log(self._spec, self._lease)

        await browser.driver_up.wait()
        return await asyncio.to_thread(prepare)

    def _make_output(self, began: float, codec: str | None, matrix: Matrix) -> Callable[[], Output]:
        assert self._log is not None
        log = self._log

        def make() -> Output:
            from recorders.web.output import Output

            return Output(self._spec, self._config, log, self._window, began, codec, matrix)

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


async def _first(*futures: asyncio.Future[Any], timeout: float | None = None) -> None:
    """Until one of them is done; none is cancelled, no result is looked at."""
    await asyncio.wait(futures, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)


async def _cancel(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _unless(lost: asyncio.Future[None], task: Coroutine[Any, Any, T] | asyncio.Task[T]) -> T:
    """What `task` gives, or raises what `lost` holds."""
    waiting = asyncio.ensure_future(task)
    try:
        await _first(waiting, lost)
        if not waiting.done():
            lost.result()
        return await waiting
    finally:
        waiting.cancel()
