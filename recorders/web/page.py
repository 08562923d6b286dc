"""Loading the page under record, and what it means when it does not load."""

from __future__ import annotations

import asyncio
import contextlib
import http
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from recorders.errors import RecorderError, Refused, Unreachable
from recorders.web.unseen import Unseen

if TYPE_CHECKING:
    from playwright.async_api import Page, Request, Response

# How long a page that has loaded may take to paint twice, before it is recorded as it is.
_PAINT_TIMEOUT_S = 0.5
_PAINTED = """() => new Promise(resolve => requestAnimationFrame(first => requestAnimationFrame(() => resolve({
    painted: performance.timeOrigin + first - 1,
    answered: performance.timeOrigin + (performance.getEntriesByType("navigation")[0]?.responseStart ?? 0),
}))))"""
_NOT_OPENED = {
    "ERR_DISALLOWED_URL_SCHEME",
    "ERR_INVALID_URL",
    "ERR_UNKNOWN_URL_SCHEME",
    "ERR_UNSAFE_PORT",
    "ERR_UNSAFE_REDIRECT",
}
# A fresh attempt may find another answer.
_PASSING = {408, 425, 429}


@dataclass(frozen=True, slots=True)
class Loaded:
    """Unix milliseconds: the page's last paint, and its answer, before which nothing of it was painted."""

    painted: float
    answered: float


async def load(
    page: Page,
    url: str,
    timeout_s: float,
    unreached: Callable[[str], RecorderError | None],
    signalled: Callable[[], Awaitable[None]] | None = None,
) -> Loaded:
    """Go to `url` and wait until it has loaded and painted; where the page tells itself when it is ready, for that.

    A page that answers but does not finish loading in time is recorded as it is. Raises `Refused` or `Lost` when
    there is no page, what `signalled` raises, and playwright's errors when there is no browser any more; `unreached`
    knows why a URL's host was not reached, if that is why.
    """
    from playwright.async_api import Error
    from playwright.async_api import TimeoutError as Late

    status: list[int] = []
    led_to = url

    def asked(request: Request) -> None:
        nonlocal led_to
        if request.is_navigation_request() and request.frame == page.main_frame:
            led_to = request.url

    def answered(response: Response) -> None:
        if response.request.is_navigation_request() and response.frame == page.main_frame:
            status.append(response.status)

    unseen = await Unseen.of(page)
    page.on("request", asked)
    page.on("response", answered)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_s
    try:
        response = await page.goto(url, wait_until="commit", timeout=timeout_s * 1000)
        if response is not None:
            status.append(response.status)
    except Late:
        raise Unreachable(f"The page did not answer within {timeout_s:g} s.") from None
    except Error as error:
        if type(error) is not Error:  # the browser or its tab is gone
            raise
        told = unreached(led_to) or (http_failure(status[-1]) if status else None)
        raise told or network_failure(led_to, error.message) from None
    finally:
        page.remove_listener("request", asked)
        page.remove_listener("response", answered)
    if status and (bad := http_failure(status[-1])):
        raise bad
    if signalled is not None:
        await signalled()
    else:
        with contextlib.suppress(Late):
            await page.wait_for_load_state("load", timeout=max(1.0, (deadline - loop.time()) * 1000))
    try:
        async with asyncio.timeout(_PAINT_TIMEOUT_S):
            return Loaded(**await unseen.ask(_PAINTED))
    except (TimeoutError, Error):  # busy, or gone on to another page meanwhile
        return Loaded(0.0, 0.0)


def http_failure(status: int) -> RecorderError | None:
    """What a page's HTTP status means; None for a page."""
    if status < 400:
        return None
    try:
        phrase = f" ({http.HTTPStatus(status).phrase})"
    except ValueError:
        phrase = ""
    sentence = f"The page answered HTTP {status}{phrase}."
    return Refused(sentence) if status < 500 and status not in _PASSING else Unreachable(sentence)


def network_failure(url: str, message: str) -> RecorderError:
    """What Chromium's reason ("net::ERR_...") for not loading `url` means."""
    reason = next((word.strip(".,;:") for word in message.split() if word.startswith("net::ERR_")), "")
    reason = reason.removeprefix("net::")
    parts = urlsplit(url)
    host = parts.hostname or url
    if reason in ("ERR_NAME_NOT_RESOLVED", "ERR_NAME_RESOLUTION_FAILED", "ERR_ICANN_NAME_COLLISION"):
        return Refused(f"The page's host {host} was not found in DNS.")
    if reason == "ERR_CONNECTION_REFUSED":
        return Unreachable(f"The page's host {host} refused the connection.")
    if reason.startswith(("ERR_CERT_", "ERR_SSL_")):
        return Refused(f"The page's certificate or TLS is not valid ({reason}).")
    if reason == "ERR_TOO_MANY_REDIRECTS":
        return Refused("The page redirects in a circle.")
    if reason == "ERR_ABORTED":
        return Refused("The page's address gives a download or nothing at all, not a page.")
    if reason in _NOT_OPENED:
        return Refused(f"The browser does not open this page's address ({reason}).")
    if reason in ("ERR_CONNECTION_TIMED_OUT", "ERR_TIMED_OUT"):
        return Unreachable(f"The page's host {host} did not answer ({reason}).")
    return Unreachable(f"The page could not be loaded ({reason or message.splitlines()[0]}).")
