"""Playwright's driver, a Node.js process beside each browser, made small and quick to start by its environment."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.async_api import Playwright

_PRELOADED = Path(__file__).with_name("driver.cjs")
# It lives for a few small messages: without room for garbage and without compiled code it takes a fifth less memory.
# It keeps what a page prints and throws, however long: at eight times what it needs it ends, and the browser with it.
_OPTIONS = f'--max-semi-space-size=1 --max-old-space-size=256 --jitless --expose-gc --require="{_PRELOADED}"'
# glibc gives blocks of so many bytes back to the system when they are not used any more: 5 MB of its start.
_OWN_BLOCKS = "32768"
# Where it keeps its own code as it was parsed before: a third less to do at each start.
_CACHE = Path("~/.cache/egress-ray/driver").expanduser()

_begun: asyncio.Task[Playwright] | None = None
_ending: set[asyncio.Task[None]] = set()


def begin() -> None:
    """Start it ahead, for the first `start` of this process; in the loop of that."""
    global _begun
    _begun = asyncio.create_task(_start())


async def start() -> Playwright:
    """One of its own for each caller. Raises playwright's errors."""
    global _begun
    begun, _begun = _begun, None
    starting = begun or asyncio.create_task(_start())
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        # Playwright would leave the process behind.
        ending = asyncio.create_task(_end(starting))
        _ending.add(ending)
        ending.add_done_callback(_ending.discard)
        raise


async def ended() -> None:
    """Until those that were not wanted any more when they came have ended."""
    if _ending:
        await asyncio.wait(_ending)


async def _end(starting: asyncio.Task[Playwright]) -> None:
    await asyncio.wait([starting])
    if not starting.cancelled() and starting.exception() is None:
        await starting.result().stop()


async def _start() -> Playwright:
    from playwright.async_api import async_playwright

    # The driver has its environment from this process, in which somebody may have put other things.
    os.environ.setdefault("NODE_OPTIONS", _OPTIONS)
    os.environ.setdefault("NODE_COMPILE_CACHE", str(_CACHE))
    os.environ.setdefault("MALLOC_MMAP_THRESHOLD_", _OWN_BLOCKS)
    return await async_playwright().start()
