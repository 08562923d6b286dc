"""YUV420P planes as arrays, and colours as what stands in them."""

from __future__ import annotations

import av
import numpy as np
import numpy.typing as npt

Plane = npt.NDArray[np.uint8]
Planes = tuple[Plane, Plane, Plane]
Colour = tuple[int, int, int]  # Y, Cb, Cr

BLACK: Colour = (16, 128, 128)


def planes_of(frame: av.VideoFrame) -> Planes:
    """Views, writable where the frame is, of a YUV420P frame's planes, without their padding."""
    y, u, v = (
        np.ndarray((plane.height, plane.width), np.uint8, memoryview(plane), strides=(plane.line_size, 1))
        for plane in frame.planes
    )
    return y, u, v


def empty_planes(width: int, height: int) -> Planes:
    """Planes of even size, of whatever was in the memory."""
    return (
        np.empty((height, width), np.uint8),
        np.empty((height // 2, width // 2), np.uint8),
        np.empty((height // 2, width // 2), np.uint8),
    )


def area_of(planes: Planes, x: int, y: int, width: int, height: int) -> Planes:
    """Views of a part of them, all of whose numbers are even."""
    luma, u, v = planes
    chroma = slice(y // 2, (y + height) // 2), slice(x // 2, (x + width) // 2)
    return luma[y : y + height, x : x + width], u[chroma], v[chroma]


def copy(planes: Planes, out: Planes) -> None:
    """Planes of one size."""
    for plane, there in zip(planes, out, strict=True):
        there[...] = plane


def plain_planes(colour: Colour, width: int, height: int) -> Planes:
    """Planes of even size, all of one colour."""
    planes = empty_planes(width, height)
    for plane, level in zip(planes, colour, strict=True):
        plane[...] = level
    return planes


def colour_of(text: str) -> Colour:
    """#rrggbb as BT.709 in limited range, which the canvas is in."""
    red, green, blue = (int(text[i : i + 2], 16) / 255 for i in (1, 3, 5))
    y = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return round(16 + 219 * y), round(128 + 224 * (blue - y) / 1.8556), round(128 + 224 * (red - y) / 1.5748)
