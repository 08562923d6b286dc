"""Encoded packets in, CMAF parts out: FFmpeg's MP4 muxer writing to memory, cut at keyframes.

Why not FFmpeg's own HLS muxer: `docs/decisions/0001-parts-from-memory.md`.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal, cast

import av
from av.audio.codeccontext import AudioCodecContext
from av.container.output import OutputContainer
from av.video.codeccontext import VideoCodecContext

from recorders.errors import RecorderError
from recorders.log.boxes import Fragmenter
from recorders.log.segment_log import SegmentLog

_MOVFLAGS = "cmaf+frag_keyframe+empty_moov+default_base_moof+frag_discont"
_ENCODERS = {"h264": "libx264", "vp9": "libvpx-vp9", "aac": "aac", "opus": "libopus"}


@dataclass(frozen=True, slots=True)
class VideoTrack:
    """An encoded picture track; `extradata` is avcC, or Annex B parameter sets, for H.264; empty for VP9.

    `matrix` is the MatrixCoefficients of ITU-T H.273, BT.709's by default.
    """

    codec: Literal["h264", "vp9"]
    width: int
    height: int
    frame_rate: int
    extradata: bytes = b""
    matrix: int = 1


@dataclass(frozen=True, slots=True)
class AudioTrack:
    """An encoded sound track; `extradata` is the AudioSpecificConfig of AAC, the OpusHead of Opus."""

    codec: Literal["aac", "opus"]
    sample_rate: int
    channels: int
    extradata: bytes


class _Memory(io.RawIOBase):
    """Where the muxer writes; no seeking, so that it never comes back to what is gone."""

    def __init__(self, fragmenter: Fragmenter) -> None:
        self._fragmenter = fragmenter

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._fragmenter.feed(bytes(data))
        return len(data)


class CmafWriter:
    """One attempt's tracks into its log; one thread at a time.

    Times count from the recording's epoch (Unix seconds of media time 0): picture `n` is shown at
    `n / frame_rate`, sound by its sample index. A part ends at the first keyframe `part_seconds` or more after
    its start; without pictures, sound is cut at about that length. Once the log has refused something (its error is
    raised as it is) nothing more is written, so that an attempt has no holes.
    """

    def __init__(
        self,
        log: SegmentLog,
        *,
        video: VideoTrack | None,
        audio: AudioTrack | None,
        part_seconds: float,
        epoch: float,
    ) -> None:
        self._log = log
        self._epoch = epoch
        self._part_seconds = part_seconds
        self._slack = 0.5 / video.frame_rate if video else 0.05
        self._fragmenter = Fragmenter()
        self._held: list[bytes] = []
        self._start = 0.0
        self._duration = 0.0
        self._begun = False
        self._closed = False
        self._refused = False
        options = {"movflags": _MOVFLAGS}
        if video is None:
            options = {
                "movflags": _MOVFLAGS.replace("frag_keyframe+", ""),
                "frag_duration": str(round(part_seconds * 1_000_000)),
            }
        self._muxer: OutputContainer = av.open(
            cast(Any, _Memory(self._fragmenter)), "w", format="mp4", container_options=options
        )
        self._video = self._add_video(video) if video else None
        self._audio = self._add_audio(audio) if audio else None

    def _add_video(self, track: VideoTrack) -> Any:
        self._frame_rate = track.frame_rate
        stream = self._add(track.codec, track.frame_rate)
        context = cast(VideoCodecContext, stream.codec_context)
        context.width, context.height, context.pix_fmt = track.width, track.height, "yuv420p"
        context.color_range, context.colorspace, context.color_primaries, context.color_trc = 1, track.matrix, 1, 1
        if track.extradata:
            context.extradata = track.extradata
        return stream

    def _add_audio(self, track: AudioTrack) -> Any:
        self._sample_rate = track.sample_rate
        stream = self._add(track.codec, track.sample_rate)
        context = cast(AudioCodecContext, stream.codec_context)
        context.sample_rate = track.sample_rate
        context.layout = "mono" if track.channels == 1 else "stereo"
        context.extradata = track.extradata
        return stream

    def _add(self, codec: str, rate: int) -> Any:
        """A stream that takes packets of another's encoder: PyAV opens no encoder for a stream made from a template."""
        with av.open(io.BytesIO(), "w", format="mp4") as scratch:
            return self._muxer.add_stream_from_template(scratch.add_stream(_ENCODERS[codec], rate=rate))

    def video(self, data: bytes, n: int, key: bool) -> None:
        """Picture number `n`; H.264 as Annex B or length-prefixed, as the track's extradata is."""
        packet = self._packet(data, self._video, n, 1, self._frame_rate)
        packet.is_keyframe = key
        self._mux(packet)

    def audio(self, data: bytes, sample: int, samples: int) -> None:
        """A packet whose first sample has index `sample`, `samples` long."""
        packet = self._packet(data, self._audio, sample, samples, self._sample_rate)
        packet.is_keyframe = True
        self._mux(packet)

    def close(self) -> None:
        """Flush and close the last part; idempotent."""
        if self._closed:
            return
        self._closed = True
        self._muxer.close()
        if not self._refused:
            self._collect()
            self._append()

    @staticmethod
    def _packet(data: bytes, stream: Any, pts: int, duration: int, rate: int) -> av.Packet[Any]:
        packet = av.Packet(data)
        packet.stream = stream
        packet.time_base = Fraction(1, rate)
        packet.pts = packet.dts = pts
        packet.duration = duration
        return packet

    def _mux(self, packet: av.Packet[Any]) -> None:
        if self._closed or self._refused:
            raise RecorderError("The recording's log is closed.")
        self._muxer.mux_one(packet)
        try:
            self._collect()
        except BaseException:
            self._refused = True
            raise

    def _collect(self) -> None:
        if not self._begun and self._fragmenter.init:
            self._log.begin(self._epoch, self._fragmenter.init, self._part_seconds)
            self._begun = True
        for fragment in self._fragmenter.take():
            if not self._held:
                self._start, self._duration = fragment.start, 0.0
            self._held.append(fragment.data)
            self._duration += fragment.duration
            if self._duration >= self._part_seconds - self._slack:
                self._append()

    def _append(self) -> None:
        if self._held:
            data, self._held = b"".join(self._held), []
            self._log.append(data, start=self._start, duration=self._duration)
