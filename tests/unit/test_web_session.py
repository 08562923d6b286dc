"""What becomes of a browser that dies, or loses its page, before it records."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from playwright._impl._errors import TargetClosedError
from playwright.async_api import Error

from recorders.config import WebConfig
from recorders.errors import Lost, Unreachable
from recorders.spec import PageSpec, VideoSpec
from recorders.web.clock import Clock
from recorders.web.contract import Contract
from recorders.web.page import load
from recorders.web.report import Report
from recorders.web.session import Session
from recorders.web.sink import Feed, Sink
from recorders.web.unseen import Unseen

CRASHED = "The page crashed in the browser."


class _Browser:
    def __init__(self) -> None:
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class _Station:
    """Its browser ends when its own page is asked for; why, it tells after so many seconds, if at all."""

    def __init__(self, tells_after_s: float | None) -> None:
        self.link, self.browser = None, _Browser()
        self._tells_after_s = tells_after_s

    async def open(self) -> None: ...

    async def subject(self, *_: Any) -> Any:
        await asyncio.sleep(60)

    async def own_page(self) -> Any:
        if self._tells_after_s is not None:
            loop = asyncio.get_running_loop()
            loop.call_later(self._tells_after_s, self.browser.lost.set_exception, Lost(CRASHED))
        raise TargetClosedError("Page.goto: Target page, context or browser has been closed\nCall log:\n  - x")


@pytest.mark.parametrize(
    ("tells_after_s", "why"),
    [
        (0.05, CRASHED),
        (None, "The browser did not do as asked: Page.goto: Target page, context or browser has been closed."),
    ],
)
def test_a_browser_that_ends_before_it_records_is_lost(tells_after_s: float | None, why: str) -> None:
    async def run() -> None:
        contract, feed = Contract({}, Report("http://x/", 1)), Feed(Sink())
        station = cast(Any, _Station(tells_after_s))
        session = Session(PageSpec("http://x/"), WebConfig(), VideoSpec(), {}, feed, contract, Clock(), station)
        with pytest.raises(Lost) as caught:
            await session.start()
        assert str(caught.value) == why

    asyncio.run(run())


class _Page:
    """One that is not reached, for this reason."""

    main_frame = None

    def __init__(self, error: Error) -> None:
        self._error = error

    def on(self, *_: Any) -> None: ...

    def remove_listener(self, *_: Any) -> None: ...

    async def goto(self, *_: Any, **__: Any) -> None:
        raise self._error


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (Error("Page.goto: net::ERR_FAILED at http://x/"), Unreachable),
        (TargetClosedError("Page.goto: Page crashed"), TargetClosedError),
    ],
)
def test_a_page_whose_browser_is_gone_is_not_one_that_does_not_answer(
    error: Error, kind: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def of(page: Any) -> None: ...

    monkeypatch.setattr(Unseen, "of", of)
    with pytest.raises(kind):
        asyncio.run(load(cast(Any, _Page(error)), "http://x/", 1, lambda _: None))
