"""Codecs that the browser may encode with, as WebCodecs configurations in order of preference. Pure."""

from __future__ import annotations

from typing import Any

from recorders.formats import VideoCodec
from recorders.spec import VideoSpec

# H.264 levels (ITU-T H.264, table A-1): level_idc, macroblocks a picture, macroblocks a second.
_LEVELS = (
    (0x1E, 1620, 40_500),
    (0x1F, 3600, 108_000),
    (0x20, 5120, 216_000),
    (0x28, 8192, 245_760),
    (0x2A, 8704, 522_240),
    (0x33, 36_864, 983_040),
    (0x34, 36_864, 2_073_600),
)
# What is decoded and encoded again must lose little the first time.
_TRANSCODE_BITRATE = 3


def avc_level(video: VideoSpec) -> int:
    """The lowest level_idc of H.264 that holds this size and rate."""
    size = -(-video.width // 16) * -(-video.height // 16)
    for level, picture, second in _LEVELS:
        if size <= picture and size * video.frame_rate <= second:
            return level
    return _LEVELS[-1][0]


def codec_name(codec: str) -> str:
    """FFmpeg's name of a WebCodecs codec string ("avc1.64001f" -> "h264"); "raw" is for pictures as they are."""
    return {"raw": "rawvideo", "avc1": "h264", "vp8": "vp8", "vp09": "vp9"}[codec.partition(".")[0]]


def configurations(video: VideoSpec, wanted: VideoCodec) -> list[dict[str, Any]]:
    """`VideoEncoderConfig`s (W3C WebCodecs) to try in order; the first kind needs no transcode to `wanted`."""
    common: dict[str, Any] = {
        "width": video.width,
        "height": video.height,
        "framerate": video.frame_rate,
        "latencyMode": "realtime",
        "bitrateMode": "variable",
    }
    h264: list[dict[str, Any]] = [
        {"codec": f"avc1.{profile}00{avc_level(video):02x}", "avc": {"format": "avc"}} for profile in ("64", "4d", "42")
    ]
    vp9: list[dict[str, Any]] = [{"codec": "vp09.00.51.08"}]
    vp8: list[dict[str, Any]] = [{"codec": "vp8"}]
    ordered = [*h264, *vp8, *vp9] if wanted == "h264" else [*vp9, *vp8, *h264]
    return [
        {
            **common,
            **config,
            "bitrate": video.bitrate * 1000 * (1 if codec_name(config["codec"]) == wanted else _TRANSCODE_BITRATE),
        }
        for config in ordered
    ]
