"""`customized` by its pixels: twelve golden pictures, and any regions in any order of events."""

from __future__ import annotations

from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from recorders.native.compositor import Compositor
from recorders.native.layout import Cell, Seat, arrange
from recorders.native.planes import Colour, colour_of, plain_planes, planes_of
from recorders.native.scaler import fitted
from recorders.native.tile import named_tile
from recorders.spec import Region
from tests.unit.golden_regions import FOLDER, SENT, SETS, Golden, Size, painted


def sent(uid: str) -> av.VideoFrame:
    """What a participant of the golden pictures sends."""
    (red, green, blue), (width, height) = SENT[uid]
    frame = av.VideoFrame(width, height, "yuv420p")
    frame.colorspace, frame.color_range = 1, 1
    white = 235, 128, 128
    for plane, value, light in zip(planes_of(frame), colour_of(f"#{red:02x}{green:02x}{blue:02x}"), white, strict=True):
        plane[:] = value
        h, w = plane.shape
        plane[h // 8 : h * 3 // 8, w // 8 : w * 3 // 8] = light
    return frame


@pytest.mark.parametrize("golden", SETS, ids=[each.name for each in SETS])
def test_golden_pictures(golden: Golden) -> None:
    wanted = np.asarray(Image.open(FOLDER / f"{golden.name}.png").convert("RGB")).astype(int)
    assert np.array_equal(wanted, painted(golden, SENT)), "the golden picture is not what it was painted from"
    width, height = golden.canvas
    background = plain_planes(colour_of(golden.background), width, height)
    compositor = Compositor(width, height, background)
    seats = [Seat(uid, uid) for uid in SENT]
    compositor.arrange(arrange("customized", seats, width, height, regions=golden.regions))
    for uid in (*SENT, *reversed(SENT)):  # drawing one by one and again must not show
        compositor.show(uid, sent(uid))
        compositor.compose()
    shown = compositor.canvas.reformat(format="rgb24", src_colorspace="ITU709", dst_color_range=2).to_ndarray()
    off = np.abs(shown.astype(int) - wanted).max(axis=2)
    # Scaled edges of the white squares are soft, by a pixel of luma or two of chroma.
    assert (off > 12).mean() < 0.03
    assert off.mean() < 2.5


PALETTE = [colour_of(text) for text in ("#c81e1e", "#1ea032", "#283cd2", "#dcbe28", "#ffffff")]
BACKGROUND = colour_of("#204060")
WIDTH, HEIGHT = 96, 64
UIDS = ["u0", "u1", "u2"]

regions = st.lists(
    st.builds(
        lambda uid, x, y, w, h, z: Region(uid, x, y, min(w, WIDTH - x), min(h, HEIGHT - y), z),
        st.sampled_from(UIDS),
        st.integers(0, 46).map(lambda v: 2 * v),
        st.integers(0, 30).map(lambda v: 2 * v),
        st.integers(1, 48).map(lambda v: 2 * v),
        st.integers(1, 32).map(lambda v: 2 * v),
        st.integers(-1, 1),
    ),
    max_size=6,
)
pictures = st.tuples(st.sampled_from(PALETTE), st.sampled_from([(32, 18), (18, 32), (24, 24), (2, 64)]))
events = st.lists(
    st.tuples(st.just("show"), st.sampled_from(UIDS), st.none() | pictures)
    | st.tuples(st.just("arrange"), regions, st.sets(st.sampled_from(UIDS))),
    min_size=1,
    max_size=12,
)


def plain(colour: Colour, size: Size) -> av.VideoFrame:
    frame = av.VideoFrame(*size, "yuv420p")
    frame.colorspace, frame.color_range = 1, 1
    for plane, value in zip(planes_of(frame), colour, strict=True):
        plane[:] = value
    return frame


def paint(cells: tuple[Cell, ...], shown: dict[str, tuple[Colour, Size] | None]) -> list[np.ndarray]:
    """Everything anew, from the lowest cell up."""
    canvas = plain_planes(BACKGROUND, WIDTH, HEIGHT)
    for cell in cells:
        picture = shown.get(cell.uid)
        if picture is None:
            edge = 2 if min(cell.width, cell.height) >= 32 else 0
            width, height = cell.width - 2 * edge, cell.height - 2 * edge
            planes, x, y = named_tile(cell.name, width, height), edge, edge
        else:
            width, height = fitted(*picture[1], cell.width, cell.height)
            planes = plain_planes(picture[0], width, height)
            x, y = (cell.width - width) // 2 & ~1, (cell.height - height) // 2 & ~1
        for i, (plane, drawn) in enumerate(zip(canvas, planes, strict=True)):
            half = 1 if i else 0
            at = (
                slice(cell.y >> half, (cell.y + cell.height) >> half),
                slice(cell.x >> half, (cell.x + cell.width) >> half),
            )
            plane[at] = BACKGROUND[i]
            top, left = (cell.y + y) >> half, (cell.x + x) >> half
            plane[top : top + (height >> half), left : left + (width >> half)] = drawn
    return list(canvas)


@settings(max_examples=150)
@given(events)
def test_whatever_happens_the_canvas_is_as_if_painted_anew(events: list[tuple[Any, ...]]) -> None:
    compositor = Compositor(WIDTH, HEIGHT, plain_planes(BACKGROUND, WIDTH, HEIGHT))
    cells: tuple[Cell, ...] = ()
    shown: dict[str, tuple[Colour, Size] | None] = {}
    for what, first, second in events:
        if what == "show":
            compositor.show(first, plain(*second) if second else None)
            if any(cell.uid == first for cell in cells):
                shown[first] = second
        else:
            seats = [Seat(uid, uid) for uid in UIDS if uid in second]
            cells = arrange("customized", seats, WIDTH, HEIGHT, regions=first)
            compositor.arrange(cells)
            there = {cell.uid for cell in cells}
            shown = {uid: picture for uid, picture in shown.items() if uid in there}
        compositor.compose()
        for plane, wanted in zip(planes_of(compositor.canvas), paint(cells, shown), strict=True):
            assert np.abs(plane.astype(int) - wanted).max() <= 2  # a scaler's rounding


def test_what_is_wholly_covered_is_not_drawn() -> None:
    compositor = Compositor(WIDTH, HEIGHT)
    below, above = Cell("u0", "u0", 10, 10, 40, 40), Cell("u1", "u1", 0, 0, WIDTH, HEIGHT, 1)
    compositor.arrange((below, above))
    for _ in range(5):
        compositor.show("u0", plain(PALETTE[0], (32, 18)))
        compositor.show("u1", plain(PALETTE[1], (96, 64)))
        compositor.compose()
    assert compositor.drawn_cells == 5
    compositor.arrange((below,))
    compositor.compose()
    assert planes_of(compositor.canvas)[0][30, 30] == PALETTE[0][0]
