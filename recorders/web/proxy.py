"""The one way out of a recording's browser: a SOCKS5 proxy on loopback that looks hosts up, holds them against the
rules, and connects to the very address that it has checked.

Chromium hands it names, not addresses, for all that it loads (http, https, ws and wss alike), so that there is no
second lookup that could give another answer. Only CONNECT without authentication is there (RFC 1928): nothing is
reached through it that is not public or allowed.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address

from recorders.errors import RecorderError, Refused, Unreachable
from recorders.web import lookup
from recorders.web.addresses import Address, Rules, literal
from recorders.web.hosts import host_of

# Ends of connections, two each: more than Chromium opens through one proxy.
_ENDS = 512
_HANDSHAKE_S = 10.0
_CONNECT_S = 10.0
# So many of a host's addresses are tried, the next one when the last has not answered within this (RFC 8305).
_ADDRESSES = 6
_NEXT_S = 0.25
# A server may say so much longer what it has to say to a browser that has hung up.
_LINGER_S = 10.0
_REMEMBERED = 64

_VERSION, _NO_AUTHENTICATION, _CONNECT = 5, 0, 1
_IPV4, _NAME, _IPV6 = 1, 3, 4
_GREETED = bytes([_VERSION, _NO_AUTHENTICATION])
_NOTHING_BOUND = bytes([0, _IPV4, *bytes(6)])
_CONNECTED = bytes([_VERSION, 0]) + _NOTHING_BOUND
# One answer for every failure: a page learns nothing from it, and Chromium does not take the proxy for broken.
_HOST_UNREACHABLE = bytes([_VERSION, 4]) + _NOTHING_BOUND


class Proxy:
    """One recording's. `refused` counts the connections that the rules have refused."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._lookup = lookup.Lookup(lookup.system)
        self._server: asyncio.Server | None = None
        self._open: set[_Side] = set()
        self._connecting: set[asyncio.Task[None]] = set()
        self._failures: dict[tuple[str, int], RecorderError] = {}
        self.refused = 0

    async def open(self) -> int:
        """Listen; the port on 127.0.0.1."""
        loop = asyncio.get_running_loop()
        listener = socket.create_server(("127.0.0.1", 0))
        self._server = await loop.create_server(lambda: _Browser(self._accept, self._connect), sock=listener)
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

    def _accept(self, side: _Side, there: bool) -> bool:
        if there and len(self._open) >= _ENDS:
            return False
        (self._open.add if there else self._open.discard)(side)
        return True

    def _connect(self, browser: _Browser, host: str, port: int) -> None:
        task = asyncio.get_running_loop().create_task(self._join(browser, host, port))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _join(self, browser: _Browser, host: str, port: int) -> None:
        """Connect the browser to a host, or tell it that this is not possible."""
        try:
            connected = await self._reach(host, port)
        except RecorderError as error:
            while len(self._failures) >= _REMEMBERED:
                del self._failures[next(iter(self._failures))]
            self._failures[host, port] = error
            browser.refuse()
            return
        self._failures.pop((host, port), None)
        if browser.gone:
            connected.close()
            return
        loop = asyncio.get_running_loop()
        _, server = await loop.create_connection(lambda: _Side(self._accept), sock=connected)
        browser.join(server)

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


class _Side(asyncio.Protocol):
    """One end of a connection through the proxy: what comes in here goes out at the other, no faster than it can."""

    def __init__(self, accept: Callable[[_Side, bool], bool]) -> None:
        self._accept = accept
        self._transport: asyncio.Transport | None = None
        self._other: _Side | None = None
        self._heard_all = False
        self.gone = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio, as below."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if not self._accept(self, True):
            transport.abort()

    def data_received(self, data: bytes) -> None:
        """Pass on."""
        if self._other is not None and self._other._transport is not None:
            self._other._transport.write(data)

    def pause_writing(self) -> None:
        """Let the other end wait."""
        if self._other is not None and self._other._transport is not None:
            self._other._transport.pause_reading()

    def resume_writing(self) -> None:
        """Let it go on."""
        if self._other is not None and self._other._transport is not None:
            self._other._transport.resume_reading()

    def eof_received(self) -> bool:
        """Pass on that no more will come; the other end may still have something to say."""
        other, self._heard_all = self._other, True
        if other is None or other._transport is None or other._heard_all:
            self.close()
            return False
        other._transport.write_eof()
        return True

    def connection_lost(self, error: Exception | None) -> None:
        """End the other end as well, after what it has yet to write."""
        self.gone = True
        self._accept(self, False)
        if self._other is not None and not self._other.gone:
            self._other.abort() if error is not None else self._other.close()

    def join(self, other: _Side) -> None:
        """Make of two ends one connection."""
        self._other, other._other = other, self
        if other.gone:
            self.close()

    def close(self) -> None:
        """End it after what is yet to be written."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """End it at once."""
        if self._transport is not None:
            self._transport.abort()


class _Browser(_Side):
    """The browser's end, which says first where it wants to go."""

    def __init__(self, accept: Callable[[_Side, bool], bool], connect: Callable[[_Browser, str, int], None]) -> None:
        super().__init__(accept)
        self._connect = connect
        self._asked = bytearray()
        self._greeted = False
        self._late = asyncio.get_running_loop().call_later(_HANDSHAKE_S, self.abort)

    def data_received(self, data: bytes) -> None:
        """The handshake, then what is to be passed on."""
        if self._other is not None:
            super().data_received(data)
            return
        self._asked += data
        try:
            self._shake_hands()
        except ValueError:
            self.abort()

    def eof_received(self) -> bool:
        """See `_Side`; a browser that has hung up does not wait for an answer for long."""
        asyncio.get_running_loop().call_later(_LINGER_S, self.abort)
        return super().eof_received()

    def connection_lost(self, error: Exception | None) -> None:
        """See `_Side`."""
        self._late.cancel()
        super().connection_lost(error)

    def join(self, other: _Side) -> None:
        """See `_Side`; tells the browser."""
        super().join(other)
        if self._transport is not None:
            self._transport.write(_CONNECTED)
            self._transport.resume_reading()

    def refuse(self) -> None:
        """Tell the browser that there is no way."""
        if self._transport is not None:
            self._transport.write(_HOST_UNREACHABLE)
            self._transport.close()

    def _shake_hands(self) -> None:
        assert self._transport is not None
        if not self._greeted and (rest := greeting(self._asked)) is not None:
            self._greeted, self._asked = True, rest
            self._transport.write(_GREETED)
        if self._greeted and (asked := request(self._asked)) is not None:
            self._late.cancel()
            self._transport.pause_reading()
            self._connect(self, *asked)


def greeting(data: bytearray) -> bytearray | None:
    """What follows a client's greeting (RFC 1928, 3); None while it is not whole. Raises `ValueError`."""
    if data[:1] not in (b"", bytes([_VERSION])):
        raise ValueError("not SOCKS5")
    if len(data) < 2 or len(data) < 2 + data[1]:
        return None
    if _NO_AUTHENTICATION not in data[2 : 2 + data[1]]:
        raise ValueError("wants to authenticate")
    return data[2 + data[1] :]


def request(data: bytearray) -> tuple[str, int] | None:
    """Host and port of a client's request (RFC 1928, 4); None while it is not whole. Raises `ValueError`."""
    if len(data) < 5:
        return None
    version, command, _, kind, first = data[:5]
    if (version, command) != (_VERSION, _CONNECT) or kind not in (_IPV4, _NAME, _IPV6):
        raise ValueError("not a request to connect")
    start, size = (5, first) if kind == _NAME else (4, 4 if kind == _IPV4 else 16)
    end = start + size
    if len(data) < end + 2:
        return None
    if len(data) > end + 2:
        raise ValueError("speaks before it is told")
    host = bytes(data[start:end]).decode("ascii") if kind == _NAME else str(ip_address(bytes(data[start:end])))
    if not host:
        raise ValueError("no host")
    return host.lower().removeprefix("[").removesuffix("]"), int.from_bytes(data[end : end + 2], "big")


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
