"""Which addresses a connection is offered at, and how its path is replaced (ICE restart) or extended (trickle ICE).

aiortc cannot restart ICE. Its ICE transport is given another aioice connection instead, below DTLS, which does not
notice. All names that are private to aioice and to aiortc's ICE transport are used here; `tests/unit/test_rtc_pins.py`
holds them to their contract.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import random
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import aioice.ice
from aioice import Candidate, Connection
from aioice.candidate import candidate_foundation, candidate_priority
from aiortc import RTCIceServer, RTCIceTransport, RTCRtpTransceiver

from recorders.config import IceConfig

_GATHER_S = 5.0
_CHECK_S = 15.0
_ABANDON_S = 2.0
_RECEIVE_BUFFER = 1 << 20
CANDIDATES = 64  # of the other side's, in one connection
_DATAGRAM = 1500  # bytes that libsrtp takes
_DTLS = (b"\x14", b"\x3f")  # of the first bytes (RFC 7983)
_ICE_CHARS = re.compile(r"[A-Za-z0-9+/]+")


class BadFragment(ValueError):
    """An ICE fragment cannot be used; one sentence."""


class NoPort(OSError):
    """No local address or port is left to be offered; one sentence."""


@dataclass(frozen=True, slots=True)
class IceSettings:
    """Local addresses offered: `address` alone, or all of this machine's, `loopback` being its own last one.

    `ports` is the range (first, last) of local UDP ports, by default the system's. `public_address` is offered besides,
    for a 1:1 NAT that keeps ports. `stun_url` and `turn_url` are for other NATs.
    """

    address: str | None = None
    stun_url: str | None = None
    loopback: bool = False
    ports: tuple[int, int] | None = None
    public_address: str | None = None
    turn_url: str | None = None
    turn_username: str | None = None
    turn_credential: str | None = field(default=None, repr=False)

    @staticmethod
    def of(config: IceConfig, *, loopback: bool = False) -> IceSettings:
        """Those of a source's settings."""
        return IceSettings(
            config.ice_address,
            config.stun_url,
            loopback,
            config.udp_ports,
            config.public_address,
            config.turn_url,
            config.turn_username,
            config.turn_credential.get_secret_value() if config.turn_credential else None,
        )

    def servers(self) -> list[RTCIceServer]:
        """As aiortc is told of them."""
        stun = [RTCIceServer(self.stun_url)] if self.stun_url else []
        turn = [RTCIceServer(self.turn_url, self.turn_username, self.turn_credential)] if self.turn_url else []
        return stun + turn


@dataclass(frozen=True, slots=True)
class Fragment:
    """What an SDP fragment tells of ICE (RFC 8840, section 9): `last` when no candidates will follow."""

    ufrag: str = ""
    password: str = field(default="", repr=False)
    candidates: tuple[Candidate, ...] = ()
    last: bool = False

    @staticmethod
    def parse(text: str) -> Fragment:
        """Raises `BadFragment`. Candidates that cannot be reached by UDP, and mDNS names, are left out."""
        found = dict[str, str]()
        candidates = []
        last = False
        for line in text.splitlines():
            name, _, value = line.strip().removeprefix("a=").partition(":")
            if name in ("ice-ufrag", "ice-pwd"):
                found.setdefault(name, value)
            elif name == "end-of-candidates":
                last = True
            elif name == "candidate":
                with contextlib.suppress(ValueError):
                    candidate = Candidate.from_sdp(value)
                    ipaddress.ip_address(candidate.host)
                    if candidate.transport.lower() == "udp" and candidate.component == 1:
                        candidates.append(candidate)
        ufrag, password = found.get("ice-ufrag", ""), found.get("ice-pwd", "")
        for value, length, what in ((ufrag, 4, "ice-ufrag"), (password, 22, "ice-pwd")):
            if not _ICE_CHARS.fullmatch(value) or not length <= len(value) <= 256:
                raise BadFragment(f"The SDP fragment has no {what} that RFC 8839 allows.")
        return Fragment(ufrag, password, tuple(candidates[:CANDIDATES]), last)

    def sdp(self, kind: str, mid: str) -> str:
        """As a body of `application/trickle-ice-sdpfrag`, for the first media section."""
        lines = [f"a=ice-ufrag:{self.ufrag}", f"a=ice-pwd:{self.password}"]
        lines += [f"m={kind} 9 UDP/TLS/RTP/SAVPF 0", f"a=mid:{mid}"]
        lines += [f"a=candidate:{candidate.to_sdp()}" for candidate in self.candidates]
        return "".join(f"{line}\r\n" for line in [*lines, *(["a=end-of-candidates"] if self.last else [])])


def offer_addresses(transceivers: list[RTCRtpTransceiver], ice: IceSettings) -> None:
    """Offer the addresses that the settings say; to be called before candidates are gathered."""
    for transceiver in transceivers:
        _offer(cast(Any, transceiver.receiver.transport.transport.iceGatherer)._connection, ice)


def _offer(connection: Connection, ice: IceSettings) -> None:
    """aioice itself leaves loopback out, and lets the system choose the ports."""
    pinned = cast(Any, connection)
    gather = aioice.ice.Connection.get_component_candidates.__get__(connection)

    async def mine(component: int, addresses: list[str], timeout: int = 5) -> list[Candidate]:
        chosen = [ice.address] if ice.address else [*addresses, *(["127.0.0.1"] if ice.loopback else [])]
        if ice.ports is None:
            candidates: list[Candidate] = await gather(component=component, addresses=chosen, timeout=timeout)
        else:
            protocols = [p for address in chosen if (p := await _bind(connection, component, address, ice.ports))]
            if chosen and not protocols:
                first, last = ice.ports
                raise NoPort(f"No UDP port from {first} to {last} is free at {', '.join(chosen)}.")
            pinned._protocols += protocols
            relayed = await gather(component=component, addresses=[], timeout=timeout)
            candidates = [*(p.local_candidate for p in protocols), *await _reflexive(connection, protocols), *relayed]
        for protocol in pinned._protocols:
            _shut_to_strangers(connection, protocol)
        return [*candidates, *_public(candidates, ice.public_address)]

    pinned.get_component_candidates = mine


def _shut_to_strangers(connection: Connection, protocol: Any) -> None:
    """Take DTLS from those alone whom ICE knows: until there are keys, whoever sends it is believed. Media tells itself
    whose it is, and may come from another port after a NAT has changed its mind."""
    receive, pinned = protocol.datagram_received, cast(Any, connection)

    def received(data: bytes, address: tuple[Any, ...]) -> None:
        if (
            not _DTLS[0] <= data[:1] <= _DTLS[1]
            or any(address[:2] == (one._network_host, one.port) for one in pinned._remote_candidates)
            or any(address[:2] == early for _, early, _ in pinned._early_checks)
        ):
            receive(data, address)

    protocol.datagram_received = received


async def _bind(connection: Connection, component: int, address: str, ports: tuple[int, int]) -> Any:
    """A host candidate at one of the ports, None when there is none to be had."""
    loop = asyncio.get_running_loop()
    first, last = ports
    begin = random.randrange(last - first + 1)  # noqa: S311, so that a port rests before it is used again
    for offset in range(last - first + 1):
        port = first + (begin + offset) % (last - first + 1)
        try:
            transport, protocol = await loop.create_datagram_endpoint(
                lambda: aioice.ice.StunProtocol(connection), local_addr=(address, port)
            )
        except OSError:
            continue
        if (sock := transport.get_extra_info("socket")) is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        protocol.local_candidate = _candidate("host", component, address, port)
        return protocol
    return None


async def _reflexive(connection: Connection, protocols: list[Any]) -> list[Candidate]:
    """What the STUN server says where these are seen."""
    if connection.stun_server is None:
        return []
    asking = [
        asyncio.wait_for(aioice.ice.server_reflexive_candidate(protocol, connection.stun_server), _GATHER_S)
        for protocol in protocols
        if ipaddress.ip_address(protocol.local_candidate.host).version == 4
    ]
    told = await asyncio.gather(*asking, return_exceptions=True)
    return [one[0] for one in told if not isinstance(one, BaseException)]


def _public(candidates: list[Candidate], address: str | None) -> Iterator[Candidate]:
    """Each host candidate as it is seen from outside a 1:1 NAT."""
    for one in candidates:
        if address is not None and one.type == "host" and one.host != "127.0.0.1":
            version = ipaddress.ip_address(one.host).version
            if version == ipaddress.ip_address(address).version:
                yield _candidate("srflx", one.component, address, one.port, base=one.host)


def _candidate(kind: str, component: int, host: str, port: int, base: str | None = None) -> Candidate:
    return Candidate(
        foundation=candidate_foundation(kind, "udp", base or host),
        component=component,
        transport="udp",
        priority=candidate_priority(component, kind),
        host=host,
        port=port,
        type=kind,
        related_address=base,
        related_port=port if base else None,
    )


class Path:
    """The way of one peer connection's packets, which can be replaced while DTLS goes on.

    To be made before the connection connects. The old way is used until the new one has been found.
    """

    def __init__(self, transport: RTCIceTransport, ice: IceSettings) -> None:
        self._ice = ice
        self._transport = cast(Any, transport)
        self._connection: Connection = self._transport._connection
        self._next: Connection | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._remote_ufrag = ""
        self._transport._recv, self._transport._send = self._recv, self._send

    async def add(self, fragment: Fragment) -> Fragment | None:
        """Candidates of the way that is being looked for; with another ufrag than before, another way is looked for,
        and what is to be told of our end of it is returned."""
        connection = self._next or self._connection
        known = self._remote_ufrag or connection.remote_username
        if known is None or fragment.ufrag == known:
            await _take(connection, fragment)
            return None
        return await self._restart(fragment)

    async def close(self) -> None:
        """Give up looking for another way."""
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.wait((self._connecting,))

    async def abandon(self) -> None:
        """Close it from below, for a transport that will not; bounded."""
        await self.close()
        # What has been cancelled in there already is told as a cancellation.
        closing = asyncio.ensure_future(self._connection.close())
        await asyncio.wait((closing,), timeout=_ABANDON_S)
        closing.cancel()

    async def _restart(self, fragment: Fragment) -> Fragment:
        await self.close()
        old = self._connection
        self._next = found = Connection(
            ice_controlling=old.ice_controlling,
            stun_server=old.stun_server,
            turn_server=old.turn_server,
            turn_username=old.turn_username,
            turn_password=old.turn_password,
            turn_ssl=old.turn_ssl,
            turn_transport=old.turn_transport,
        )
        _offer(found, self._ice)
        try:
            await found.gather_candidates()
        except BaseException:
            self._next = None
            await found.close()
            raise
        found.remote_username, found.remote_password = fragment.ufrag, fragment.password
        self._remote_ufrag = fragment.ufrag
        await _take(found, fragment)
        self._connecting = asyncio.create_task(self._go_over(found))
        return Fragment(found.local_username, found.local_password, tuple(found.local_candidates), last=True)

    async def _go_over(self, found: Connection) -> None:
        old = self._connection
        try:
            await asyncio.wait_for(found.connect(), _CHECK_S)
        except BaseException as error:
            self._next = None
            await found.close()
            if not isinstance(error, ConnectionError | TimeoutError):
                raise
            return
        # aiortc waits for the old one's end, to close everything: that is to be the new one's.
        ours, theirs = cast(Any, found), cast(Any, old)
        ours._event_waiter, theirs._event_waiter = theirs._event_waiter, None
        self._connection, self._next = found, None
        self._transport._connection = self._transport.iceGatherer._connection = found
        await old.close()

    async def _recv(self) -> bytes:
        while True:
            connection = self._connection
            try:
                data = await connection.recv()
            except ConnectionError:
                if connection is self._connection:
                    raise
                continue
            if 0 < len(data) <= _DATAGRAM:  # aiortc ends on others, whoever sent them
                return data

    async def _send(self, data: bytes) -> None:
        await self._connection.send(data)


async def _take(connection: Connection, fragment: Fragment) -> None:
    """That they are the last ones is not passed on: those that were left out make themselves known by their checks."""
    if not cast(Any, connection)._remote_candidates_end:
        for candidate in fragment.candidates[: max(0, CANDIDATES - len(connection.remote_candidates))]:
            await connection.add_remote_candidate(candidate)
