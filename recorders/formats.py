"""What each output format is made of: the codecs of the log, and the container of the finished file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from recorders.errors import InvalidSpec
from recorders.spec import AudioSpec, Format, RecordingSpec, VideoSpec

VideoCodec = Literal["h264", "vp9"]
AudioCodec = Literal["aac", "opus"]


@dataclass(frozen=True, slots=True)
class Codecs:
    """Codecs of a recording's log; `container` is the single file made of it at the end (FFmpeg's name), if any."""

    video: VideoCodec | None
    audio: AudioCodec
    container: Literal["mp4", "webm", "ipod", "ogg"] | None
    extension: str


_FORMATS: dict[Format, Codecs] = {
    "hls": Codecs("h264", "aac", None, ".m3u8"),
    "mp4": Codecs("h264", "aac", "mp4", ".mp4"),
    "webm": Codecs("vp9", "opus", "webm", ".webm"),
    "m4a": Codecs(None, "aac", "ipod", ".m4a"),
    "ogg": Codecs(None, "opus", "ogg", ".ogg"),
}


def codecs_of(format: Format) -> Codecs:
    """What recordings of `format` are made of."""
    return _FORMATS[format]


def wanted(spec: RecordingSpec) -> tuple[VideoSpec | None, AudioSpec | None]:
    """What there is to be of pictures and of sound. Raises `InvalidSpec` when that is nothing."""
    video = spec.video if codecs_of(spec.format).video is not None else None
    if video is None and spec.audio is None:
        raise InvalidSpec(f"A recording as {spec.format} without sound and without pictures has nothing to record.")
    return video, spec.audio


def extensions() -> tuple[str, ...]:
    """Extensions of the single files, one for each format that has one."""
    return tuple(codecs.extension for codecs in _FORMATS.values() if codecs.container)
