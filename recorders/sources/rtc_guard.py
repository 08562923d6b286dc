"""The guard: stands in for the jitter buffer and the NACKs of one of aiortc's receivers, and takes its media encoded.

aiortc asks once for what is missing, waits for it up to 512 packets long, and has no public way to encoded media. All
names of `RTCRtpReceiver` that are private to aiortc are used here; `tests/unit/test_rtc_pins.py` holds them to
their contract.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any, cast

from aiortc import RTCDtlsTransport, RTCRtpReceiver
from aiortc.rtcrtpparameters import RTCRtpReceiveParameters
from aiortc.rtp import AnyRtcpPacket, HeaderExtensions, HeaderExtensionsMap, RtcpSrPacket, RtpPacket

from recorders.sources.base import EncodedFrame, Kind, Sink
from recorders.sources.rtc_clock import MediaClock
from recorders.sources.rtc_frames import Assembler, Packet, Picture, Sequencer
from recorders.sources.rtc_nack import Requests

_CODECS = {"h264": "h264", "vp8": "vp8", "opus": "opus"}
# How often what is missing is looked after, and a keyframe asked for while one is needed.
_TEND_S = 0.015
_KEYFRAME_S = 0.5
_NACK_LIMIT = 200  # of one RTCP packet
_SSRC_LIMIT = 31  # of a receiver: as many as a receiver report has room for (RFC 3550, section 6.4.2)
# A picture is later than the one that it follows; a jump back by more is another timeline.
_STEP_S = 0.001
_JUMP_S = 1.0


class Guard:
    """One receiver's media into the sink, in order, as soon as it is whole; counts what it had to do for it.

    `flooded` is called when its SSRCs are too many: aiortc keeps each for ever.
    """

    def __init__(
        self, uid: str, sink: Sink, clock: MediaClock, receiver: RTCRtpReceiver, flooded: Callable[[], None]
    ) -> None:
        self._uid = uid
        self._sink = sink
        self._clock = clock
        self._receiver = receiver
        self._flooded = flooded
        self._loop = asyncio.get_running_loop()
        self._kind = cast(Kind, receiver.track.kind)
        self._codecs: dict[int, tuple[str, int]] = {}
        self._ssrc: int | None = None
        self._ssrcs = set[int]()
        self._pictures = Assembler()
        self._sound = Sequencer()
        self._requests = Requests()
        self._last_t = float("-inf")
        self._last_timestamp = 0
        self._asked = float("-inf")
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False
        self._receive, self._report = receiver.receive, receiver._send_rtcp
        self._rtp, self._rtcp = receiver._handle_rtp_packet, receiver._handle_rtcp_packet
        pinned = cast(Any, receiver)
        pinned._RTCRtpReceiver__jitter_buffer = self
        pinned._RTCRtpReceiver__nack_generator = None
        pinned._RTCRtpReceiver__rtx_ssrc = _Repairs(self)
        pinned._handle_rtp_packet = self._handle_rtp
        pinned._handle_rtcp_packet = self._handle_rtcp
        pinned._send_rtcp = self._send_rtcp
        pinned.receive = self._learn

    async def _learn(self, parameters: RTCRtpReceiveParameters) -> None:
        for codec in parameters.codecs:
            if codec.payloadType is not None and codec.name.lower() in _CODECS:
                self._codecs[codec.payloadType] = (_CODECS[codec.name.lower()], codec.clockRate)
        await self._receive(parameters)

    async def _handle_rtp(self, packet: RtpPacket, arrival_time_ms: int) -> None:
        self._ssrcs.add(packet.ssrc)
        if len(self._ssrcs) <= _SSRC_LIMIT:
            await self._rtp(packet, arrival_time_ms)
        elif not self._closed:
            self.close()
            self._flooded()

    async def _send_rtcp(self, packet: AnyRtcpPacket) -> None:
        """The error of a report that cannot be packed would end aiortc's reports, and with them `stop`."""
        with contextlib.suppress(ValueError, struct.error):
            await self._report(packet)

    async def _handle_rtcp(self, packet: Any) -> None:
        if isinstance(packet, RtcpSrPacket) and packet.ssrc == self._ssrc:
            self._clock.reported(self._kind, packet.sender_info.ntp_timestamp, packet.sender_info.rtp_timestamp)
        await self._rtcp(packet)

    def add(self, packet: RtpPacket) -> tuple[bool, None]:
        """As aiortc calls its jitter buffer: for each packet, with its payload unpacked as `_data`."""
        known = self._codecs.get(packet.payload_type)
        if self._closed or known is None:
            return False, None
        codec, rate = known
        now = self._loop.time()
        if packet.ssrc != self._ssrc:
            self._begin(packet.ssrc, rate)
        t = self._clock.arrived(self._kind, packet.timestamp, now)
        data = cast(bytes, cast(Any, packet)._data)
        one = Packet(packet.sequence_number, packet.timestamp, bool(packet.marker), codec, data, t)
        if self._kind == "audio":
            self._hear(self._sound.add(one, now))
        else:
            self._requests.arrived(one.sequence, now)
            self._show(self._pictures.add(one, now))
            if self._pictures.gaps:
                self._pictures.gaps = 0
                self._request(self._pictures.missing(), now)
        if self._timer is None:
            self._tend()
        return False, None

    def ask(self) -> None:
        """For a keyframe, if there is a picture at all."""
        if self._kind == "video" and self._ssrc is not None and not self._closed:
            self._asked = self._loop.time()
            self._sink.count("keyframes_asked")
            self._send(self._receiver._send_rtcp_pli(self._ssrc))

    def close(self) -> None:
        """No more media; the receiver itself goes with its connection."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()

    @property
    def ssrc(self) -> int | None:
        """Of the media; None before there is any."""
        return self._ssrc

    def _begin(self, ssrc: int, rate: int) -> None:
        self._ssrc = ssrc
        self._clock.begin(self._kind, rate)
        self._pictures, self._sound, self._requests = Assembler(), Sequencer(), Requests()
        self._last_t = float("-inf")

    def _hear(self, packets: Sequence[Packet]) -> None:
        for packet in packets:
            if packet.data:
                self._sink.encoded(self._uid, "audio", EncodedFrame(packet.codec, packet.data, packet.t))
        self._tell(self._sound)

    def _show(self, pictures: Sequence[Picture]) -> None:
        for picture in pictures:
            # The clock learns, and may put a picture before the one that it follows: nothing is to be shown so. But one
            # whose own timestamp goes back (B-frames) is to be shown before that.
            onward = (picture.timestamp - self._last_timestamp) % (1 << 32) < 1 << 31
            early = onward and 0 <= self._last_t - picture.t < _JUMP_S
            self._last_t = self._last_t + _STEP_S if early else picture.t
            self._last_timestamp = picture.timestamp
            frame = EncodedFrame(picture.codec, picture.data, self._last_t, picture.key)
            self._sink.encoded(self._uid, "video", frame)
        if self._pictures.dropped:
            self._sink.count("frames_dropped", self._pictures.dropped)
            self._pictures.dropped = 0
        if self._requests.recovered:
            self._sink.count("packets_recovered", self._requests.recovered)
            self._requests.recovered = 0
        self._tell(self._pictures)

    def _tell(self, of: Assembler | Sequencer) -> None:
        if of.lost:
            self._sink.count("packets_lost" if self._kind == "video" else "audio_packets_lost", of.lost)
        if of.repeated:
            self._sink.count("packets_repeated", of.repeated)
        of.lost = of.repeated = 0

    def _tend(self) -> None:
        """Look after what is missing, now and again, until nothing is."""
        self._timer = None
        now = self._loop.time()
        if self._kind == "audio":
            self._hear(self._sound.tend(now))
            waits = self._sound.waits
        else:
            self._show(self._pictures.tend(now))
            missing = self._pictures.missing()
            self._request(missing, now)
            pleads = self._pictures.pleads(now)
            if pleads and now - self._asked >= _KEYFRAME_S:
                self.ask()
            waits = bool(missing) or pleads
        if waits and not self._closed:
            self._timer = self._loop.call_later(_TEND_S, self._tend)

    def _request(self, missing: Sequence[int], now: float) -> None:
        asked = self._requests.due(missing, now)[:_NACK_LIMIT]
        if asked and self._ssrc is not None:
            self._sink.count("packets_asked", len(asked))
            for part in _ascending(asked):
                self._send(self._receiver._send_rtcp_nack(self._ssrc, part))

    def _send(self, sending: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(sending)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _ascending(sequences: Sequence[int]) -> Iterator[list[int]]:
    """Cut where the sequence numbers wrap: aiortc cannot pack such a NACK."""
    begin = 0
    for n in range(1, len(sequences) + 1):
        if n == len(sequences) or sequences[n] < sequences[n - 1]:
            yield list(sequences[begin:n])
            begin = n


def forgive(transport: RTCDtlsTransport) -> None:
    """Take packets with header extensions that cannot be read; aiortc would close the connection."""
    cast(Any, transport)._rtp_header_extensions_map = _Extensions()


class _Extensions(HeaderExtensionsMap):
    def get(self, extension_profile: int, extension_value: bytes) -> HeaderExtensions:
        try:
            return super().get(extension_profile, extension_value)
        except (ValueError, struct.error):
            return HeaderExtensions()


class _Repairs(dict[int, int]):
    """Whose packets an RTX stream (RFC 4588) sends again: a receiver has one stream, so they can only be its own, even
    where the SDP does not say so. FFmpeg's does not say it in the way that aiortc understands."""

    def __init__(self, guard: Guard) -> None:
        super().__init__()
        self._guard = guard

    def get(self, ssrc: int, default: Any = None) -> Any:
        """As aiortc asks for it."""
        return super().get(ssrc, default) or self._guard.ssrc
