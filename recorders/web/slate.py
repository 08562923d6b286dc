"""The slate: what is shown while there is no browser, the last picture of the one before.

It costs next to nothing, for the processor is needed by the browser that is to come.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Protocol, cast

import av
from av.codec.context import Flags
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType

from recorders.encoder import EncodedPicture, VideoEncoder
from recorders.spec import VideoSpec
from recorders.web.avcc import length_prefixed
from recorders.web.colour import Matrix, h273, vp9_marked

# Number of the slate's parameter sets; the browser's have 0.
_SETS = 1
# Quantiser of the slate's pictures: a copy that nobody can tell from the original.
_QP = 20


class Slate(Protocol):
    """One picture, encoded again and again."""

    def again(self, n: int, key: bool) -> EncodedPicture:
        """It as picture number `n`."""
        ...


def last_of(codec: str, description: bytes, group: Sequence[bytes]) -> av.VideoFrame | None:
    """The last picture of those from a keyframe on; `description` is the track's (avcC), empty where it has none."""
    decoder = cast(VideoCodecContext, av.CodecContext.create(codec, "r"))
    if description:
        decoder.extradata = description
    last: av.VideoFrame | None = None
    for packet in (*map(av.Packet, group), None):
        for picture in decoder.decode(packet):
            last = picture
    return last


def h264_sets(video: VideoSpec, level: int, matrix: Matrix) -> bytes:
    """The parameter sets (Annex B) of an `H264Slate`: they are known before there is a picture."""
    return bytes(_x264(video, level, matrix).extradata or b"")


class H264Slate:
    """For a track whose description has `h264_sets` of the same size, rate, level_idc and matrix."""

    def __init__(self, video: VideoSpec, level: int, matrix: Matrix, picture: av.VideoFrame) -> None:
        self._context = _x264(video, level, matrix)
        self._picture = picture

    def again(self, n: int, key: bool) -> EncodedPicture:
        """See `Slate`."""
        picture = self._picture
        picture.pts, picture.time_base = n, self._context.time_base
        picture.pict_type = PictureType.I if key else PictureType.NONE
        (packet,) = self._context.encode(picture)
        return length_prefixed(bytes(packet)), n, packet.is_keyframe


class EncoderSlate:
    """By an encoder of ours, which may have encoded other pictures before; VP9 is marked with `matrix`, if given."""

    def __init__(self, encoder: VideoEncoder, picture: av.VideoFrame, matrix: Matrix | None = None) -> None:
        self._encoder = encoder
        self._picture = picture
        self._matrix = matrix

    def again(self, n: int, key: bool) -> EncodedPicture:
        """See `Slate`."""
        ((data, _, is_key),) = self._encoder.encode(self._picture, n, key)
        return (vp9_marked(data, self._matrix) if self._matrix else data), n, is_key


def _x264(video: VideoSpec, level: int, matrix: Matrix) -> VideoCodecContext:
    context = av.CodecContext.create("libx264", "w")
    context.width, context.height, context.pix_fmt = video.width, video.height, "yuv420p"
    context.time_base, context.framerate = Fraction(1, video.frame_rate), Fraction(video.frame_rate)
    context.max_b_frames, context.thread_count = 0, 1
    context.color_range, context.color_primaries, context.color_trc = 1, 1, 1
    context.colorspace = h273(matrix)
    context.flags |= Flags.global_header
    context.options = {
        "preset": "ultrafast",
        "tune": "zerolatency",
        "level": f"{level / 10:.1f}",
        "qp": str(_QP),
        "x264-params": f"scenecut=0:keyint=infinite:sps-id={_SETS}",
    }
    context.open(strict=False)
    return context
