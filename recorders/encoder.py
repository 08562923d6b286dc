"""Encoders of pictures and sound with the settings of a recording: libx264 or VP9, AAC or Opus."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, cast

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from av.codec.context import Flags
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType

from recorders.config import EncoderConfig, Quality
from recorders.errors import InvalidSpec
from recorders.log.tracks import AudioTrack, VideoTrack, key_interval
from recorders.spec import AudioSpec, VideoSpec

# Preset and more parameters of libx264 ("a=1:b=2"); decision 22 has what each costs and gives.
_X264: dict[Quality, tuple[str, str]] = {
    "economy": ("ultrafast", ""),
    "balanced": ("superfast", "weightp=0:partitions=i8x8:aq-mode=2:deblock=-2,-2:ipratio=3"),
    "best": ("veryfast", ""),
}

EncodedPicture = tuple[bytes, int, bool]  # data, picture number, keyframe
EncodedSound = tuple[bytes, int, int]  # data, index of the first sample, samples

_OPUS_RATE = 48000
BT709 = 1
"""MatrixCoefficients of ITU-T H.273."""


class VideoEncoder:
    """yuv420p pictures of the spec's size in, packets out in order; no B-frames, one keyframe a part.

    The picture may be overwritten as soon as `encode` returns. `matrix` is the MatrixCoefficients of ITU-T H.273 that
    the pictures have.
    """

    def __init__(
        self,
        video: VideoSpec,
        config: EncoderConfig,
        part_seconds: float,
        codec: str = "h264",
        *,
        matrix: int = BT709,
    ) -> None:
        self._context = cast(
            VideoCodecContext, av.CodecContext.create({"h264": "libx264", "vp9": "libvpx-vp9"}[codec], "w")
        )
        context = self._context
        context.width, context.height, context.pix_fmt = video.width, video.height, "yuv420p"
        context.time_base = Fraction(1, video.frame_rate)
        context.framerate = Fraction(video.frame_rate)
        context.bit_rate = video.bitrate * 1000
        context.gop_size = key_interval(part_seconds, video.frame_rate)
        context.thread_count = config.threads
        context.color_range, context.colorspace, context.color_primaries, context.color_trc = 1, matrix, 1, 1
        context.flags |= Flags.global_header
        if codec == "h264":
            context.max_b_frames = 0
            preset, more = _X264[config.quality]
            context.options = {
                "preset": preset,
                "profile": "high",
                "maxrate": str(video.bitrate * 1500),
                "bufsize": str(video.bitrate * 2000),
                "x264-params": f"scenecut=0:{more}".rstrip(":"),
                **({"tune": "zerolatency"} if config.zerolatency else {}),
            }
        else:
            context.options = {
                "deadline": "realtime",
                "cpu-used": "8",
                "lag-in-frames": "0",
                "row-mt": "1",
                "auto-alt-ref": "0",
            }
        context.open(strict=False)
        self.track = VideoTrack(
            cast(Any, codec), video.width, video.height, video.frame_rate, bytes(context.extradata or b""), matrix
        )

    def encode(self, picture: av.VideoFrame, n: int, key: bool = False) -> list[EncodedPicture]:
        """Encode picture number `n`; `key` forces a keyframe, from which the next one is counted."""
        picture.pts = n
        picture.time_base = self._context.time_base
        picture.pict_type = PictureType.I if key else PictureType.NONE
        return self._out(self._context.encode(picture))

    def flush(self) -> list[EncodedPicture]:
        """What the encoder still holds."""
        return self._out(self._context.encode(None))

    @staticmethod
    def _out(packets: list[av.Packet[Any]]) -> list[EncodedPicture]:
        return [(bytes(packet), packet.pts or 0, packet.is_keyframe) for packet in packets]


# FFmpeg's fast AAC coder takes half the time of its default, and is as good from so many kbit/s a channel on.
_AAC_FAST_KBPS = 64


class AudioEncoder:
    """PCM in, packets out; a packet's sample index is true: decoded, it begins with that sample of the input.

    Packets begin at whole multiples of their length, so that those of one encoder follow on from those of another:
    what comes before the first such sample is left out. So is the first packet of either codec, which holds nothing but
    the encoder's own delay. Opus is always 48 kHz. Raises `InvalidSpec` for a rate that the codec does not have.
    """

    def __init__(self, audio: AudioSpec, codec: str = "aac") -> None:
        self._context = cast(AudioCodecContext, av.CodecContext.create({"aac": "aac", "opus": "libopus"}[codec], "w"))
        context = self._context
        rate = _OPUS_RATE if codec == "opus" else audio.sample_rate
        rates = context.codec.audio_rates or [rate]
        if rate not in rates:
            raise InvalidSpec(f"AAC has no sample rate of {rate} Hz; it has {', '.join(map(str, sorted(rates)))}.")
        self._layout = "mono" if audio.channels == 1 else "stereo"
        self._format = "flt" if codec == "opus" else "fltp"
        context.sample_rate, context.layout, context.format = rate, self._layout, self._format
        context.time_base = self._time_base = Fraction(1, rate)
        context.bit_rate = audio.bitrate * 1000
        context.flags |= Flags.global_header
        if codec == "aac" and audio.bitrate >= _AAC_FAST_KBPS * audio.channels:
            context.options = {"aac_coder": "fast"}
        context.open(strict=False)
        extradata = bytearray(context.extradata or b"")
        if codec == "opus":
            extradata[10:12] = b"\0\0"  # pre-skip: what a player would skip is left out already
        self.track = AudioTrack(cast(Any, codec), rate, audio.channels, bytes(extradata))
        self._in_rate, self._rate, self._channels = audio.sample_rate, rate, audio.channels
        self._resampler = av.AudioResampler(self._format, self._layout, rate) if rate != audio.sample_rate else None
        self._pending = np.zeros((0, audio.channels), np.float32)
        self._at: int | None = None
        self._first = 0
        self._skip = 0

    def encode(self, pcm: np.ndarray[Any, np.dtype[Any]], sample: int) -> list[EncodedSound]:
        """`pcm` is (n, channels), int16 or float32 in -1..1, at the spec's rate; `sample` is the absolute index of
        its first sample and follows on from the last call."""
        block = pcm.astype(np.float32) / 32768 if pcm.dtype == np.int16 else pcm.astype(np.float32, copy=False)
        if self._at is None:
            at = round(sample * self._rate / self._in_rate)
            self._skip = -at % self._context.frame_size
            self._at = self._first = at + self._skip
        if self._resampler is not None:
            block = self._resample(block)
        skipped = min(self._skip, len(block))
        self._skip -= skipped
        self._pending = np.concatenate((self._pending, block[skipped:]))
        whole = len(self._pending) // self._context.frame_size * self._context.frame_size
        out = self._encode_blocks(self._pending[:whole]) if whole else []
        self._pending = self._pending[whole:]
        return out

    def flush(self) -> list[EncodedSound]:
        """The rest, filled up with silence to a whole packet."""
        out: list[EncodedSound] = []
        if self._resampler is not None and self._at is not None:
            self._pending = np.concatenate((self._pending, self._rows(self._resampler.resample(None))))
        if len(self._pending):
            block = np.zeros((self._context.frame_size, self._channels), np.float32)
            block[: len(self._pending)] = self._pending
            self._pending = self._pending[:0]
            out += self._encode_blocks(block)
        return out + self._out(self._context.encode(None))

    def _resample(self, block: np.ndarray[Any, np.dtype[Any]]) -> np.ndarray[Any, np.dtype[Any]]:
        assert self._resampler is not None
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(block.reshape(1, -1)), format="flt", layout=self._layout
        )
        frame.sample_rate = self._in_rate
        return self._rows(self._resampler.resample(frame))

    def _rows(self, frames: list[av.AudioFrame]) -> np.ndarray[Any, np.dtype[Any]]:
        """Frames of interleaved float32 as (n, channels)."""
        blocks = [frame.to_ndarray().reshape(-1, self._channels) for frame in frames]
        return np.concatenate(blocks) if blocks else np.zeros((0, self._channels), np.float32)

    def _encode_blocks(self, block: np.ndarray[Any, np.dtype[Any]]) -> list[EncodedSound]:
        """Whole frames of the encoder's, together: PyAV cuts them apart for less."""
        data = block.T if self._format == "fltp" else block.reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(data), format=self._format, layout=self._layout)
        frame.sample_rate = self._rate
        frame.time_base = self._time_base
        assert self._at is not None
        frame.pts = self._at
        self._at += len(block)
        return self._out(self._context.encode(frame))

    def _out(self, packets: list[av.Packet[Any]]) -> list[EncodedSound]:
        size = self._context.frame_size
        return [
            (bytes(packet), packet.pts, packet.duration or size)
            for packet in packets
            if packet.pts is not None and packet.pts >= self._first
        ]
