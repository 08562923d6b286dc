"""What a page and its recorder say to each other: the task, the signals, and what is noticed in the page meanwhile.

In the page it is `window.egress`, made by `contract.js`. Signals count from the page itself only: a frame in it, with
whatever it was that was let into the page, can neither begin nor end a recording.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recorders.errors import Unreachable
from recorders.web.report import Report

if TYPE_CHECKING:
    from playwright.async_api import CDPSession, Error, Frame, Page

_SCRIPT = Path(__file__).with_name("contract.js")
_BINDING = "__egressRay"


class Contract:
    """With the page of one browser; used once. `task` is what the page is told, as JSON: nothing secret."""

    def __init__(self, task: dict[str, Any], report: Report) -> None:
        self._task = task
        self.report = report
        loop = asyncio.get_running_loop()
        self._began: asyncio.Future[None] = loop.create_future()
        self.started: asyncio.Future[None] = loop.create_future()
        self.ended: asyncio.Future[None] = loop.create_future()
        self.page: Page | None = None

    async def offer(self, page: Page) -> None:
        """Be there for whatever `page` loads from now on."""
        self.page = page
        page.on("pageerror", self._threw)
        page.on("framenavigated", self._navigated)
        await asyncio.gather(self._bind(page), self._listen(page))

    async def signalled(self, within_s: float) -> None:
        """Until the page says that it is ready, or has come to its end. Raises `Unreachable`."""
        await asyncio.wait((self.started, self.ended), timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        if not self.started.done() and not self.ended.done():
            raise Unreachable(f"The page did not signal START_RECORDING within {within_s:g} s.")

    def began(self) -> None:
        """The recording has begun, which the page is told."""
        _set(self._began)

    @property
    def has_ended(self) -> bool:
        """Whether the page said that its recording is at its end."""
        return self.ended.done() and not self.ended.cancelled()

    def close(self) -> None:
        """Nothing more is waited for."""
        for future in (self._began, self.started, self.ended):
            future.cancel()

    async def _bind(self, page: Page) -> None:
        await page.expose_binding(_BINDING, self._told)
        # Spoken before it is exposed, the name would not be there.
        await page.add_init_script(f"({_SCRIPT.read_text()})({json.dumps(_BINDING)}, {json.dumps(self._task)})")

    async def _listen(self, page: Page) -> None:
        """To the browser's own lines about what the page loads; not to the page's: each of them would cost."""
        browser: CDPSession = await page.context.new_cdp_session(page)
        browser.on("Log.entryAdded", self._logged)
        await browser.send("Log.enable")

    async def _told(self, source: dict[str, Any], what: str, which: str = "") -> None:
        if what == "protected":
            self.report.protected(str(which))
        elif source["frame"] != source["page"].main_frame:
            return
        elif what == "begun":
            await asyncio.shield(self._began)
        elif what == "start":
            _set(self.started)
        elif what == "stop":
            self.report.ended_by_page()
            _set(self.ended)

    def _logged(self, event: dict[str, Any]) -> None:
        entry = event["entry"]
        if entry["source"] == "network":
            self.report.browser_said(entry["text"], entry.get("url", ""))

    def _threw(self, error: Error) -> None:
        self.report.exception("\n".join((error.stack or error.message).splitlines()[:2]))

    def _navigated(self, frame: Frame) -> None:
        if frame.parent_frame is None:
            self.report.navigated()


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
