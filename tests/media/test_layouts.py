"""Layouts in encoded pictures: whose colour is seen in which cell, for 1 to 32 users on canvases of three shapes."""

from __future__ import annotations

from typing import Any, cast

import av
import numpy as np
import pytest

from recorders.config import EncoderConfig
from recorders.encoder import VideoEncoder
from recorders.native.compositor import Compositor
from recorders.native.layout import Seat, arrange
from recorders.native.planes import Colour, colour_of, plain_planes, planes_of
from recorders.spec import Layout, VideoSpec

BACKGROUND = colour_of("#103050")


def colour(i: int) -> Colour:
    """32 that are told apart after encoding: luma by the number's low bits, tint by the high ones."""
    return 60 + i % 8 * 22, (80, 110, 150, 180)[i // 8], (180, 90, 170, 100)[i // 8]


def picture(i: int, *, tall: bool) -> av.VideoFrame:
    """16:9, or 9:16."""
    frame = av.VideoFrame(*((90, 160) if tall else (160, 90)), "yuv420p")
    frame.colorspace, frame.color_range = 1, 1
    for plane, value in zip(planes_of(frame), colour(i), strict=True):
        plane[:] = value
    return frame


def decoded(canvas: av.VideoFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The canvas after libx264, as a player gets it."""
    encoder = VideoEncoder(VideoSpec(canvas.width, canvas.height, 30, 4000), EncoderConfig(), 2.0)
    ((data, _, key),) = encoder.encode(canvas, 0)
    assert key
    decoder = cast(Any, av.CodecContext.create("h264", "r"))
    decoder.extradata = encoder.track.extradata
    frames: list[av.VideoFrame] = [*decoder.decode(av.Packet(data)), *decoder.decode(None)]
    assert len(frames) == 1
    return planes_of(frames[0])


@pytest.mark.parametrize("canvas", [(640, 360), (480, 480), (360, 640)], ids=["landscape", "square", "portrait"])
@pytest.mark.parametrize("layout", ["flat", "spotlight"])
@pytest.mark.parametrize("n", [1, 2, 3, 5, 9, 17, 25, 32])
def test_everybody_is_seen_in_a_cell_of_their_own(layout: Layout, n: int, canvas: tuple[int, int]) -> None:
    width, height = canvas
    tall = height > width
    cells = arrange(layout, [Seat(f"u{i}", f"user {i}") for i in range(n)], width, height)
    compositor = Compositor(width, height, plain_planes(BACKGROUND, width, height))
    compositor.arrange(cells)
    for i in range(n):
        compositor.show(f"u{i}", picture(i, tall=tall))
    compositor.compose()
    y, u, v = decoded(compositor.canvas)
    seen: list[int] = []
    covered = np.zeros((height, width), bool)
    for cell in cells:
        across, down = cell.x + cell.width // 2, cell.y + cell.height // 2
        box = slice(down - 4, down + 4), slice(across - 4, across + 4)
        half = slice(down // 2 - 2, down // 2 + 2), slice(across // 2 - 2, across // 2 + 2)
        mean = y[box].mean(), u[half].mean(), v[half].mean()
        seen.append(min(range(32), key=lambda i: sum(abs(a - b) for a, b in zip(colour(i), mean, strict=True))))
        assert sum(abs(a - b) for a, b in zip(colour(seen[-1]), mean, strict=True)) < 9
        covered[cell.y : cell.y + cell.height, cell.x : cell.x + cell.width] = True
    assert seen == list(range(n))
    if (~covered).sum() > 400:
        assert abs(float(np.median(y[~covered])) - BACKGROUND[0]) <= 3
