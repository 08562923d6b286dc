"""The guard, in aiortc's own receiver, behind a bad network: simulated time, so that minutes take seconds.

What is looked at is what the renderer would show and sound, `DELAY_S` after capture.
"""

from __future__ import annotations

import asyncio
import random
import selectors
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pytest
from aiortc import RTCRtpReceiver
from aiortc.rtcrtpparameters import RTCRtpCodecParameters, RTCRtpReceiveParameters
from aiortc.rtcrtpreceiver import RemoteStreamTrack
from aiortc.rtp import (
    RTCP_PSFB_PLI,
    RTCP_RTPFB_NACK,
    RtcpPacket,
    RtcpPsfbPacket,
    RtcpRtpfbPacket,
    RtcpSenderInfo,
    RtcpSrPacket,
    RtpPacket,
)

from recorders.sources.base import EncodedFrame, Kind
from recorders.sources.rtc_clock import MediaClock
from recorders.sources.rtc_guard import Guard
from tests.unit.sinks import EncodedSink

DELAY_S = 0.3  # the default playout delay
RATE = 30
PARTS = 4  # packets of a picture
HISTORY = 64  # packets that the sender can send again
RTCP_S = 1.0
_NTP = 3_900_000_000


class _Selector(selectors.DefaultSelector):
    """Does not wait: the time that is to be waited for passes at once."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0

    def select(self, timeout: float | None = None) -> Any:
        self.now += max(0.0, timeout or 0.0)
        return super().select(0)


def simulated(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run in simulated time."""
    selector = _Selector()
    loop = asyncio.SelectorEventLoop(selector)
    loop.time = lambda: selector.now  # type: ignore[method-assign]
    try:
        loop.run_until_complete(work())
    finally:
        loop.close()


@dataclass
class Network:
    """One way: `loss` of 1, `delay` seconds and up to `jitter` more, so that packets overtake each other."""

    chance: random.Random
    loss: float
    delay: float = 0.02
    jitter: float = 0.05
    repeats: float = 0.01
    carried: int = 0

    def carry(self, deliver: Callable[[], None]) -> bool:
        """Whether it arrives at all."""
        if self.chance.random() < self.loss:
            return False
        for _ in range(1 + (self.chance.random() < self.repeats)):
            self.carried += 1
            late = (
                self.delay + self.chance.uniform(0, self.jitter) + self.carried * 1e-9
            )  # those of one moment in order
            asyncio.get_running_loop().call_later(late, deliver)
        return True


class Heard(EncodedSink):
    """Notes when what came (simulated seconds), and when that was captured."""

    def __init__(self) -> None:
        super().__init__()
        self.frames: dict[Kind, list[tuple[float, EncodedFrame]]] = {"audio": [], "video": []}

    def encoded(self, uid: str, kind: Kind, frame: EncodedFrame) -> None:
        self.frames[kind].append((asyncio.get_running_loop().time(), frame))


class Stream:
    """A sender of one kind that answers NACK and PLI, and an aiortc receiver with a guard, with a network between."""

    def __init__(self, kind: Kind, sink: Heard, clock: MediaClock, there: Network, back: Network) -> None:
        self.kind = kind
        self.lost = self.failures = 0
        self._there, self._back = there, back
        self._clockrate = 90000 if kind == "video" else 48000
        self._ssrc = 1 if kind == "video" else 2
        self._sequence = 65000
        self._history: dict[int, RtpPacket] = {}
        self._key = True
        self._running: set[asyncio.Task[None]] = set()
        self.receiver = RTCRtpReceiver(kind, cast(Any, self))
        self.receiver._track = RemoteStreamTrack(kind)
        self.receiver._set_rtcp_ssrc(9)
        self._guard = Guard("someone", cast(Any, sink), clock, self.receiver, lambda: None)

    # What a receiver wants of its transport.
    state, _stats_id = "connected", "transport"

    def _register_rtp_receiver(self, *_: Any) -> None: ...
    def _unregister_rtp_receiver(self, *_: Any) -> None: ...

    async def _send_rtp(self, data: bytes) -> None:
        self._back.carry(lambda: self._feedback(data))

    async def open(self) -> None:
        name = "VP8" if self.kind == "video" else "opus"
        codec = RTCRtpCodecParameters(f"{self.kind}/{name}", self._clockrate, payloadType=100)
        await self.receiver.receive(RTCRtpReceiveParameters(codecs=[codec]))

    async def close(self) -> None:
        self._guard.close()
        await self.receiver.stop()

    def send(self, n: int, t: float) -> None:
        """Picture or sound number `n`, captured at `t`; its number is in the data."""
        number = n.to_bytes(4, "big")
        if self.kind == "audio":
            parts = [number]
        else:
            first = b"\x00" if self._key or n % 300 == 0 else b"\x01"
            self._key = False
            parts = [b"\x10" + first + number, *[b"\x00" + number] * (PARTS - 1)]
        for i, part in enumerate(parts):
            packet = RtpPacket(100, sequence_number=self._sequence, timestamp=self._rtp(t), payload=part)
            packet.ssrc, packet.marker = self._ssrc, int(i == len(parts) - 1)
            self._history[self._sequence] = packet
            self._history.pop((self._sequence - HISTORY) % 65536, None)
            self._sequence = (self._sequence + 1) % 65536
            self.lost += not self._carry(packet)

    def lose(self, share: float) -> None:
        """From now on, in both ways."""
        self._there.loss = self._back.loss = share

    def report(self, t: float) -> None:
        """A sender report."""
        ntp = round((_NTP + t) * 2**32)
        sr = RtcpSrPacket(self._ssrc, RtcpSenderInfo(ntp, self._rtp(t), 0, 0))
        self._there.carry(lambda: self._run(self.receiver._handle_rtcp_packet(sr)))

    def _rtp(self, t: float) -> int:
        return round(t * self._clockrate) % 2**32

    def _carry(self, packet: RtpPacket) -> bool:
        return self._there.carry(lambda: self._run(self.receiver._handle_rtp_packet(packet, 0)))

    def _feedback(self, data: bytes) -> None:
        for packet in RtcpPacket.parse(data):
            if isinstance(packet, RtcpRtpfbPacket) and packet.fmt == RTCP_RTPFB_NACK:
                for sequence in packet.lost:
                    if sequence in self._history:
                        self._carry(self._history[sequence])
            elif isinstance(packet, RtcpPsfbPacket) and packet.fmt == RTCP_PSFB_PLI:
                self._key = True

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._running.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self.failures += task.exception() is not None


@dataclass
class Shown:
    """Seconds of the longest stall, share of pictures that were repeated, seconds from picture to sound, and so on."""

    worst_stall: float
    repeated: float
    audio_lost: int  # of those sent
    audio_lost_by_network: int
    offsets: np.ndarray[Any, np.dtype[np.float64]]
    counters: dict[str, int]


def play(
    loss: float, seconds: float, *, seed: int = 1, jitter: float = 0.05, outage: tuple[float, float] = (0, 0)
) -> Shown:
    """Nothing arrives during the `outage` (from, to)."""
    sink = Heard()
    chance = random.Random(seed)

    async def run() -> None:
        loop = asyncio.get_running_loop()
        clock, begin = MediaClock(), loop.time()
        streams = [
            Stream(kind, sink, clock, Network(chance, loss, jitter=jitter), Network(chance, loss, jitter=jitter))
            for kind in ("video", "audio")
        ]
        for at, share in zip(outage, (1.0, loss), strict=True):
            for stream in streams:
                loop.call_later(at, stream.lose, share)
        for stream in streams:
            await stream.open()
        for n in range(round(seconds * 150)):  # of which 30 are pictures and 50 are sounds
            t = begin + n / 150
            await asyncio.sleep(t - loop.time())
            if n % 5 == 0:
                streams[0].send(n // 5, t)
            if n % 3 == 0:
                streams[1].send(n // 3, t)
            if n % 150 == 75:
                for stream in streams:
                    stream.report(t)
        await asyncio.sleep(1)
        lost.append(streams[1].lost)
        for stream in streams:
            await stream.close()
            assert not stream.failures

    lost: list[int] = []
    simulated(run)
    return _look(sink, seconds, lost[0])


def _look(sink: Heard, seconds: float, audio_lost: int, skipped: float = 2.0) -> Shown:
    """As it is shown: at each tick the newest picture that is due, of those that have come. The beginning, in which
    the clock is still learning, is left out."""
    begin = 1000.0
    pictures = [(at, f.t, int.from_bytes(f.data[1:5], "big")) for at, f in sink.frames["video"]]
    sounds = [(at, f.t, int.from_bytes(f.data, "big")) for at, f in sink.frames["audio"]]
    shown, heard, offsets = -1, 0, []
    changes: list[float] = []
    ticks = 0
    waiting = list(reversed(pictures))
    here: list[tuple[float, int]] = []
    for k in range(round(skipped * RATE), round((seconds - 0.1) * RATE)):
        tick = begin + k / RATE + DELAY_S + 0.004
        while waiting and waiting[-1][0] <= tick:
            here.append(waiting.pop()[1:])
        due = [(t, n) for t, n in here[-40:] if t <= tick - DELAY_S + 0.5 / RATE]
        ticks += 1
        if due and due[-1][1] != shown:
            shown = due[-1][1]
            changes.append(tick)
    by_number = {n: t - n / RATE for _, t, n in pictures}
    for at, t, n in sounds:
        heard += at <= t + DELAY_S
        if n / 50 >= skipped and n % 5 == 0 and n * 3 // 5 in by_number:
            offsets.append(t - n / 50 - by_number[n * 3 // 5])
    stalls = np.diff(changes) - 1 / RATE
    return Shown(
        float(stalls.max()), 1 - len(changes) / ticks, round(seconds * 50) - heard, audio_lost, np.array(offsets),
        sink.counters,
    )  # fmt: skip


@pytest.mark.parametrize(("loss", "stall", "repeated"), [(1, 0.3, 1), (3, 0.7, 4), (5, 0.7, 8), (10, 1.0, 20)])
def test_a_bad_network(loss: int, stall: float, repeated: float) -> None:
    shown = play(loss / 100, 40, seed=loss)
    assert shown.worst_stall <= stall, shown
    assert 100 * shown.repeated <= repeated, shown
    assert shown.audio_lost <= shown.audio_lost_by_network + 0.01 * 40 * 50, shown
    assert np.percentile(abs(shown.offsets), 95) <= 0.030, shown
    assert shown.counters["packets_recovered"] > 0.8 * loss / 100 * 40 * RATE * PARTS, shown
    assert shown.counters["audio_packets_lost"] <= shown.audio_lost_by_network + 5


def test_a_clean_network() -> None:
    shown = play(0.0, 10, jitter=0.0)
    assert shown.worst_stall < 0.01, shown
    assert shown.repeated == 0, shown
    assert shown.audio_lost == 0, shown
    assert abs(shown.offsets).max() < 0.001, shown
    assert set(shown.counters) <= {"keyframes_asked", "packets_repeated"}, shown


def test_an_outage_is_over_with_the_first_keyframe_after_it() -> None:
    shown = play(0.0, 14, outage=(6.0, 7.0))
    assert 0.8 < shown.worst_stall < 1.5, shown
    assert shown.counters["packets_lost"] >= 0.4 * RATE * PARTS, shown
    assert shown.counters["keyframes_asked"] >= 2, shown
    assert shown.audio_lost <= shown.audio_lost_by_network + 2, shown
