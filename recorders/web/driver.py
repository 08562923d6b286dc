"""Playwright's driver, a Node.js process beside each browser, made small and quick to start by its environment."""

from __future__ import annotations

import os
from pathlib import Path

_PRELOADED = Path(__file__).with_name("driver.cjs")
# It lives for a few small messages: without room for garbage and without compiled code it takes a fifth less memory.
_OPTIONS = f'--max-semi-space-size=1 --jitless --require="{_PRELOADED}"'
# Where it keeps its own code as it was parsed before: a third less to do at each start.
_CACHE = Path("~/.cache/egress-ray/driver")


def prepare() -> None:
    """Put what makes it so into this process' environment, unless somebody has put other things there."""
    os.environ.setdefault("NODE_OPTIONS", _OPTIONS)
    os.environ.setdefault("NODE_COMPILE_CACHE", str(_CACHE.expanduser()))
