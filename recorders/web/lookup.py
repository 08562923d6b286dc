"""Looking up hosts for pages: within a bound, several at once, each answer shared for a moment.

The system's resolver does it, in threads that nobody has to wait for: one that hangs holds up no end.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Callable
from ipaddress import ip_address

from recorders.web.addresses import Address

# Blocking; addresses of a host in the order in which they are to be tried. Raises `socket.gaierror`.
Resolver = Callable[[str], list[Address]]

_AT_ONCE = 8
_TIMEOUT_S = 10.0
# Long enough for the connections that a page opens to one host at once, short for names that move.
_KEPT_S = 5.0
_KEPT = 256


def system(host: str) -> list[Address]:
    """What the system says: its hosts file, DNS, and what else it was told to use."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(ip_address(address[0]) for *_, address in found))


class Lookup:
    """Hosts to addresses, for one recording."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self._free = asyncio.Semaphore(_AT_ONCE)
        self._answers: dict[str, tuple[float, asyncio.Task[list[Address]]]] = {}

    async def addresses(self, host: str) -> list[Address]:
        """Raises `socket.gaierror`, or TimeoutError."""
        now = time.monotonic()
        asked, answer = self._answers.get(host, (0.0, None))
        if answer is None or now - asked > _KEPT_S:
            for each in [each for each, (at, _) in self._answers.items() if now - at > _KEPT_S]:
                del self._answers[each]
            answer = asyncio.create_task(self._ask(host))
            answer.add_done_callback(lambda task: task.cancelled() or task.exception())  # nobody may wait any more
            if len(self._answers) < _KEPT:
                self._answers[host] = (now, answer)
        return await asyncio.shield(answer)

    def close(self) -> None:
        """Wait for no answer any more."""
        for _, answer in self._answers.values():
            answer.cancel()

    async def _ask(self, host: str) -> list[Address]:
        async with asyncio.timeout(_TIMEOUT_S):
            await self._free.acquire()
            loop = asyncio.get_running_loop()
            answer: asyncio.Future[list[Address]] = loop.create_future()

            def told(found: list[Address] | OSError | UnicodeError) -> None:
                self._free.release()
                if answer.done():
                    return
                if isinstance(found, list):
                    answer.set_result(found)
                else:
                    answer.set_exception(found if isinstance(found, OSError) else socket.gaierror(str(found)))

            def ask() -> None:
                found: list[Address] | OSError | UnicodeError
                try:
                    found = self._resolver(host)
                except (OSError, UnicodeError) as error:  # names that are none, too
                    found = error
                with contextlib.suppress(RuntimeError):  # the recording has ended meanwhile
                    loop.call_soon_threadsafe(told, found)

            threading.Thread(target=ask, name="lookup", daemon=True).start()
            return await answer
