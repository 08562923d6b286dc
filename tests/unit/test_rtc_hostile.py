"""What strangers and hostile publishers send into a live session: it goes on, or ends and is freed."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from aiortc import RTCPeerConnection

from tests.unit.rtc_pair import Encoded, Listener, connection, until


def ports(sender: RTCPeerConnection) -> list[int]:
    """Of the other side's candidates."""
    lines = sender.remoteDescription.sdp.splitlines()
    return [int(line.split()[5]) for line in lines if line.startswith("a=candidate")]


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


def test_datagrams_of_strangers_change_nothing() -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda *_: None)  # what aioice cannot parse is reported there
        async with connection(Encoded("libopus", 50)) as (sender, _, sink, changes):
            await until(lambda: len(sink.frames["audio"]) > 5)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
                for n, data in enumerate(datagrams(random.Random(7))):
                    for port in ports(sender):
                        stranger.sendto(data, ("127.0.0.1", port))
                    if n % 20 == 0:
                        await asyncio.sleep(0.005)
            await _goes_on(sink, changes)

    asyncio.run(run())


def test_what_a_publisher_sends_malformed_is_left_out() -> None:
    async def run() -> None:
        async with connection(Encoded("libopus", 50), Encoded("libvpx", 30)) as (sender, _, sink, changes):
            await until(lambda: len(sink.frames["audio"]) > 5 and bool(sink.frames["video"]))
            for track in sender.getSenders():
                encode: Any = track
                for n, data in enumerate(protected(random.Random(8), encode._ssrc ^ 1)):
                    with suppress(Exception):  # what libsrtp will not encrypt
                        await encode.transport._send_rtp(data)
                    if n % 20 == 0:
                        await asyncio.sleep(0.005)
            await _goes_on(sink, changes)

    asyncio.run(run())


async def _goes_on(sink: Listener, changes: list[str]) -> None:
    heard = len(sink.frames["audio"])
    await until(lambda: len(sink.frames["audio"]) > heard + 20 or changes != ["connected"])
    assert changes == ["connected"]
