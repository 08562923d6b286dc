"""The guard, in aiortc's own receiver, packet by packet."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
from aiortc import RTCRtpReceiver
from aiortc.rtcrtpparameters import RTCRtpCodecParameters, RTCRtpReceiveParameters
from aiortc.rtcrtpreceiver import RemoteStreamTrack
from aiortc.rtp import RtcpPacket, RtcpRrPacket, RtcpRtpfbPacket, RtpPacket

from recorders.native.feed import VideoFeed
from recorders.sources.base import EncodedFrame, Kind
from recorders.sources.rtc_clock import MediaClock
from recorders.sources.rtc_guard import Guard
from tests.unit.rtc_pair import until
from tests.unit.sinks import EncodedSink


class Wire(EncodedSink):
    """A receiver's transport, which keeps what is sent, and the guard's sink."""

    state, _stats_id = "connected", "transport"

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[Any] = []
        self.floods = 0
        self.frames: list[EncodedFrame] = []
        self.receiver = RTCRtpReceiver("video", cast(Any, self))
        self.receiver._track = RemoteStreamTrack("video")
        self.receiver._set_rtcp_ssrc(9)
        self.guard = Guard("someone", self, MediaClock(), self.receiver, self._flood)

    @property
    def asked(self) -> list[int]:
        """Sequence numbers, by NACK."""
        return [n for packet in self.sent if isinstance(packet, RtcpRtpfbPacket) for n in packet.lost]

    def _flood(self) -> None:
        self.floods += 1

    def _register_rtp_receiver(self, *_: Any) -> None: ...
    def _unregister_rtp_receiver(self, *_: Any) -> None: ...

    async def _send_rtp(self, data: bytes) -> None:
        self.sent += RtcpPacket.parse(data)

    def encoded(self, uid: str, kind: Kind, frame: EncodedFrame) -> None:
        self.frames.append(frame)

    async def come(self, sequence: int, timestamp: int, *, key: bool = False, ssrc: int = 1) -> None:
        """A picture of one packet."""
        payload = (b"\x65" if key else b"\x41") + b"picture"
        packet = RtpPacket(100, 1, sequence % 65536, timestamp % 2**32, ssrc, payload)
        await self.receiver._handle_rtp_packet(packet, 0)


@asynccontextmanager
async def wire() -> AsyncIterator[Wire]:
    made = Wire()
    codec = RTCRtpCodecParameters("video/H264", 90000, payloadType=100)
    await made.receiver.receive(RTCRtpReceiveParameters(codecs=[codec]))
    try:
        yield made
    finally:
        made.guard.close()
        await asyncio.wait_for(made.receiver.stop(), 5)


@pytest.mark.parametrize("first", [65500, 65533])
def test_what_is_missing_is_asked_for_across_the_wrap_of_sequence_numbers(first: int) -> None:
    async def run() -> list[int]:
        async with wire() as line:
            await line.come(first, 0, key=True)
            await line.come(first + 40, 3000)
            await until(lambda: bool(line.asked))
            return line.asked

    assert asyncio.run(run()) == [n % 65536 for n in range(first + 1, first + 40)]


def test_streams_without_end_are_told_once_and_not_kept() -> None:
    async def run() -> None:
        async with wire() as line:
            for n in range(31):
                await line.come(0, 0, key=True, ssrc=n)
            assert (line.floods, len(line.frames)) == (0, 31)
            for n in range(31, 300):
                await line.come(0, 0, key=True, ssrc=n)
            assert (line.floods, len(line.frames)) == (1, 31)
            receiver: Any = line.receiver
            assert len(receiver._RTCRtpReceiver__remote_streams) == 31

    asyncio.run(run())


def test_a_report_that_cannot_be_packed_is_not_the_last() -> None:
    async def run() -> None:
        async with wire() as line:
            await line.come(0, 0, key=True)
            receiver: Any = line.receiver
            (stream,) = receiver._RTCRtpReceiver__remote_streams.values()
            stream._jitter_q4 = 1 << 40  # of timestamps that jump about
            await asyncio.sleep(1.6)
            line.sent.clear()
            stream._jitter_q4 = 0
            await until(lambda: any(isinstance(packet, RtcpRrPacket) for packet in line.sent))

    asyncio.run(run())


@pytest.mark.parametrize("first", [0, 2**32 - 9000])
def test_pictures_in_another_order_than_they_are_shown_keep_their_times(first: int) -> None:
    order = [0, *(n + k for n in range(1, 30, 3) for k in (2, 0, 1))]

    async def run() -> list[float]:
        async with wire() as line:
            begun = time.monotonic()
            for n, shown in enumerate(order):
                await asyncio.sleep(max(0.0, begun + n / 30 - time.monotonic()))
                await line.come(n, first + shown * 3000, key=n == 0)
            feed = VideoFeed(lambda: None, lambda n: None)
            for frame in line.frames:
                feed.push(frame)
            assert not feed.encoded("h264", line.frames[-1].t + 9), "they are to be encoded again"
            return [frame.t for frame in line.frames]

    times = asyncio.run(run())
    known = range(10, len(order))  # the clock has learned by then
    assert sorted(known, key=lambda n: times[n]) == sorted(known, key=lambda n: order[n])


def test_a_picture_that_the_clock_puts_too_early_follows_the_one_before() -> None:
    async def run() -> list[float]:
        async with wire() as line:
            for n in range(3):
                await line.come(n, 90 * n, key=n == 0)
                line.guard._last_t += 0.1
            return [frame.t for frame in line.frames]

    times = asyncio.run(run())
    assert times == sorted(set(times))
