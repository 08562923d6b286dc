"""Pictures as they lie in their cells, against the means of their pixels and against swscale."""

from __future__ import annotations

import av
import numpy as np
import numpy.typing as npt
import pytest
from av.video.reformatter import ColorRange, Colorspace, Interpolation
from hypothesis import given
from hypothesis import strategies as st

from recorders.native.planes import Plane, Planes, empty_planes, planes_of
from recorders.native.scaler import Scaler

SIZES = st.tuples(st.integers(1, 50).map(lambda n: 4 * n), st.integers(1, 50).map(lambda n: 4 * n))


def noise(width: int, height: int, seed: int = 0) -> av.VideoFrame:
    pixels = np.random.default_rng(seed).integers(0, 256, (height * 3 // 2, width), np.uint8)
    return av.VideoFrame.from_ndarray(pixels, format="yuv420p")


def smooth(width: int, height: int, fmt: str = "yuv420p") -> av.VideoFrame:
    """Slopes, in which one way of scaling shows what another does."""
    frame = av.VideoFrame(width, height, fmt)
    for n, plane in enumerate(planes_of(frame)):
        rows, columns = np.indices(plane.shape)
        plane[:] = 40 + 20 * n + 90 * rows / plane.shape[0] + 50 * columns / plane.shape[1]
    return frame


def means(plane: Plane) -> npt.NDArray[np.float64]:
    upper, lower = plane[0::2].astype(float), plane[1::2].astype(float)
    sums: npt.NDArray[np.float64] = upper[:, 0::2] + upper[:, 1::2] + lower[:, 0::2] + lower[:, 1::2]
    return sums / 4


def halves(picture: av.VideoFrame) -> Planes:
    picture.colorspace = 1
    return scaled(Scaler(), picture, picture.width // 2, picture.height // 2)


def scaled(scaler: Scaler, picture: av.VideoFrame, width: int, height: int) -> Planes:
    out = empty_planes(width, height)
    scaler.scale(picture, out)
    return out


@given(SIZES, st.integers(0, 9))
def test_each_pixel_is_the_mean_of_four(size: tuple[int, int], seed: int) -> None:
    picture = noise(*size, seed)
    for plane, halved in zip(planes_of(picture), halves(picture), strict=True):
        assert np.abs(halved - means(plane)).max() <= 0.5


def test_the_means_are_neither_lighter_nor_darker() -> None:
    picture = noise(1280, 720)
    for plane, half in zip(planes_of(picture), halves(picture), strict=True):
        assert abs(float(half.mean()) - float(plane.mean())) < 0.15  # a half is rounded up
    assert [int(half.max()) for half in halves(plain(32, 32, 255))] == [255] * 3


def plain(width: int, height: int, level: int) -> av.VideoFrame:
    return av.VideoFrame.from_ndarray(np.full((height * 3 // 2, width), level, np.uint8), format="yuv420p")


@pytest.mark.parametrize(
    ("size", "wanted"),
    [
        ((1280, 720), (640, 360)),  # halved
        ((1280, 720), (320, 180)),
        ((1280, 720), (426, 240)),
        ((1920, 1080), (640, 360)),
        ((1276, 716), (638, 358)),  # halved
        ((1272, 720), (636, 360)),  # halved
        ((640, 358), (320, 178)),
        ((640, 360), (640, 360)),
        ((320, 180), (640, 360)),
        ((1280, 720), (640, 362)),  # not half in height
    ],
)
@pytest.mark.parametrize("matrix", [1, 2, 5, 9])
@pytest.mark.parametrize("fmt", ["yuv420p", "yuvj420p"])
def test_looks_as_swscale_makes_it(size: tuple[int, int], wanted: tuple[int, int], matrix: int, fmt: str) -> None:
    picture = smooth(*size, fmt)
    picture.colorspace = matrix
    assumed = 1 if size[1] >= 720 else 5
    colours = ColorRange.JPEG if fmt == "yuvj420p" else ColorRange.MPEG
    expected = picture.reformat(
        *wanted,
        "yuv420p",
        src_colorspace=Colorspace(assumed if matrix == 2 else matrix),
        dst_colorspace=Colorspace.ITU709,
        interpolation=Interpolation.AREA,
        src_color_range=colours,
        dst_color_range=ColorRange.MPEG,
    )
    scaler = Scaler()
    for again in range(2):
        found = scaled(scaler, picture, *wanted)
        for mine, theirs in zip(found, planes_of(expected), strict=True):
            assert np.abs(mine.astype(int) - theirs)[2:-2, 2:-2].max() <= 3, again


def test_sizes_may_change_from_picture_to_picture() -> None:
    scaler = Scaler()
    for level, size in enumerate([(1280, 720), (640, 360), (320, 180), (640, 480), (1280, 720)]):
        picture = plain(*size, 50 + level)
        picture.colorspace = 1
        for wanted in ((320, 180), (160, 90)):
            planes = scaled(scaler, picture, *wanted)
            assert all((plane == 50 + level).all() for plane in planes)
