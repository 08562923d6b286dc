"""What a log's encoded tracks are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

UNSPECIFIED = 2


def key_interval(part_seconds: float, frame_rate: int) -> int:
    """Pictures from one keyframe to the next: those of a part of the log."""
    return max(1, round(part_seconds * frame_rate))


@dataclass(frozen=True, slots=True)
class VideoTrack:
    """An encoded picture track; `extradata` is avcC, or Annex B parameter sets, for H.264; empty for VP9.

    Pictures are numbered by `frame_rate`: where they have times of their own, that is the ticks of a second. `matrix`
    is the MatrixCoefficients of ITU-T H.273, BT.709's by default; `UNSPECIFIED` leaves all about colours to the
    pictures.
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
