"""What a page and its recorder say to each other: the task, the signals, and what is noticed in the page meanwhile.

In the page it is `window.egress`, made by `contract.js`. The page is asked, and cannot call: a binding of playwright's,
called with what is not JSON, ends the driver. What it answers is bounded there, for the driver and this process take it
whole. A frame in it, with whatever was let into it, is not asked, and can
neither begin nor end a recording.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recorders.errors import Unreachable
from recorders.web.report import Report

if TYPE_CHECKING:
    from playwright.async_api import CDPSession, Error, Frame, Page

_SCRIPT = Path(__file__).with_name("contract.js")
_NAME = "__egressRay"
_BEGUN = f"globalThis.{_NAME}?.begun()"
_NEXT = f"globalThis.{_NAME}?.next()"
# How soon the page is asked again: when it has told something, and when it has not been there to be asked.
_AGAIN_S = 0.05
# So much of what a page throws is looked at: it says how long that is.
_THROWN = 4096


class Contract:
    """With the page of one browser; used once. `task` is what the page is told, as JSON: nothing secret."""

    def __init__(self, task: dict[str, Any], report: Report) -> None:
        self._task = task
        self._cdp: CDPSession | None = None
        self._began = False
        self._tasks: set[asyncio.Task[None]] = set()
        self.report = report
        loop = asyncio.get_running_loop()
        self.started: asyncio.Future[None] = loop.create_future()
        self.ended: asyncio.Future[None] = loop.create_future()
        self.page: Page | None = None

    async def offer(self, page: Page) -> None:
        """Be there for whatever `page` loads from now on."""
        self.page = page
        page.on("pageerror", self._threw)
        page.on("framenavigated", self._navigated)
        script = f"({_SCRIPT.read_text()})({json.dumps(_NAME)}, {json.dumps(self._task)})"
        _, cdp = await asyncio.gather(page.add_init_script(script), page.context.new_cdp_session(page))
        self._cdp = cdp
        # The browser's own lines about what the page loads; not the page's, each of which would cost.
        cdp.on("Log.entryAdded", self._logged)
        await cdp.send("Log.enable")
        self._do(self._listen(cdp))

    async def signalled(self, within_s: float) -> None:
        """Until the page says that it is ready, or has come to its end. Raises `Unreachable`."""
        await asyncio.wait((self.started, self.ended), timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        if not self.started.done() and not self.ended.done():
            raise Unreachable(f"The page did not signal START_RECORDING within {within_s:g} s.")

    def began(self) -> None:
        """The recording has begun, which the page is told."""
        self._began = True
        if self._cdp is not None:
            self._do(self._tell(self._cdp))

    @property
    def has_ended(self) -> bool:
        """Whether the page said that its recording is at its end."""
        return self.ended.done() and not self.ended.cancelled()

    def close(self) -> None:
        """Nothing more is waited for."""
        for waiting in (self.started, self.ended, *self._tasks):
            waiting.cancel()

    async def _listen(self, cdp: CDPSession) -> None:
        """To the page, document after document, until cancelled."""
        from playwright.async_api import Error

        while True:
            told = None
            with contextlib.suppress(Error):  # it has gone on to another document
                if self._began:
                    await cdp.send("Runtime.evaluate", {"expression": _BEGUN})
                question = {"expression": _NEXT, "awaitPromise": True, "returnByValue": True}
                told = (await cdp.send("Runtime.evaluate", question))["result"].get("value")
            self._heard(told)
            await asyncio.sleep(_AGAIN_S)

    async def _tell(self, cdp: CDPSession) -> None:
        from playwright.async_api import Error

        with contextlib.suppress(Error):
            await cdp.send("Runtime.evaluate", {"expression": _BEGUN})

    def _heard(self, told: Any) -> None:
        """Whatever it is: the page may have made it."""
        for line in told.split("\n") if isinstance(told, str) else ():
            match line.split(" ", 1):
                case ["protected", which]:
                    self.report.protected(which)
                case ["start"]:
                    _set(self.started)
                case ["stop"]:
                    self.report.ended_by_page()
                    _set(self.ended)

    def _logged(self, event: dict[str, Any]) -> None:
        entry = event["entry"]
        if entry["source"] == "network":
            self.report.browser_said(entry["text"], entry.get("url", ""))

    def _threw(self, error: Error) -> None:
        self.report.exception("\n".join((error.stack or error.message)[:_THROWN].splitlines()[:2]))

    def _navigated(self, frame: Frame) -> None:
        if frame.parent_frame is None:
            self.report.navigated()

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
