"""One stream of a media URL on its way to the sink: pictures encoded, sound decoded.

Many a sound is nothing without what its container says of it (rate and channels of G.711, PCM and ADPCM), which only
the stream's own decoder knows.
"""

from __future__ import annotations

from typing import Any

import av
from av.bitstream import BitStreamFilterContext

from recorders.sources.base import EncodedFrame, Sink

_ANNEX_B = {"h264": "h264_mp4toannexb", "hevc": "hevc_mp4toannexb"}


class SoundTrack:
    """The sound of `user`, at the stream's own rate and layout. One thread."""

    def __init__(self, stream: Any, user: str, sink: Sink) -> None:
        self._decoder = stream.codec_context
        self._user = user
        self._sink = sink

    def deliver(self, packet: Any, offset: float) -> None:
        """A packet, `offset` being the local time of the stream's time 0; one that is damaged is left out."""
        try:
            sounds = self._decoder.decode(packet)
        except (av.FFmpegError, ValueError):
            self._sink.count("frames_dropped")
            return
        t = offset + _seconds(sounds[0].pts, packet) if sounds else 0.0
        for sound in sounds:  # all those of a packet may have its time
            self._sink.audio(self._user, sound, t)
            t += sound.samples / sound.sample_rate


class PictureTrack:
    """The pictures of `user`, from a keyframe on. One thread."""

    def __init__(self, stream: Any, user: str, sink: Sink) -> None:
        self._decoder = stream.codec_context
        self._decoder.thread_count = 1  # for one picture
        self._codec: str = self._decoder.name
        self._extradata: bytes | None = self._decoder.extradata
        self._user = user
        self._sink = sink
        self._rotation: int | None = None  # until it has begun
        self._filter: BitStreamFilterContext | None = None
        if self._codec in _ANNEX_B and self._extradata and self._extradata[0] == 1:
            # From MP4-like containers: parameter sets go before each keyframe instead.
            self._filter = BitStreamFilterContext(_ANNEX_B[self._codec], stream)
            self._extradata = None

    def deliver(self, packet: Any, offset: float) -> None:
        """A packet, `offset` being the local time of the stream's time 0; one that is damaged is left out."""
        if self._rotation is None:
            if not packet.is_keyframe:
                return
            self._rotation = self._rotation_of(packet)
        unit = float(packet.time_base)  # the filter takes all out of the packet
        try:
            for one in self._filter.filter(packet) if self._filter else (packet,):
                t = offset + ((one.dts if one.pts is None else one.pts) or 0) * unit
                frame = EncodedFrame(self._codec, bytes(one), t, one.is_keyframe, self._extradata, self._rotation)
                self._sink.encoded(self._user, "video", frame)
        except (av.FFmpegError, ValueError):
            self._sink.count("frames_dropped")

    def _rotation_of(self, keyframe: Any) -> int:
        """See `EncodedFrame`: a container tells it of the whole stream, and a decoded picture tells what that said."""
        try:
            pictures = [*self._decoder.decode(keyframe), *self._decoder.decode(None)]
        except (av.FFmpegError, ValueError):
            pictures = []
        self._decoder.flush_buffers()
        rotation = pictures[0].rotation % 360 if pictures else 0
        return rotation if rotation % 90 == 0 else 0


def _seconds(pts: int | None, packet: Any) -> float:
    """Stream time of what was decoded from a packet."""
    return (packet.dts if pts is None else pts) * float(packet.time_base)
