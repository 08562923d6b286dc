"""A participant's WebRTC connection, receive only: its encoded media is taken before aiortc decodes it.

All that knows aiortc is here. aiortc has no public way to encoded media, so names that are private to it are
used, all of them in `_Tap` and `_offer_addresses`; `tests/unit/test_rtc_pins.py` holds them to their contract.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, cast

import aioice.ice
from aiortc import (
    RTCBundlePolicy,
    RTCConfiguration,
    RTCIceServer,
    RTCPeerConnection,
    RTCRtpReceiver,
    RTCRtpTransceiver,
    RTCSessionDescription,
)
from aiortc.rtcrtpparameters import RTCRtpReceiveParameters
from aiortc.rtp import RtcpSrPacket, RtpPacket
from aiortc.sdp import SessionDescription

from recorders.sources.base import EncodedFrame, Kind, Sink
from recorders.sources.rtc_clock import MediaClock
from recorders.sources.rtc_frames import Assembler, Once, Packet, Picture

log = logging.getLogger(__name__)

_CODECS = {"h264": "h264", "vp8": "vp8", "opus": "opus"}
# How often what is missing is asked for again, and a keyframe while one is needed.
_TEND_S = 0.06
_KEYFRAME_S = 1.0
_NACK_LIMIT = 200  # of one RTCP packet
_CONNECT_S = 15.0
_CLOSE_S = 2.0


class BadOffer(ValueError):
    """An SDP offer cannot be answered; one sentence."""


@dataclass(frozen=True, slots=True)
class IceSettings:
    """Local addresses offered: `address` alone, or all of this machine's, `loopback` being its own last one.

    `stun_url` and `turn_url` are for those behind a NAT.
    """

    address: str | None = None
    stun_url: str | None = None
    loopback: bool = False
    turn_url: str | None = None
    turn_username: str | None = None
    turn_credential: str | None = field(default=None, repr=False)

    def servers(self) -> list[RTCIceServer]:
        """As aiortc is told of them."""
        stun = [RTCIceServer(self.stun_url)] if self.stun_url else []
        turn = [RTCIceServer(self.turn_url, self.turn_username, self.turn_credential)] if self.turn_url else []
        return stun + turn


class Peer:
    """The connection of one participant, `uid` in the sink. `on_change` is told "connected" once and "gone" once.

    Everything but `keyframe` belongs to the event loop.
    """

    def __init__(self, uid: str, sink: Sink, ice: IceSettings, on_change: Callable[[Peer, str], None]) -> None:
        self.uid = uid
        self._sink = sink
        self._ice = ice
        self._on_change = on_change
        self._loop = asyncio.get_running_loop()
        self._clock = MediaClock()
        self._taps: list[_Tap] = []
        self.joined = False  # connected, at least once
        self._gone = False
        self._pc = RTCPeerConnection(RTCConfiguration(ice.servers(), bundlePolicy=RTCBundlePolicy.MAX_BUNDLE))
        self._pc.add_listener("connectionstatechange", self._changed)
        self._deadline: asyncio.TimerHandle | None = None

    async def answer(self, offer: str) -> str:
        """Answer an SDP offer of at most one sound and one picture, the first or another one. Raises `BadOffer`."""
        try:
            _check(offer)
            await self._pc.setRemoteDescription(RTCSessionDescription(_without_names(offer), "offer"))
        except BadOffer:
            raise
        except Exception as error:  # the parser raises what its code happens to raise
            fact = str(error) or type(error).__name__
            raise BadOffer(f"The SDP offer cannot be used ({fact.rstrip('.')}).") from error
        for transceiver in self._pc.getTransceivers()[len(self._taps) :]:
            self._taps.append(_Tap(self.uid, self._sink, self._clock, transceiver.receiver))
        _offer_addresses(self._pc.getTransceivers(), self._ice)
        await self._pc.setLocalDescription(await self._pc.createAnswer())
        if self._deadline is None:
            self._deadline = self._loop.call_later(_CONNECT_S, self._give_up)
        return self._pc.localDescription.sdp

    def keyframe(self) -> None:
        """Ask for a keyframe. Callable from any thread."""
        try:
            self._loop.call_soon_threadsafe(self._ask)
        except RuntimeError:  # the loop is closed
            return

    async def close(self) -> None:
        """Leave; bounded."""
        self._gone = True
        if self._deadline is not None:
            self._deadline.cancel()
        for tap in self._taps:
            tap.close()
        try:
            await asyncio.wait_for(self._pc.close(), _CLOSE_S)
        except Exception as error:
            log.warning("The connection of %s did not close cleanly: %s", self.uid, type(error).__name__)

    def _ask(self) -> None:
        for tap in self._taps:
            tap.ask()

    def _changed(self) -> None:
        state = self._pc.connectionState
        if state == "connected" and not self.joined and not self._gone:
            self.joined = True
            if self._deadline is not None:
                self._deadline.cancel()
            self._on_change(self, "connected")
            self._ask()
        elif state in ("failed", "closed"):
            self.leave()

    def _give_up(self) -> None:
        if not self.joined:
            log.info("%s did not connect within %g s", self.uid, _CONNECT_S)
            self.leave()

    def leave(self) -> None:
        """Tell that it is gone, once; for `close` to follow."""
        if not self._gone:
            self._gone = True
            self._on_change(self, "gone")


class _Tap:
    """Stands in for the jitter buffer of one of aiortc's receivers, which then has nothing to decode.

    What is missing is asked for again until it comes or is given up; aiortc asks once.
    """

    def __init__(self, uid: str, sink: Sink, clock: MediaClock, receiver: RTCRtpReceiver) -> None:
        self._uid = uid
        self._sink = sink
        self._clock = clock
        self._receiver = receiver
        self._kind = cast(Kind, receiver.track.kind)
        self._codecs: dict[int, tuple[str, int]] = {}
        self._ssrc: int | None = None
        self._assembler = Assembler()
        self._once = Once()
        self._times: dict[int, float] = {}
        self._asked = float("-inf")
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False
        self._receive, self._rtcp = receiver.receive, receiver._handle_rtcp_packet
        pinned = cast(Any, receiver)
        pinned._RTCRtpReceiver__jitter_buffer = self
        pinned._handle_rtcp_packet = self._handle_rtcp
        pinned.receive = self._learn

    async def _learn(self, parameters: RTCRtpReceiveParameters) -> None:
        for codec in parameters.codecs:
            if codec.payloadType is not None and codec.name.lower() in _CODECS:
                self._codecs[codec.payloadType] = (_CODECS[codec.name.lower()], codec.clockRate)
        await self._receive(parameters)

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
        now = time.monotonic()
        if packet.ssrc != self._ssrc:
            self._ssrc = packet.ssrc
            self._clock.begin(self._kind, rate)
            self._assembler, self._once = Assembler(), Once()
            self._times.clear()
        t = self._clock.arrived(self._kind, packet.timestamp, now)
        data = cast(bytes, cast(Any, packet)._data)
        if self._kind == "audio":
            if data and self._once.is_new(packet.sequence_number):
                self._sink.encoded(self._uid, "audio", EncodedFrame(codec, data, t))
            return False, None
        self._times[packet.timestamp] = t
        self._deliver(
            self._assembler.add(Packet(packet.sequence_number, packet.timestamp, bool(packet.marker), codec, data), now)
        )
        if self._timer is None and (self._assembler.needs_key or self._assembler.missing()):
            self._tend()
        return False, None

    def ask(self) -> None:
        """For a keyframe, if there is a picture at all."""
        if self._kind == "video" and self._ssrc is not None and not self._closed:
            self._asked = time.monotonic()
            self._send(self._receiver._send_rtcp_pli(self._ssrc))

    def close(self) -> None:
        """No more media; the receiver itself goes with its connection."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()

    def _deliver(self, pictures: list[Picture]) -> None:
        for picture in pictures:
            t = self._times[picture.timestamp]
            self._sink.encoded(self._uid, "video", EncodedFrame(picture.codec, picture.data, t, picture.key))
        if pictures or len(self._times) > 256:
            newest = list(self._times.items())[-64:]
            self._times = dict(newest)
        if self._assembler.lost:
            self._sink.count("packets_lost", self._assembler.lost)
        if self._assembler.dropped:
            self._sink.count("frames_dropped", self._assembler.dropped)
        self._assembler.lost = self._assembler.dropped = 0

    def _tend(self) -> None:
        """Ask for what is missing, now and again, until nothing is."""
        self._timer = None
        now = time.monotonic()
        self._deliver(self._assembler.tend(now))
        missing = self._assembler.missing()
        if missing and self._ssrc is not None:
            self._send(self._receiver._send_rtcp_nack(self._ssrc, missing[:_NACK_LIMIT]))
        if self._assembler.needs_key and now - self._asked >= _KEYFRAME_S:
            self.ask()
        if (missing or self._assembler.needs_key) and not self._closed:
            self._timer = asyncio.get_running_loop().call_later(_TEND_S, self._tend)

    def _send(self, sending: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(sending)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _check(offer: str) -> None:
    try:
        description = SessionDescription.parse(offer)
    except Exception as error:
        raise BadOffer("The SDP offer cannot be parsed.") from error
    kinds = [media.kind for media in description.media if media.kind in ("audio", "video")]
    if not kinds:
        raise BadOffer("The SDP offer has neither sound nor picture.")
    for kind, codecs in (("audio", {"opus"}), ("video", {"h264", "vp8"})):
        if kinds.count(kind) > 1:
            raise BadOffer(f"The SDP offer has {kinds.count(kind)} {kind} sections; one is taken.")
        for media in description.media:
            offered = {codec.name.lower() for codec in media.rtp.codecs}
            if media.kind == kind and not offered & codecs:
                raise BadOffer(f"The SDP offer has no {kind} codec that is taken: {' or '.join(sorted(codecs))}.")


def _without_names(offer: str) -> str:
    """Leaves out mDNS candidates: they could only be looked up here, and the peer's own checks tell its address."""
    return "".join(
        line for line in offer.splitlines(keepends=True) if not (line.startswith("a=candidate") and ".local " in line)
    )


def _offer_addresses(transceivers: list[RTCRtpTransceiver], ice: IceSettings) -> None:
    """Offer the addresses that the settings say; aioice itself leaves loopback out."""
    for transceiver in transceivers:
        connection = cast(Any, transceiver.receiver.transport.transport.iceGatherer)._connection
        gather = aioice.ice.Connection.get_component_candidates.__get__(connection)

        async def mine(component: int, addresses: list[str], timeout: int = 5, gather: Any = gather) -> Any:
            chosen = [ice.address] if ice.address else [*addresses, *(["127.0.0.1"] if ice.loopback else [])]
            return await gather(component=component, addresses=chosen, timeout=timeout)

        connection.get_component_candidates = mine
