"""One browser's life in a recording: launch, load, begin, watch, flush.

What the pictures and the sound of it become is the recorder's business (`recorder.py`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from recorders.config import WebConfig
from recorders.errors import Lost, RecorderError
from recorders.spec import PageSpec, VideoSpec
from recorders.web.codecs import codec_name
from recorders.web.colour import Matrix
from recorders.web.link import Receiver
from recorders.web.page import Loaded, load
from recorders.web.station import Station

T = TypeVar("T")

# A browser that says nothing for this long is stuck: it sends sound ten times a second.
_SILENT_S = 5.0
# How long the browser may take to hand over its last pictures: while they come, and between two of them.
_FLUSH_TIMEOUT_S = 8.0
_FLUSH_PAUSE_S = 2.0


@dataclass(frozen=True, slots=True)
class Beginning:
    """When a session's pictures and sound begin (Unix seconds), and what they are.

    `codec` is what the browser encodes with (FFmpeg's name), None without pictures; `matrix` is that of its pictures.
    """

    at: float
    codec: str | None
    matrix: Matrix


class Session:
    """A browser that captures `subject` for `receiver`; used once. `options` is for `start` in capture.js; `station` is
    one that is open already (`warm.py`)."""

    def __init__(
        self,
        subject: PageSpec,
        config: WebConfig,
        video: VideoSpec,
        options: dict[str, Any],
        receiver: Receiver,
        station: Station | None = None,
    ) -> None:
        self._subject = subject
        self._config = config
        self._options = options
        self._video = video
        self._receiver = receiver
        self._station = station or Station(config, subject, video)
        self._link, self._browser = self._station.link, self._station.browser

    @property
    def driver_up(self) -> asyncio.Event:
        """Set when the browser is being started, and the processor has time for other things."""
        return self._browser.driver_up

    @property
    def lost(self) -> tuple[asyncio.Future[None], ...]:
        """Each holds an error once the browser, its page or the connection to it is gone."""
        return self._station.lost

    async def start(self, prepared: asyncio.Future[Any]) -> Beginning:
        """From nothing to the first picture in the browser's encoder, once `prepared` is done, too.

        Raises `RecorderError`.
        """
        link, browser, station = self._link, self._browser, self._station
        loaded: asyncio.Task[Loaded] | None = None
        try:
            try:
                async with asyncio.timeout(self._config.launch_timeout_s):
                    await station.open()
                    tabs = station.subject(self._video, self._receiver), station.own_page()
                    subject, own = await asyncio.gather(*tabs)
                    await own.evaluate("options => { start(options) }", self._options)
                    await _unless(browser.lost, link.expect("selected"))
                    loaded = asyncio.create_task(load(subject, self._subject.url, self._config.load_timeout_s))
                    ready = await _unless(browser.lost, link.expect("ready"))
            except TimeoutError:
                raise Lost(f"The browser did not start capturing within {self._config.launch_timeout_s:g} s.") from None
            await prepared
            at = await _unless(browser.lost, loaded)
            await link.send("go", painted=at.painted, answered=at.answered)
            begun = await _unless(browser.lost, link.expect("begun"))
        finally:
            if loaded is not None:
                await cancel(loaded)
        began = time.time() - (time.monotonic() - begun["monotonic"])
        codec = codec_name(ready["codec"]) if ready["codec"] else None
        return Beginning(began, codec, ready["matrix"] or "bt709")

    async def watch(self, *ends: asyncio.Future[Any]) -> None:
        """Until one of `ends` is done. Raises what became of the browser otherwise."""
        while True:
            await first(*ends, *self.lost, timeout=1.0)
            if any(end.done() for end in ends):
                return
            for lost in self.lost:
                if lost.done():
                    lost.result()
            if time.monotonic() - self._link.heard > _SILENT_S:
                raise Lost(f"The browser has sent nothing for {_SILENT_S:g} s.")

    async def flush(self) -> float | None:
        """The browser's last pictures; the length of the session by its clock, None when it does not answer."""
        link = self._link
        await link.send("stop")
        asked = time.monotonic()
        done = asyncio.create_task(link.expect("done"))
        while not done.done():
            heard = max(asked, link.heard)
            left = min(heard + _FLUSH_PAUSE_S, asked + _FLUSH_TIMEOUT_S) - time.monotonic()
            if left <= 0:
                break
            await first(done, timeout=left)
        try:
            return float(done.result()["seconds"]) if done.done() else None
        except RecorderError:
            return None
        finally:
            await cancel(done)

    async def close(self) -> None:
        """End the browser, within a bound."""
        await self._station.close()


async def first(*futures: asyncio.Future[Any], timeout: float | None = None) -> None:
    """Until one of them is done; none is cancelled, no result is looked at."""
    await asyncio.wait(futures, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)


async def cancel(*tasks: asyncio.Task[Any]) -> None:
    """Cancel them, and wait until they have ended."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _unless(lost: asyncio.Future[None], task: Coroutine[Any, Any, T] | asyncio.Task[T]) -> T:
    """What `task` gives, or raises what `lost` holds."""
    waiting = asyncio.ensure_future(task)
    try:
        await first(waiting, lost)
        if not waiting.done():
            lost.result()
        return await waiting
    finally:
        waiting.cancel()
