"""Asking a page something without it noticing.

Playwright's own `evaluate` counts as a touch by the user, which lets a page open for some seconds what only a user
may: full screen, file and device choosers, screen capture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.async_api import CDPSession, Page


class Unseen:
    """Questions to the page that is in a tab at the time."""

    def __init__(self, session: CDPSession) -> None:
        self._session = session

    @classmethod
    async def of(cls, page: Page) -> Unseen:
        """For a tab, for as long as it lives."""
        return cls(await page.context.new_cdp_session(page))

    async def ask(self, function: str) -> Any:
        """What a JavaScript function gives, or what its promise does, as JSON. Raises playwright's `Error`."""
        from playwright.async_api import Error

        question = {"expression": f"({function})()", "awaitPromise": True, "returnByValue": True}
        answer = await self._session.send("Runtime.evaluate", question)
        if "exceptionDetails" in answer:
            raise Error(answer["exceptionDetails"]["text"])
        return answer["result"].get("value")
