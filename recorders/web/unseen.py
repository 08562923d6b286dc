"""Asking a page something without it noticing, where the page's own scripts are not, and what they have changed.

Playwright's own `evaluate` counts as a touch by the user, which lets a page open for some seconds what only a user
may: full screen, file and device choosers, screen capture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.async_api import CDPSession, Page


_WORLD = "egress"


class Unseen:
    """Questions to the page that is in a tab at the time."""

    def __init__(self, session: CDPSession) -> None:
        self._session = session
        self._world: int | None = None

    @classmethod
    async def of(cls, page: Page) -> Unseen:
        """For a tab, for as long as it lives."""
        return cls(await page.context.new_cdp_session(page))

    async def ask(self, function: str) -> Any:
        """What a JavaScript function gives, or what its promise does, as JSON. Raises playwright's `Error`."""
        from playwright.async_api import Error

        if self._world is None:
            tree = await self._session.send("Page.getFrameTree")
            where = {"frameId": tree["frameTree"]["frame"]["id"], "worldName": _WORLD}
            self._world = (await self._session.send("Page.createIsolatedWorld", where))["executionContextId"]
        question = {"expression": f"({function})()", "awaitPromise": True, "returnByValue": True}
        try:
            answer = await self._session.send("Runtime.evaluate", {**question, "contextId": self._world})
        except Error:
            self._world = None  # it went with the document
            raise
        if "exceptionDetails" in answer:
            raise Error(answer["exceptionDetails"]["text"])
        return answer["result"].get("value")
