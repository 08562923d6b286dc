"""The size in a picture's header against what a real encoder was told."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest

from recorders.sources.picture_size import picture_size


def encoded(codec: str, width: int, height: int, options: dict[str, str]) -> list[bytes]:
    context: Any = av.CodecContext.create(codec, "w")
    context.width, context.height, context.pix_fmt, context.time_base = width, height, "yuv420p", Fraction(1, 30)
    context.gop_size, context.options = 100, options
    frame = av.VideoFrame.from_ndarray(np.zeros((height * 3 // 2, width), np.uint8), "yuv420p")
    packets = []
    for n in range(2):
        frame.pts = n
        packets += context.encode(frame)
    return [bytes(packet) for packet in packets + context.encode(None)]


@pytest.mark.parametrize("size", [(640, 360), (176, 144), (62, 34), (1280, 720)])
def test_of_keyframes(size: tuple[int, int]) -> None:
    fast = {"preset": "ultrafast", "tune": "zerolatency"}
    for profile in ("baseline", "main", "high"):
        key, other = encoded("libx264", *size, {**fast, "profile": profile})
        assert picture_size("h264", key) == size
        assert picture_size("h264", other) is None
    key, other = encoded("libvpx", *size, {"deadline": "realtime", "lag-in-frames": "0"})
    assert picture_size("vp8", key) == size
    assert picture_size("vp8", other) is None


def test_of_an_interlaced_keyframe() -> None:
    options = {"preset": "ultrafast", "tune": "zerolatency", "profile": "main", "x264-params": "interlaced=1"}
    assert picture_size("h264", encoded("libx264", 640, 360, options)[0]) == (640, 360)


def test_of_what_is_none() -> None:
    sps = bytes.fromhex("000000016742c01e")
    for data in (b"", b"\0\0\1", b"\0\0\1\x67", sps, b"\0\0\1\x67" + b"\0" * 40, b"\0\0\1\x67" + b"\xff" * 3):
        assert picture_size("h264", data) is None
        assert picture_size("vp8", data) is None
    assert picture_size("av1", sps) is None
