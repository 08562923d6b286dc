"""Work that the manager does again and again for as long as it lives."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

log = logging.getLogger("egress_ray.manager")


async def again_and_again(every_s: float, what: str, once: Callable[[], Awaitable[None]]) -> None:
    """Until cancelled, with a pause after each round. A round that fails is told of in the log, and does not end it."""
    while True:
        try:
            await once()
        except Exception:
            log.exception("The manager could not %s, and tries again", what)
        await asyncio.sleep(every_s)
