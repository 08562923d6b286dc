"""One browser's life in a recording: launch, load, begin, watch, flush.

What the pictures and the sound of it become is the recorder's business (`recorder.py`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

from recorders.config import WebConfig
from recorders.errors import Lost, RecorderError
from recorders.spec import PageSpec, VideoSpec
from recorders.web.addresses import Rules
from recorders.web.browser import Browser
from recorders.web.codecs import codec_name
from recorders.web.colour import Matrix
from recorders.web.link import Link, Receiver
from recorders.web.page import Loaded, load
from recorders.web.proxy import Proxy, arguments

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
    """A browser that captures `subject` for `receiver`; used once. `options` is for `start` in capture.js."""

    def __init__(
        self, subject: PageSpec, config: WebConfig, video: VideoSpec, options: dict[str, Any], receiver: Receiver
    ) -> None:
        self._subject = subject
        self._config = config
        self._options = options
        self._link, self._browser = Link(receiver), Browser(config, video, subject.web_gl)
        self._proxy = Proxy(Rules.of(config))

    @property
    def driver_up(self) -> asyncio.Event:
        """Set when the browser is being started, and the processor has time for other things."""
        return self._browser.driver_up

    @property
    def lost(self) -> tuple[asyncio.Future[None], ...]:
        """Each holds an error once the browser, its page or the connection to it is gone."""
        return self._browser.lost, self._link.broken

    @property
    def requests_refused(self) -> int:
        """How often the page wanted to go where pages may not go."""
        return self._proxy.refused

    async def start(self, prepared: asyncio.Future[Any]) -> Beginning:
        """From nothing to the first picture in the browser's encoder, once `prepared` is done, too.

        Raises `RecorderError`.
        """
        link, browser = self._link, self._browser
        loaded: asyncio.Task[Loaded] | None = None
        try:
            try:
                async with asyncio.timeout(self._config.launch_timeout_s):
                    opened = asyncio.create_task(link.open())
                    ways = asyncio.create_task(self._ways(opened))
                    _, address, _ = await asyncio.gather(browser.launch(ways), opened, ways)
                    subject, own = await asyncio.gather(browser.subject(), browser.recorder(address))
                    await own.evaluate("options => { start(options) }", self._options)
                    await _unless(browser.lost, link.expect("selected"))
                    page = load(subject, self._subject.url, self._config.load_timeout_s, self._proxy.failure)
                    loaded = asyncio.create_task(page)
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
        await asyncio.gather(self._link.close(), self._browser.close())
        await self._proxy.close()

    async def _ways(self, opened: asyncio.Task[str]) -> list[str]:
        port = await self._proxy.open()
        return arguments(port, urlsplit(await opened).port or 0, self._config.webrtc_udp)


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
