"""What an SDK has decoded, copied into our own frames: strides, odd sizes, turns."""

from __future__ import annotations

import numpy as np
import pytest

from recorders.native.planes import planes_of
from recorders.sources.decoded import sound, upright


def i420(width: int, height: int, padding: int = 0) -> tuple[np.ndarray, list[tuple[bytes, int]]]:
    """A picture whose luma tells where it is, and its planes with padded rows."""
    luma = np.add.outer(np.arange(height) * 10, np.arange(width)).astype(np.uint8)
    half = (width + 1) // 2, (height + 1) // 2
    planes = [luma, *(np.full(half[::-1], value, np.uint8) for value in (90, 160))]
    padded = [np.pad(plane, ((0, 0), (0, padding)), constant_values=255) for plane in planes]
    return luma, [(plane.tobytes(), plane.shape[1]) for plane in padded]


@pytest.mark.parametrize("padding", [0, 7])
@pytest.mark.parametrize("size", [(8, 6), (9, 7), (2, 2)])
def test_planes_are_copied_without_their_padding(size: tuple[int, int], padding: int) -> None:
    luma, planes = i420(*size, padding)
    frame = upright(*size, planes)
    y, u, v = planes_of(frame)
    width, height = size[0] & ~1, size[1] & ~1
    assert (frame.width, frame.height) == (width, height)
    assert (y == luma[:height, :width]).all()
    assert (u == 90).all()
    assert (v == 160).all()


@pytest.mark.parametrize("clockwise", [0, 90, 180, 270, 360])
def test_a_picture_is_turned_clockwise(clockwise: int) -> None:
    luma, planes = i420(8, 6)
    frame = upright(8, 6, planes, clockwise)
    turned = luma
    for _ in range(clockwise // 90 % 4):
        turned = turned[::-1].T  # the first column, from below, becomes the first row
    assert (frame.height, frame.width) == turned.shape
    assert (planes_of(frame)[0] == turned).all()


def test_the_copy_outlives_the_buffer() -> None:
    luma, planes = i420(8, 6)
    buffers = [bytearray(data) for data, _ in planes]
    frame = upright(8, 6, [(buffer, stride) for buffer, (_, stride) in zip(buffers, planes, strict=True)])
    pcm = bytearray(np.arange(20, dtype=np.int16).tobytes())
    heard = sound(pcm, 48000, 2)
    for buffer in (*buffers, pcm):
        buffer[:] = bytes(len(buffer))
    assert (planes_of(frame)[0] == luma).all()
    assert (heard.to_ndarray() == np.arange(20)).all()
    assert (heard.samples, heard.sample_rate, heard.layout.name) == (10, 48000, "stereo")


def test_what_is_no_picture_or_sound() -> None:
    _, planes = i420(8, 6)
    for bad in (
        lambda: upright(8, 8, planes),
        lambda: upright(0, 0, planes),
        lambda: upright(8, 6, planes, 45),
        lambda: upright(8, 6, planes[:2]),
        lambda: upright(8, 6, [(b"", 0)] * 3),
        lambda: sound(b"\0\0" * 3, 48000, 2),
        lambda: sound(b"", 48000, 1),
        lambda: sound(b"\0\0" * 6, 48000, 3),
        lambda: sound(b"\0\0" * 6, 0, 2),
    ):
        with pytest.raises(ValueError, match=r".+"):
            bad()
