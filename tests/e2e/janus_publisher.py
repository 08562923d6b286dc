"""A participant of a VideoRoom that sends clips as they are encoded, and can do what people do in a meeting."""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

import av
from aiortc import (
    MediaStreamTrack,
    RTCBundlePolicy,
    RTCConfiguration,
    RTCPeerConnection,
    RTCRtpCodecParameters,
    RTCRtpSender,
    RTCRtpTransceiver,
    RTCSessionDescription,
)
from aiortc.codecs import get_encoder
from aiortc.rtp import HeaderExtensionsMap, RtpPacket

from recorders.sources.janus_api import Session

_MICROSECONDS = Fraction(1, 1_000_000)
_CONNECT_S = 20.0
_LATE_S = 0.5


@dataclass(frozen=True)
class Clip:
    """Packets of one clip: (seconds from its start, whether it is a keyframe, data) of each kind; loops seamlessly."""

    codec: str
    seconds: float
    video: list[tuple[float, bool, bytes]]
    audio: list[tuple[float, bool, bytes]]


@lru_cache(maxsize=64)
def load(path: Path) -> Clip:
    """Reads a clip of the oracle."""
    with av.open(str(path)) as media:
        picture, sound = media.streams.video[0], media.streams.audio[0]
        codec = picture.codec_context.name
        annex_b = av.BitStreamFilterContext("h264_mp4toannexb", picture) if codec == "h264" else None
        packets: dict[str, list[tuple[float, bool, bytes]]] = {"video": [], "audio": []}
        for packet in media.demux(picture, sound):
            if packet.dts is None:
                continue
            kind, key = packet.stream.type, packet.is_keyframe  # which the filter forgets
            for one in annex_b.filter(packet) if annex_b and kind == "video" else [packet]:
                t = float((one.pts or 0) * one.time_base)
                packets[kind].append((t, key, bytes(one)))
        rate = picture.average_rate
        assert rate is not None
        seconds = len(packets["video"]) / float(rate)
    audio = [one for one in packets["audio"] if one[0] < packets["audio"][0][0] + seconds - 0.001]
    return Clip(codec, seconds, packets["video"], audio)


class ClipTrack(MediaStreamTrack):
    """One kind of a clip in real time, from `begun` (monotonic) on; sends nothing while it is `silent`.

    As a camera does it, what is late is left out, up to a keyframe. Its clock is too fast by `ppm` parts in a million.
    """

    def __init__(self, kind: str, clip: Clip, begun: float, ppm: float = 0.0) -> None:
        super().__init__()
        self.kind = kind
        self.silent = False
        self._begun = begun
        self._speed = 1 + ppm / 1e6
        self._clip = self._next = clip
        self._n = 0
        self._late = False

    def play(self, clip: Clip) -> None:
        """Go on with another clip of the same length and rate, from its next keyframe on."""
        self._next = clip

    async def recv(self) -> av.Packet[Any]:
        while True:
            turn, n = divmod(self._n, len(self._packets(self._clip)))
            if self._next is not self._clip and self._packets(self._next)[n][1]:
                self._clip = self._next
            t, key, data = self._packets(self._clip)[n]
            at = turn * self._clip.seconds + t
            self._n += 1
            left = self._begun + at / self._speed - time.monotonic()
            self._late = (self._late and not key) or left < -_LATE_S
            if self._late:
                continue
            await asyncio.sleep(max(0.0, left))
            if not self.silent:
                break
        packet = av.Packet(data)
        packet.time_base = _MICROSECONDS
        packet.pts = round(at * 1_000_000)
        packet.is_keyframe = key
        return packet

    def _packets(self, clip: Clip) -> list[tuple[float, bool, bytes]]:
        return clip.video if self.kind == "video" else clip.audio


class Layer:
    """A further simulcast picture of a sender: the same stream of packets under another SSRC."""

    def __init__(self, clip: Clip, begun: float) -> None:
        self.ssrc = random.getrandbits(31)
        self._track = ClipTrack("video", clip, begun)
        self._sequence = random.getrandbits(15)
        self._task: asyncio.Task[None] | None = None

    def start(self, sender: RTCRtpSender, codec: RTCRtpCodecParameters) -> None:
        self._task = asyncio.create_task(self._send(sender, codec))

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _send(self, sender: RTCRtpSender, codec: RTCRtpCodecParameters) -> None:
        assert codec.payloadType is not None
        encoder, transport = get_encoder(codec), sender.transport
        while True:
            payloads, timestamp = encoder.pack(await self._track.recv())
            for n, payload in enumerate(payloads):
                self._sequence = (self._sequence + 1) % (1 << 16)
                packet = RtpPacket(codec.payloadType, n + 1 == len(payloads), self._sequence, timestamp, self.ssrc)
                packet.payload = payload
                await transport._send_rtp(packet.serialize(HeaderExtensionsMap()))


class Publisher:
    """On a handle of its own. Several `clips` are simulcast pictures, smallest first. `ppm`: see `ClipTrack`."""

    def __init__(self, session: Session, handle: int, clips: Sequence[Path], ppm: float = 0.0) -> None:
        self._session, self._handle = session, handle
        self._clip = load(clips[0])
        self._pc = RTCPeerConnection(RTCConfiguration([], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE))
        self._begun = time.monotonic()
        self._layers = [Layer(load(clip), self._begun) for clip in clips[1:]]
        self.audio = ClipTrack("audio", self._clip, self._begun, ppm)
        self.video = ClipTrack("video", self._clip, self._begun, ppm)
        self._room: int | str = ""
        self._uid: int | str = ""
        self._screen: RTCRtpTransceiver | None = None

    async def join(self, room: int | str, pin: str, uid: int | str, name: str, *, camera: bool = True) -> None:
        """Returns when its media flows."""
        self._room, self._uid = room, uid
        await self._session.message(
            self._handle,
            {"request": "join", "ptype": "publisher", "room": room, "pin": pin, "id": uid, "display": name},
        )
        self._pc.addTransceiver(self.audio, "sendonly")
        if camera:
            self._add(self.video, self._clip)
        await self._negotiate("publish")
        async with asyncio.timeout(_CONNECT_S):
            while self._pc.connectionState != "connected":  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        for layer in self._layers:
            video = self._pc.getTransceivers()[1]
            layer.start(video.sender, video._codecs[0])

    async def camera(self, on: bool) -> None:
        """Off and on by negotiating anew; on for the first time, too."""
        known = [one for one in self._pc.getTransceivers() if one.sender.track is self.video]
        if known:
            known[0].direction = "sendonly" if on else "inactive"
        else:
            self._add(self.video, self._clip)
        await self._negotiate("configure")

    def resize(self, clip: Path) -> None:
        """Go on with another clip of the same length and rate, whose pictures have another size."""
        self.video.play(load(clip))

    async def share(self, clip: Path) -> None:
        """A screen beside the camera."""
        screen = load(clip)
        if self._screen is None:
            self._screen = self._add(ClipTrack("video", screen, self._begun), screen)
        self._screen.direction = "sendonly"
        await self._negotiate("configure")

    async def unshare(self) -> None:
        """The screen is not sent any more."""
        assert self._screen is not None
        self._screen.direction = "inactive"
        await self._negotiate("configure")

    async def moderate(self, mid: str, muted: bool) -> None:
        """A stream is switched off or on by a moderator."""
        await self._session.message(
            self._handle, {"request": "moderate", "room": self._room, "id": self._uid, "mid": mid, "mute": muted}
        )

    async def rename(self, name: str) -> None:
        """Another display name."""
        await self._session.message(self._handle, {"request": "configure", "display": name})

    async def close(self) -> None:
        """Without a word to Janus: that is its session's."""
        for layer in self._layers:
            layer.stop()
        for sender in self._pc.getSenders():
            if sender.track is not None:
                sender.track.stop()
        await self._pc.close()

    def _add(self, track: ClipTrack, clip: Clip) -> RTCRtpTransceiver:
        transceiver = self._pc.addTransceiver(track, "sendonly")
        mime = {"h264": "video/H264", "vp8": "video/VP8"}[clip.codec]
        codecs = RTCRtpSender.getCapabilities("video").codecs
        transceiver.setCodecPreferences([codec for codec in codecs if codec.mimeType == mime])
        return transceiver

    async def _negotiate(self, request: str) -> None:
        await self._pc.setLocalDescription(await self._pc.createOffer())
        offer = self._pc.localDescription.sdp
        if self._layers:
            one = re.findall(r"^a=ssrc:(\d+) cname:(\S+)", offer, re.MULTILINE)[-1]  # the picture's, the last section
            ssrcs = [one[0], *(str(layer.ssrc) for layer in self._layers)]
            lines = [f"a=ssrc-group:SIM {' '.join(ssrcs)}", *(f"a=ssrc:{ssrc} cname:{one[1]}" for ssrc in ssrcs)]
            offer = offer.replace(f"a=ssrc:{one[0]} cname:{one[1]}", "\r\n".join(lines))
        body: dict[str, Any] = {"request": request}
        if self._screen is not None:
            body["descriptions"] = [{"mid": self._screen.mid, "description": "screen"}]
        reply = await self._session.message(self._handle, body, {"type": "offer", "sdp": offer})
        await self._pc.setRemoteDescription(RTCSessionDescription(reply["jsep"]["sdp"], "answer"))
