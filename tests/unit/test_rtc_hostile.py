"""What strangers and hostile publishers send into a live session: it goes on, or ends and is freed."""

from __future__ import annotations

import asyncio
import random
import re
import socket
import struct
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from aioice import stun
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from recorders.sources.rtc import BadOffer, Peer
from recorders.sources.rtc_ice import Fragment, IceSettings
from tests.unit.rtc_pair import LOOPBACK, Encoded, Listener, connection, until


def ports(answer: str) -> set[int]:
    """Of its candidates."""
    return {int(line.split()[5]) for line in answer.splitlines() if line.startswith("a=candidate")}


def datagrams(chance: random.Random) -> Iterator[bytes]:
    """Of all lengths, and of each protocol that shares the port (RFC 7983)."""
    for length in [*range(80), *chance.choices(range(80, 1500), k=150), 1499, 1500, 1501, 1502, 2000, 9000]:
        for first in (chance.randrange(4), chance.randrange(20, 64), chance.randrange(128, 192), chance.randrange(256)):
            yield (bytes([first]) + chance.randbytes(length))[:length]
    for kind in range(20, 25):  # DTLS records whose length is not theirs, and alerts
        for length in (0, 1, 2, 13, 1200, 65535):
            for epoch in (0, 1):
                head = struct.pack("!BHHHLH", kind, 0xFEFD, epoch, 0, chance.randrange(1 << 20), length)
                yield head + b"\x02\x28"
                yield head[: chance.randrange(1, len(head))]
    for kind in range(192, 209):  # RTCP, truncated
        packet = struct.pack("!BBH", 0x80 | chance.randrange(64), kind, chance.randrange(20)) + chance.randbytes(60)
        yield packet[: chance.randrange(1, len(packet))]


def protected(chance: random.Random, ssrc: int) -> Iterator[bytes]:
    """RTP and RTCP of the publisher itself, before they are encrypted."""
    for sequence in range(300):
        size = chance.randrange(0, 12)
        bits = 0x80 | chance.choice((0, 0x10, 0x20, 0x30)) | chance.randrange(3)
        head = struct.pack("!BBHLL", bits, chance.randrange(96, 103), sequence, 0, ssrc)
        kind = chance.choice((0xBEDE, 0x1000))
        extension = struct.pack("!HH", kind, size) + bytes(chance.randrange(64) for _ in range(4 * size))
        yield head + extension + chance.randbytes(chance.randrange(40))
    for kind in range(192, 209):
        for words in range(16):
            yield struct.pack("!BBHL", 0x80 | chance.randrange(64), kind, words, ssrc) + chance.randbytes(4 * words)


async def spread(what: Iterable[bytes]) -> AsyncIterator[bytes]:
    """With pauses, in which it is received."""
    for n, data in enumerate(what):
        yield data
        if n % 20 == 0:
            await asyncio.sleep(0.005)


def quiet() -> None:
    """What aioice cannot parse goes to the loop's handler."""
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)


def test_datagrams_of_strangers_do_not_keep_a_publisher_out() -> None:
    def strangers(answer: str) -> None:
        (port,) = ports(answer)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            for data in datagrams(random.Random(6)):
                if data[:1] in (b"\x15", b"\x16"):  # alerts and handshakes
                    stranger.sendto(data, ("127.0.0.1", port))

    async def run() -> None:
        quiet()
        async with connection(Encoded("libopus", 50), answered=strangers) as (_, _, sink, changes):
            await until(lambda: len(sink.frames["audio"]) > 5 or "gone" in changes)
            assert changes == ["connected"]

    asyncio.run(run())


def test_datagrams_of_strangers_change_nothing() -> None:
    async def run() -> None:
        quiet()
        async with connection(Encoded("libopus", 50)) as (sender, _, sink, changes):
            await until(lambda: len(sink.frames["audio"]) > 5)
            (port,) = ports(sender.remoteDescription.sdp)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
                async for data in spread(datagrams(random.Random(7))):
                    stranger.sendto(data, ("127.0.0.1", port))
            await _goes_on(sink, changes)

    asyncio.run(run())


def test_datagrams_from_the_address_of_a_publisher_change_nothing() -> None:
    """As somebody forges them, who sees where they come from."""

    async def run() -> None:
        quiet()
        async with connection(Encoded("libopus", 50)) as (sender, _, sink, changes):
            await until(lambda: len(sink.frames["audio"]) > 5)
            ice: Any = sender.getSenders()[0].transport.transport
            async for data in spread(datagrams(random.Random(7))):
                await ice._send(data)
            await _goes_on(sink, changes)

    asyncio.run(run())


def test_what_a_publisher_sends_malformed_is_left_out() -> None:
    async def run() -> None:
        async with connection(Encoded("libopus", 50), Encoded("libvpx", 30)) as (sender, _, sink, changes):
            await until(lambda: len(sink.frames["audio"]) > 5 and bool(sink.frames["video"]))
            for track in sender.getSenders():
                encode: Any = track
                async for data in spread(protected(random.Random(8), encode._ssrc ^ 1)):
                    with suppress(Exception):  # what libsrtp will not encrypt
                        await encode.transport._send_rtp(data)
            await _goes_on(sink, changes)

    asyncio.run(run())


async def _goes_on(sink: Listener, changes: list[str]) -> None:
    heard = len(sink.frames["audio"])
    await until(lambda: len(sink.frames["audio"]) > heard + 20 or changes != ["connected"])
    assert changes == ["connected"]


def taken(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def test_a_publisher_of_streams_without_end_is_disconnected_and_freed() -> None:
    async def run() -> None:
        async with connection(Encoded("libopus", 50)) as (sender, peer, sink, changes):
            await until(lambda: bool(sink.frames["audio"]))
            (port,) = ports(sender.remoteDescription.sdp)
            encode: Any = sender.getSenders()[0]
            for ssrc in range(300):
                await encode.transport._send_rtp(struct.pack("!BBHLL", 0x80, 96, 1, 960, ssrc) + b"abc")
            await until(lambda: "gone" in changes)
            async with asyncio.timeout(1):
                await peer.close()
            assert not taken(port)

    asyncio.run(run())


def test_a_connection_that_does_not_close_is_freed_all_the_same() -> None:
    async def run() -> None:
        before = asyncio.all_tasks()
        async with connection(Encoded("libopus", 50), Encoded("libvpx", 30)) as (sender, peer, sink, _):
            await until(lambda: bool(sink.frames["audio"]))
            (port,) = ports(sender.remoteDescription.sdp)
            first = next(iter(peer._guards))
            stop = first.stop

            async def hang() -> None:
                await stop()
                await asyncio.Event().wait()

            first.stop = hang  # type: ignore[method-assign]
            async with asyncio.timeout(15):
                await peer.close()
            assert not taken(port)
        await until(lambda: asyncio.all_tasks() == before)

    asyncio.run(run())


def test_a_relay_that_answers_no_more_keeps_nobody_from_leaving() -> None:
    class Relay(asyncio.DatagramProtocol):
        """A TURN server that gives an address, and dies."""

        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def datagram_received(self, data: bytes, address: Any) -> None:
            asked = stun.parse_message(data)
            if asked.message_method == stun.Method.ALLOCATE:
                reply = stun.Message(asked.message_method, stun.Class.RESPONSE, asked.transaction_id)
                given = ("127.0.0.1", 9999)
                reply.attributes.update({"LIFETIME": 600, "XOR-MAPPED-ADDRESS": address, "XOR-RELAYED-ADDRESS": given})
                self.transport.sendto(bytes(reply), address)

    async def run() -> None:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(Relay, local_addr=("127.0.0.1", 0))
        at = f"turn:127.0.0.1:{transport.get_extra_info('sockname')[1]}"
        ice = IceSettings("127.0.0.1", turn_url=at, turn_username="me", turn_credential="pass")
        sender, peer = RTCPeerConnection(RTCConfiguration([])), Peer("someone", Listener(), ice, lambda *_: None)
        try:
            sender.addTransceiver("audio", "sendonly")
            await peer.answer((await sender.createOffer()).sdp)
            async with asyncio.timeout(10):
                await peer.close()
        finally:
            await sender.close()
            transport.close()

    asyncio.run(run())


def test_media_from_another_port_of_the_publisher_is_taken_at_once() -> None:
    """As after a NAT has given it another one."""

    class Moved:
        def __init__(self, former: Any) -> None:
            self._former = former
            self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.socket.bind(("127.0.0.1", 0))

        def sendto(self, data: bytes, address: Any) -> None:
            self.socket.sendto(data, address[:2])

        def __getattr__(self, name: str) -> Any:
            return getattr(self._former, name)

    async def run() -> None:
        async with connection(Encoded("libopus", 50)) as (sender, _, sink, _):
            await until(lambda: bool(sink.frames["audio"]))
            dtls: Any = sender.getSenders()[0].transport
            (protocol,) = {pair.protocol for pair in dtls.transport._connection._nominated.values()}
            protocol.transport = moved = Moved(protocol.transport)
            before = len(sink.frames["audio"])
            try:
                await until(lambda: len(sink.frames["audio"]) >= before + 25, 2)
            finally:
                protocol.transport = moved._former
                moved.socket.close()

    asyncio.run(run())


def test_a_data_channel_beside_media_is_let_be() -> None:
    async def run() -> None:
        sender, sink = RTCPeerConnection(RTCConfiguration([])), Listener()
        peer = Peer("someone", sink, LOOPBACK, lambda *_: None)
        try:
            channel = sender.createDataChannel("chat")
            sender.addTransceiver(Encoded("libopus", 50), "sendonly")
            await sender.setLocalDescription(await sender.createOffer())
            answer = await peer.answer(sender.localDescription.sdp)
            await sender.setRemoteDescription(RTCSessionDescription(answer, "answer"))
            await until(lambda: len(sink.frames["audio"]) >= 25)
            assert channel.readyState == "connecting"
        finally:
            await peer.close()
            await sender.close()

    asyncio.run(run())


def test_a_data_channel_alone_is_nothing_to_record() -> None:
    async def run() -> None:
        sender, peer = RTCPeerConnection(RTCConfiguration([])), Peer("someone", Listener(), LOOPBACK, lambda *_: None)
        try:
            sender.createDataChannel("chat")
            with pytest.raises(BadOffer, match="neither sound nor picture"):
                await peer.answer((await sender.createOffer()).sdp)
        finally:
            await peer.close()
            await sender.close()

    asyncio.run(run())


@pytest.mark.parametrize("kind", ["text", "message"])
def test_sections_of_other_kinds_are_refused(kind: str) -> None:
    async def run() -> None:
        sender, peer = RTCPeerConnection(RTCConfiguration([])), Peer("someone", Listener(), LOOPBACK, lambda *_: None)
        try:
            sender.addTransceiver("audio", "sendonly")
            offer = (await sender.createOffer()).sdp
            other = offer[offer.index("m=audio") :].replace("m=audio", f"m={kind}").replace("a=mid:0", "a=mid:1")
            with pytest.raises(BadOffer, match=rf"^The SDP offer has a section of kind {kind}; only audio and video"):
                await peer.answer(offer.replace("BUNDLE 0", "BUNDLE 0 1") + other)
        finally:
            await peer.close()
            await sender.close()

    asyncio.run(run())


def test_candidates_are_taken_up_to_a_number() -> None:
    def lines(first: int) -> list[str]:
        return [
            f"a=candidate:1 1 udp 1 192.0.2.{n % 250 + 1} {5000 + n} typ host\r\n" for n in range(first, first + 50)
        ]

    async def run() -> None:
        sender, peer = RTCPeerConnection(RTCConfiguration([])), Peer("someone", Listener(), LOOPBACK, lambda *_: None)
        try:
            sender.addTransceiver("audio", "sendonly")
            offer = (await sender.createOffer()).sdp
            await peer.answer("".join([offer, *lines(5000)]))
            path: Any = peer._path
            assert len(path._connection.remote_candidates) == 50
            (ufrag,) = re.findall("a=ice-ufrag:.*", offer)
            (password,) = re.findall("a=ice-pwd:.*", offer)
            for n in range(5050, 6000, 50):
                await peer.patch(Fragment.parse("".join([f"{ufrag}\n{password}\n", *lines(n)])))
            assert len(path._connection.remote_candidates) == 64
        finally:
            await peer.close()
            await sender.close()

    asyncio.run(run())
