"""The one way out of a recording's browser: a SOCKS5 proxy on loopback that looks hosts up, holds them against the
rules, and connects to the very address that it has checked.

Chromium hands it names, not addresses, for all that it loads (http, https, ws and wss alike), so that there is no
second lookup that could give another answer. It asks nobody for a password: nothing is reached
through it that is not public or allowed.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from ipaddress import IPv6Address, ip_address

from recorders.errors import RecorderError, Refused, Unreachable
from recorders.web import lookup
from recorders.web.addresses import Address, Rules, literal
from recorders.web.hosts import host_of
from recorders.web.socks import BrowserSide, ServerSide, Side

# Ends of connections, two each.
_ENDS = 512
_CONNECT_S = 10.0
# So many of a host's addresses are tried, the next one when the last has not answered within this (RFC 8305).
_ADDRESSES = 6
_NEXT_S = 0.25
_REMEMBERED = 64


class Proxy:
    """One recording's. `refused` counts the connections that the rules have refused."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._lookup = lookup.Lookup(lookup.system)
        self._server: asyncio.Server | None = None
        self._open: set[Side] = set()
        self._connecting: set[asyncio.Task[None]] = set()
        self._failures: dict[tuple[str, int], RecorderError] = {}
        self.refused = 0

    async def open(self) -> int:
        """Listen; the port on 127.0.0.1."""
        loop = asyncio.get_running_loop()
        listener = socket.create_server(("127.0.0.1", 0))
        self._server = await loop.create_server(lambda: BrowserSide(self._accept, self._connect), sock=listener)
        return int(listener.getsockname()[1])

    async def close(self) -> None:
        """Stop listening, and hang up everywhere."""
        if self._server is not None:
            self._server.close()
        for task in self._connecting:
            task.cancel()
        await asyncio.gather(*self._connecting, return_exceptions=True)
        self._lookup.close()
        for side in list(self._open):
            side.abort()

    def failure(self, url: str) -> RecorderError | None:
        """Why the host of `url` could not be reached the last time; None when it could."""
        found = host_of(url)
        return self._failures.get(found) if found else None

    def _accept(self, side: Side, there: bool) -> bool:
        if there and len(self._open) >= _ENDS:
            return False
        (self._open.add if there else self._open.discard)(side)
        return True

    def _connect(self, browser: BrowserSide, host: str, port: int) -> None:
        task = asyncio.get_running_loop().create_task(self._join(browser, host, port))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _join(self, browser: BrowserSide, host: str, port: int) -> None:
        """Connect the browser to a host, or tell it that this is not possible."""
        try:
            connected = await self._reach(host, port)
            self._failures.pop((host, port), None)
            server = ServerSide(self._accept, browser)
            await asyncio.get_running_loop().create_connection(lambda: server, sock=connected)
        except RecorderError as error:
            while len(self._failures) >= _REMEMBERED:
                del self._failures[next(iter(self._failures))]
            self._failures[host, port] = error
        finally:
            browser.refuse()

    async def _reach(self, host: str, port: int) -> socket.socket:
        """A connection to an address of `host` that pages may reach. Raises `RecorderError`."""
        from aiohappyeyeballs import start_connection

        addresses = await self._allowed(host, port)
        infos = [_info(address, port) for address in addresses[:_ADDRESSES]]
        try:
            async with asyncio.timeout(_CONNECT_S):
                return await start_connection(infos, happy_eyeballs_delay=_NEXT_S, interleave=1)
        except TimeoutError:
            raise Unreachable(f"The page's host {host} did not answer within {_CONNECT_S:g} s.") from None
        except ConnectionRefusedError:
            raise Unreachable(f"The page's host {host} refused the connection.") from None
        except OSError as error:
            raise Unreachable(f"The page's host {host} could not be reached ({error.strerror or error}).") from None

    async def _allowed(self, host: str, port: int) -> list[Address]:
        """The addresses of `host` that pages may reach, at least one. Raises `RecorderError`."""
        if (reason := self._rules.against_host(host, port)) is not None:
            raise self._refusal(host, reason)
        if (written := _written(host)) is not None:
            found = [written]
        else:
            try:
                found = await self._lookup.addresses(host)
            except TimeoutError:
                raise Unreachable(f"The page's host {host} could not be looked up in time.") from None
            except OSError as error:
                if error.errno == socket.EAI_AGAIN:
                    raise Unreachable(f"The page's host {host} could not be looked up ({error.strerror}).") from None
                raise Refused(f"The page's host {host} was not found in DNS.") from None
        reasons = [self._rules.against_address(address, _is_own(address)) for address in found]
        allowed = [address for address, reason in zip(found, reasons, strict=True) if reason is None]
        if not allowed:
            raise self._refusal(host, f"{'it' if written else found[0]} is {reasons[0]}")
        return allowed

    def _refusal(self, host: str, reason: str) -> Refused:
        self.refused += 1
        return Refused(f"The page's host {host} may not be reached: {reason}.")


def _written(host: str) -> Address | None:
    """The address that a host is written as; names of this machine are for the resolver."""
    return None if host.rstrip(".").endswith("localhost") else literal(host)


def _info(address: Address, port: int) -> tuple[int, int, int, str, tuple[str, int] | tuple[str, int, int, int]]:
    if isinstance(address, IPv6Address):
        return socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (str(address), port, 0, 0)
    return socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (str(address), port)


def _is_own(address: Address) -> bool:
    """Whether an address is one of this machine's: from such a one the system reaches it. Nothing is sent."""
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect((str(address), 9))
        return bool(ip_address(probe.getsockname()[0]) == address)
    return False


def arguments(port: int, link_port: int, webrtc_udp: bool) -> list[str]:
    """Chromium's arguments that leave it no other way than the proxy at `port`, except to the recorder's own page."""
    found = [
        f"--proxy-server=socks5://127.0.0.1:{port}",
        # Loopback is not left out, as it would be by default, but for the one port.
        f"--proxy-bypass-list=<-loopback>;127.0.0.1:{link_port}",
        "--disable-quic",
    ]
    if not webrtc_udp:
        found += [
            "--webrtc-ip-handling-policy=disable_non_proxied_udp",
            # It looks nothing up by itself, for whatever reason: WebRTC's servers, for one, or a prefetch.
            "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
        ]
    return found
