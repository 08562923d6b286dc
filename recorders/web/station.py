"""What a recording of a page needs before it knows the page: the ways to the network, a browser that is open, and the
link to it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from recorders.config import WebConfig
from recorders.spec import PageSpec, VideoSpec
from recorders.web.addresses import Rules
from recorders.web.browser import Browser
from recorders.web.link import Link, Receiver
from recorders.web.proxy import Proxy, arguments

if TYPE_CHECKING:
    from playwright.async_api import Page


class Station:
    """Made for one recording; `page` and `video` tell what its browser is launched for."""

    def __init__(self, config: WebConfig, page: PageSpec, video: VideoSpec) -> None:
        self.link, self.browser = Link(), Browser(config, video, page)
        self.proxy = Proxy(Rules.of(config))
        self._config = config
        self._address = ""
        self._own: Page | None = None

    @property
    def lost(self) -> tuple[asyncio.Future[None], ...]:
        """Each holds an error once the browser, its page or the connection to it is gone."""
        return self.browser.lost, self.link.broken

    async def open(self) -> None:
        """Launch the browser and listen for it, unless that has been done. Raises `RecorderError`."""
        if not self._address:
            opened = asyncio.create_task(self.link.open())
            ways = asyncio.create_task(self._ways(opened))
            _, address, _ = await asyncio.gather(self.browser.launch(ways), opened, ways)
            self._address = address
        for lost in self.lost:
            if lost.done():
                lost.result()

    async def own_page(self) -> Page:
        """The recorder's own tab, loaded once."""
        if self._own is None:
            self._own = await self.browser.recorder(self._address)
        return self._own

    async def subject(self, video: VideoSpec, receiver: Receiver) -> Page:
        """The tab to record, of this size, for this receiver."""
        self.link.receiver = receiver
        await self.browser.suit(video)
        return await self.browser.subject()

    async def close(self) -> None:
        """End it, within a bound."""
        await asyncio.gather(self.link.close(), self.browser.close())
        await self.proxy.close()

    async def _ways(self, opened: asyncio.Task[str]) -> list[str]:
        port = await self.proxy.open()
        return arguments(port, urlsplit(await opened).port or 0, self._config.webrtc_udp)
