"""An aiortc peer that sends encoded media to a `Peer`, over loopback."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from fractions import Fraction
from typing import Any, cast

import av
import numpy as np
from aiortc import (
    MediaStreamTrack,
    RTCCertificate,
    RTCConfiguration,
    RTCPeerConnection,
    RTCRtpSender,
    RTCSessionDescription,
)
from aiortc.rtcdtlstransport import generate_certificate
from cryptography.hazmat.primitives.asymmetric import rsa

from recorders.sources.base import EncodedFrame, Kind
from recorders.sources.rtc import IceSettings, Peer
from recorders.sources.rtc_ice import offer_addresses
from tests.unit.sinks import EncodedSink

LOOPBACK = IceSettings("127.0.0.1")


class Listener(EncodedSink):
    """Keeps everything."""

    def __init__(self) -> None:
        super().__init__()
        self.frames: dict[Kind, list[EncodedFrame]] = {"audio": [], "video": []}

    def encoded(self, uid: str, kind: Kind, frame: EncodedFrame) -> None:
        assert uid == "someone"
        self.frames[kind].append(frame)


class Encoded(MediaStreamTrack):
    """Packets of a codec, in real time, again and again."""

    def __init__(self, codec: str, packets: int) -> None:
        super().__init__()
        self.kind = "audio" if codec == "libopus" else "video"
        self.packets = _encode(codec, packets)
        self.sent = 0
        self._begun: float | None = None

    async def recv(self) -> av.Packet[Any]:
        step = Fraction(1, 50) if self.kind == "audio" else Fraction(1, 30)
        if self._begun is None:
            self._begun = time.monotonic()
        await asyncio.sleep(max(0.0, self._begun + float(self.sent * step) - time.monotonic()))
        packet = av.Packet(self.packets[self.sent % len(self.packets)])
        packet.time_base = Fraction(1, 48000 if self.kind == "audio" else 90000)
        packet.pts = int(self.sent * step / packet.time_base)
        self.sent += 1
        return packet


def _encode(codec: str, n: int) -> list[bytes]:
    if codec == "libopus":
        context: Any = av.CodecContext.create(codec, "w")
        context.sample_rate, context.layout, context.format = 48000, "stereo", "flt"
        frames: list[Any] = [
            av.AudioFrame.from_ndarray(np.full((1, 2 * 960), k / 100, np.float32), format="flt", layout="stereo")
            for k in range(n)
        ]
    else:
        context = av.CodecContext.create(codec, "w")
        context.width, context.height, context.pix_fmt, context.time_base = 160, 120, "yuv420p", Fraction(1, 30)
        context.gop_size = 1000
        context.options = {
            "libx264": {"preset": "ultrafast", "tune": "zerolatency", "profile": "baseline"},
            "libvpx": {"deadline": "realtime", "lag-in-frames": "0"},
        }[codec]
        noise = np.random.default_rng(1)
        frames = [av.VideoFrame.from_ndarray(noise.integers(0, 255, (180, 160), np.uint8), "yuv420p") for _ in range(n)]
    for k, frame in enumerate(frames):
        frame.pts = k * 960 if codec == "libopus" else k
        frame.time_base = Fraction(1, 48000 if codec == "libopus" else 30)
        if isinstance(frame, av.AudioFrame):
            frame.sample_rate = 48000
    return [bytes(packet) for frame in frames for packet in context.encode(frame)]


class RsaCertificate(RTCCertificate):
    """As GStreamer makes it, and with its ciphers."""

    def __init__(self) -> None:
        key = rsa.generate_private_key(65537, 2048)
        super().__init__(cast(Any, key), generate_certificate(cast(Any, key)))

    def _create_ssl_context(self, srtp_profiles: Any) -> Any:
        context: Any = super()._create_ssl_context(srtp_profiles)
        context.set_cipher_list(b"ALL:!ADH:!LOW:!EXP:!MD5:@STRENGTH")
        return context


@asynccontextmanager
async def connection(
    *tracks: Encoded, certificate: RTCCertificate | None = None, answered: Callable[[str], None] = lambda answer: None
) -> AsyncIterator[tuple[RTCPeerConnection, Peer, Listener, list[str]]]:
    """`tracks` sent to a Peer, which is told of as it changes. `answered` sees the answer before the sender does."""
    sender, sink, changes = RTCPeerConnection(RTCConfiguration([])), Listener(), list[str]()
    if certificate is not None:
        cast(Any, sender)._RTCPeerConnection__certificates = [certificate]
    peer = Peer("someone", sink, LOOPBACK, lambda _, change: changes.append(change))
    try:
        for track in tracks:
            transceiver = sender.addTransceiver(track, "sendonly")
            if track.kind == "video":
                mime = "video/H264" if track.packets[0].startswith(b"\0\0\0\1") else "video/VP8"
                codecs = RTCRtpSender.getCapabilities("video").codecs
                transceiver.setCodecPreferences([c for c in codecs if c.mimeType in (mime, "video/rtx")])
        offer = await sender.createOffer()
        offer_addresses(sender.getTransceivers(), LOOPBACK)
        await sender.setLocalDescription(offer)
        answer = await peer.answer(sender.localDescription.sdp)
        answered(answer)
        await sender.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        yield sender, peer, sink, changes
    finally:
        await peer.close()
        await sender.close()


async def until(what: Callable[[], bool], seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not what():  # noqa: ASYNC110
            await asyncio.sleep(0.02)
