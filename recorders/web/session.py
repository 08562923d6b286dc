"""One browser's life in a recording: launch, load, begin, be looked at, flush.

What comes after it is the business of `succession.py`.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from recorders.config import WebConfig
from recorders.errors import Lost, RecorderError
from recorders.spec import PageSpec, VideoSpec
from recorders.web.browser import first_line
from recorders.web.clock import Clock
from recorders.web.codecs import codec_name
from recorders.web.colour import Matrix
from recorders.web.contract import Contract
from recorders.web.liveness import Doubt, Liveness
from recorders.web.mail import Mail
from recorders.web.page import Loaded, load
from recorders.web.ring import CODEC as RAW
from recorders.web.ring import Ring, find
from recorders.web.ring import options as file_options
from recorders.web.shared_file import SECRET_BYTES
from recorders.web.sink import Feed
from recorders.web.station import Station

if TYPE_CHECKING:
    from playwright.async_api import Page

T = TypeVar("T")

# How long the browser may take to hand over its last pictures: while they come, and between two of them.
_FLUSH_TIMEOUT_S = 8.0
_FLUSH_PAUSE_S = 2.0
# How long a playwright error waits for a better reason.
_REASON_S = 0.5


@dataclass(frozen=True, slots=True)
class Beginning:
    """When a session's pictures and sound begin (Unix seconds by the attempt's clock), and what they are.

    `codec` is what the browser encodes with (FFmpeg's name), None without pictures; `matrix` is that of its pictures,
    `ring` has them where they come as they are.
    """

    at: float
    codec: str | None
    matrix: Matrix
    ring: Ring | None = None


class Session:
    """A browser that captures `subject` for `feed`; used once. `options` is for `start` in capture.js; `station` is one
    that is open already (`warm.py`)."""

    def __init__(
        self,
        subject: PageSpec,
        config: WebConfig,
        video: VideoSpec,
        options: dict[str, Any],
        feed: Feed,
        contract: Contract,
        clock: Clock,
        station: Station | None = None,
    ) -> None:
        self.feed = feed
        self._subject = subject
        self._config = config
        self._secret = secrets.token_bytes(SECRET_BYTES)
        self._options = {"file": file_options(video, self._secret), **options}
        self._video = video
        self.contract = contract
        self._clock = clock
        self._station = station or Station(config, subject, video)
        self._link, self._browser = self._station.link, self._station.browser
        self._liveness: Liveness | None = None

    @property
    def idle_seconds(self) -> float:
        """How long the page has been of one colour and silent."""
        return self._link.idle_seconds

    @property
    def lost(self) -> tuple[asyncio.Future[None], ...]:
        """Each holds an error once the browser, its page or the connection to it is gone."""
        return self._station.lost

    @property
    def requests_refused(self) -> int:
        """How often the page wanted to go where pages may not go."""
        return self._station.proxy.refused

    async def start(self, prepared: asyncio.Future[Any] | None = None) -> Beginning:
        """From nothing to the first picture in the browser's encoder, once `prepared` is done, too.

        Raises `RecorderError`.
        """
        from playwright.async_api import Error

        link, browser, station = self._link, self._browser, self._station
        loaded: asyncio.Task[Loaded] | None = None
        try:
            try:
                async with asyncio.timeout(self._config.launch_timeout_s):
                    await station.open()
                    subject, own = await asyncio.gather(self._subject_page(), station.own_page())
                    # Now: a page that is there already may hang.
                    watched = Liveness.of(subject, lambda: link.heard, self._config.hung_s)
                    begin = own.evaluate("options => { start(options) }", self._options)
                    self._liveness, *_ = await asyncio.gather(watched, begin, browser.make_small(own))
                    await _unless(browser.lost, link.expect("selected"))
                    loaded = asyncio.create_task(self._load(subject))
                    ready = await _unless(browser.lost, link.expect("ready"))
                    file = find(browser.folder, self._secret, self._video) if ready["file"] else None
                    if file is not None:
                        link.expect_mail(Mail(file))
            except TimeoutError:
                raise Lost(f"The browser did not start capturing within {self._config.launch_timeout_s:g} s.") from None
            if prepared is not None:
                await prepared
            at = await _unless(browser.lost, loaded)
            await link.send("go", painted=at.painted, answered=at.answered)
            begun = await _unless(browser.lost, link.expect("begun"))
        except Error as error:
            await first(browser.lost, timeout=_REASON_S)
            if browser.lost.done():
                browser.lost.result()
            raise Lost(f"The browser did not do as asked: {first_line(error)}.") from error
        finally:
            if loaded is not None:
                await cancel(loaded)
        self.contract.began()
        codec = codec_name(ready["codec"]) if ready["codec"] else None
        ring = Ring(file, self._video) if file is not None and codec == RAW else None
        return Beginning(self._clock.at(begun["monotonic"]), codec, ready["matrix"] or "bt709", ring)

    async def _subject_page(self) -> Page:
        page = await self._station.subject(self._video, self.feed)
        await self.contract.offer(page)
        return page

    async def _load(self, page: Page) -> Loaded:
        subject, config = self._subject, self._config
        within_s = subject.ready_timeout_s or config.ready_timeout_s
        signalled = (lambda: self.contract.signalled(within_s)) if subject.ready == "signal" else None
        return await load(page, subject.url, config.load_timeout_s, self._station.proxy.failure, signalled)

    def look(self) -> Doubt | None:
        """To be called every `TICK_S` once it has started: what is doubtful now. Raises `RecorderError` when there is
        no hope."""
        for lost in self.lost:
            if lost.done():
                lost.result()
        assert self._liveness is not None
        self.contract.report.idle(self.idle_seconds)
        doubt = self._liveness.look()
        if (why := self._liveness.lost) is not None:
            raise Lost(why)
        return doubt

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

    async def close(self, kill: bool = False) -> None:
        """End the browser, within a bound; at once, whatever state it is in, if `kill`."""
        self.contract.close()
        if self._liveness is not None:
            self._liveness.close()
        if kill:
            await asyncio.to_thread(self._browser.kill)
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
