"""Whether a browser is alive: its packets arrive, it answers, and its page paints when it is asked to.

A page that stands still sends no new pictures, so that these tell nothing; but a page that is alive runs a callback of
an animation frame, which takes its main thread, the compositor and the GPU process, and paints nothing.
Which doubts there are is told here; what is done about them, in `succession.py`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from recorders.web.unseen import Unseen

if TYPE_CHECKING:
    from playwright.async_api import CDPSession, Page

TICK_S = 0.25
# The recorder's page sends sound ten times a second, and may be held up for half a second on a busy machine.
_SILENT_S = 1.5
# From here on it is no doubt.
_LOST_S = 5.0
# How often the browser is asked whether it is there, how long its answer may take.
_ASK_S = 0.5
_ANSWER_S = 1.5
# The same for the page, which may be busy with itself for a while, and is no worse for it: setting `web.hung_s`.
_PAINT_S = 2.0
_FRAME = "() => new Promise(resolve => requestAnimationFrame(() => resolve(0)))"


@dataclass(frozen=True, slots=True)
class Doubt:
    """What is wrong, as a sentence: that the browser is there at all, or only that its page is."""

    what: Literal["browser", "page"]
    why: str


class Quiet:
    """For how long nothing has been heard, as found by looking at it every `TICK_S`.

    A time in which nobody looked counts as one look: then it was we who were held up.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._looked = clock()
        self.seconds = 0.0

    def look(self, heard: bool) -> None:
        """Whether something was heard since the last look, or nothing is waited for."""
        now = self._clock()
        passed, self._looked = now - self._looked, now
        self.seconds = 0.0 if heard else self.seconds + min(passed, 2 * TICK_S)


class Liveness:
    """Of a browser that records: `heard` tells when its last packet came (monotonic seconds)."""

    def __init__(self, cdp: CDPSession, heard: Callable[[], float], hung_s: float) -> None:
        self._hung_s = hung_s
        self._heard = heard
        self._last = heard()
        self._packets = Quiet()
        self._browser = _Question(lambda: cdp.send("Browser.getVersion"), _ASK_S)
        unseen = Unseen(cdp)
        self._page = _Question(lambda: unseen.ask(_FRAME), _PAINT_S)

    @classmethod
    async def of(cls, page: Page, heard: Callable[[], float], hung_s: float) -> Liveness:
        """`page` is the one under record, and hangs when it does not paint for `hung_s`."""
        return cls(await page.context.new_cdp_session(page), heard, hung_s)

    def look(self) -> Doubt | None:
        """To be called every `TICK_S`: what is doubtful now. Raises nothing."""
        heard, last, self._last = self._heard(), self._last, self._heard()
        self._packets.look(heard > last)
        answered, painted = self._browser.look(), self._page.look()
        if self._packets.seconds >= _SILENT_S:
            return Doubt("browser", "The browser sent nothing any more.")
        if answered >= _ANSWER_S:
            return Doubt("browser", "The browser did not answer any more.")
        if painted >= self._hung_s:
            return Doubt("page", f"The page did not answer for {self._hung_s:g} s.")
        return None

    @property
    def lost(self) -> str | None:
        """Why there is no hope, as a sentence."""
        return f"The browser has sent nothing for {_LOST_S:g} s." if self._packets.seconds >= _LOST_S else None

    def close(self) -> None:
        """Ask no more."""
        self._browser.close()
        self._page.close()


class _Question:
    """Asked again and again, once at a time, `every` so many seconds after the last answer. Any answer will do."""

    def __init__(self, ask: Callable[[], Awaitable[Any]], every: float) -> None:
        self._ask = ask
        self._every = every
        self._asked: asyncio.Future[Any] | None = None
        self._next = time.monotonic()
        self._quiet = Quiet()

    def look(self) -> float:
        """For how long an answer has been waited for."""
        if self._asked is not None and self._asked.done():
            if not self._asked.cancelled():
                self._asked.exception()  # an error is an answer: what it means, others tell
            self._asked, self._next = None, time.monotonic() + self._every
        self._quiet.look(self._asked is None)
        if self._asked is None and time.monotonic() >= self._next:
            self._asked = asyncio.ensure_future(self._ask())
        return self._quiet.seconds

    def close(self) -> None:
        if self._asked is not None:
            self._asked.cancel()
