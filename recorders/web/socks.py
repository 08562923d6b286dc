"""A SOCKS5 server's side of connections (RFC 1928), and how bytes are passed on through them.

Only CONNECT without authentication is there, which is all that Chromium asks for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from ipaddress import ip_address
from typing import cast

_HANDSHAKE_S = 10.0
# A server may say so much longer what it has to say to a browser that has hung up.
_LINGER_S = 10.0

_VERSION, _NO_AUTHENTICATION, _CONNECT = 5, 0, 1
_IPV4, _NAME, _IPV6 = 1, 3, 4
_GREETED = bytes([_VERSION, _NO_AUTHENTICATION])
_NOTHING_BOUND = bytes([0, _IPV4, *bytes(6)])
_CONNECTED = bytes([_VERSION, 0]) + _NOTHING_BOUND
# One answer for every failure: a page learns nothing from it, and Chromium does not take the proxy for broken.
_HOST_UNREACHABLE = bytes([_VERSION, 4]) + _NOTHING_BOUND


class Side(asyncio.Protocol):
    """One end of a connection through the proxy: what comes in here goes out at the other, no faster than it can."""

    def __init__(self, accept: Callable[[Side, bool], bool]) -> None:
        self._accept = accept
        self._transport: asyncio.Transport | None = None
        self._other: Side | None = None
        self._heard_all = False
        self.gone = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio, as below."""
        # Ray's loop is uvloop, whose transports are none of asyncio's classes.
        self._transport = cast(asyncio.Transport, transport)
        if not self._accept(self, True):
            self._transport.abort()

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

    def join(self, other: Side) -> None:
        """Make of two ends one connection."""
        self._other, other._other = other, self

    def close(self) -> None:
        """End it after what is yet to be written."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """End it at once."""
        if self._transport is not None:
            self._transport.abort()


class BrowserSide(Side):
    """The browser's end, which says first where it wants to go."""

    def __init__(self, accept: Callable[[Side, bool], bool], connect: Callable[[BrowserSide, str, int], None]) -> None:
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
        """See `Side`; a browser that has hung up does not wait for an answer for long."""
        asyncio.get_running_loop().call_later(_LINGER_S, self.abort)
        return super().eof_received()

    def connection_lost(self, error: Exception | None) -> None:
        """See `Side`."""
        self._late.cancel()
        super().connection_lost(error)

    def join(self, other: Side) -> None:
        """See `Side`; tells the browser."""
        super().join(other)
        if self._transport is not None:
            self._transport.write(_CONNECTED)
            self._transport.resume_reading()

    def refuse(self) -> None:
        """Tell the browser that there is no way, if it has been given none."""
        if self._transport is not None and self._other is None:
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


class ServerSide(Side):
    """The other end, which may speak as soon as it is connected."""

    def __init__(self, accept: Callable[[Side, bool], bool], browser: BrowserSide) -> None:
        super().__init__(accept)
        self._browser = browser

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio."""
        super().connection_made(transport)
        self._browser.join(self)
        if self._browser.gone:
            self.close()


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
