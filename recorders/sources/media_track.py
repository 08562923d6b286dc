"""One stream of a media URL on its way to the sink: pictures encoded, sound decoded.

Many a sound is nothing without what its container says of it (rate and channels of G.711, PCM and ADPCM), which only
the stream's own decoder knows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import av
from av.bitstream import BitStreamFilterContext
from av.filter import Graph

from recorders.sources.base import EncodedFrame, Sink

_ANNEX_B = {"h264": "h264_mp4toannexb", "hevc": "hevc_mp4toannexb"}
# The turns of FFmpeg's filter `transpose` for a display matrix, which tells degrees counterclockwise.
_TURNS = {90: ("cclock",), -90: ("clock",), 180: ("clock", "clock"), -180: ("clock", "clock")}


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
    """The pictures of `user`, from a keyframe on. One thread.

    Those of a container that wants them turned are decoded and turned here, for nothing in them tells of it.
    """

    def __init__(self, stream: Any, user: str, sink: Sink) -> None:
        self._decoder = stream.codec_context
        self._decoder.thread_count = 1  # frame threads would hold pictures back
        self._codec: str = self._decoder.name
        self._extradata: bytes | None = self._decoder.extradata
        self._user = user
        self._sink = sink
        self._begun = False
        self._turning: _Turning | None = None
        self._filter: BitStreamFilterContext | None = None
        if self._codec in _ANNEX_B and self._extradata and self._extradata[0] == 1:
            # From MP4-like containers: parameter sets go before each keyframe instead.
            self._filter = BitStreamFilterContext(_ANNEX_B[self._codec], stream)
            self._extradata = None

    def deliver(self, packet: Any, offset: float) -> None:
        """A packet, `offset` being the local time of the stream's time 0; one that is damaged is left out."""
        if not self._begun:
            if not packet.is_keyframe:
                return
            self._begun = True
            turns = _TURNS.get(self._rotation(packet))
            self._turning = _Turning(turns) if turns else None
        try:
            if self._turning is None:
                self._pass(packet, offset)
            else:
                for picture in self._decoder.decode(packet):
                    t = offset + _seconds(picture.pts, packet)
                    self._sink.video(self._user, self._turning.turned(picture), t)
        except (av.FFmpegError, ValueError):
            self._sink.count("frames_dropped")

    def _pass(self, packet: Any, offset: float) -> None:
        time_base = packet.time_base  # the filter takes all out of the packet
        for one in self._filter.filter(packet) if self._filter else (packet,):
            t = offset + float((one.dts if one.pts is None else one.pts) * time_base)
            frame = EncodedFrame(self._codec, bytes(one), t, one.is_keyframe, self._extradata)
            self._sink.encoded(self._user, "video", frame)

    def _rotation(self, keyframe: Any) -> int:
        """By how many degrees pictures are to be turned counterclockwise: a decoded one tells."""
        try:
            pictures = [*self._decoder.decode(keyframe), *self._decoder.decode(None)]
        except (av.FFmpegError, ValueError):
            pictures = []
        self._decoder.flush_buffers()
        return pictures[0].rotation if pictures else 0


class _Turning:
    """Turns pictures one by one."""

    def __init__(self, turns: Sequence[str]) -> None:
        self._turns = turns
        self._graph: Graph | None = None
        self._format: tuple[int, int, str] | None = None

    def turned(self, picture: av.VideoFrame) -> av.VideoFrame:
        """The picture upright, in its own format. Raises `av.FFmpegError`."""
        wanted = (picture.width, picture.height, picture.format.name)
        if self._graph is None or wanted != self._format:
            self._graph, self._format = Graph(), wanted
            nodes = [
                self._graph.add_buffer(
                    width=picture.width, height=picture.height, format=picture.format, time_base=picture.time_base
                ),
                *(self._graph.add("transpose", turn) for turn in self._turns),
                self._graph.add("buffersink"),
            ]
            self._graph.link_nodes(*nodes).configure()
        self._graph.vpush(picture)
        return self._graph.vpull()


def _seconds(pts: int | None, packet: Any) -> float:
    """Stream time of what was decoded from a packet."""
    return float((packet.dts if pts is None else pts) * packet.time_base)
