"""The compositor by its pixels."""

from __future__ import annotations

import av
import numpy as np
import pytest

from recorders.native.compositor import Compositor
from recorders.native.layout import Cell, Seat, arrange
from recorders.native.planes import BLACK, Colour, colour_of, plain_planes, planes_of
from recorders.native.scaler import fitted
from recorders.native.tile import named_tile

RED, GREEN, BLUE = (63, 102, 240), (173, 42, 26), (32, 240, 118)  # BT.709, limited range


def picture(colour: Colour, width: int = 320, height: int = 180, fmt: str = "yuv420p") -> av.VideoFrame:
    """Tagged as the canvas is."""
    frame = av.VideoFrame(width, height, fmt)
    frame.colorspace, frame.color_range = 1, 1
    for plane, value in zip(planes_of(frame), colour, strict=True):
        plane[:] = value
    return frame


def at(compositor: Compositor, x: int, y: int) -> Colour:
    luma, u, v = planes_of(compositor.canvas)
    return int(luma[y, x]), int(u[y // 2, x // 2]), int(v[y // 2, x // 2])


def close(a: Colour, b: Colour, by: int = 2) -> bool:
    return all(abs(x - y) <= by for x, y in zip(a, b, strict=True))


def grid(n: int, width: int = 640, height: int = 360) -> tuple[Cell, ...]:
    return arrange("flat", [Seat(f"u{i}", f"user {i}") for i in range(n)], width, height)


def test_colours_in_their_cells_letterboxed() -> None:
    compositor = Compositor(640, 360)
    compositor.arrange(grid(2))
    compositor.show("u0", picture(RED))
    compositor.show("u1", picture(GREEN, 180, 320))  # portrait
    compositor.compose()
    assert close(at(compositor, 160, 180), RED)
    assert close(at(compositor, 480, 180), GREEN)
    assert at(compositor, 160, 20) == BLACK  # 320x180 in a cell of 320x360: bars above and below
    assert at(compositor, 160, 340) == BLACK
    assert close(at(compositor, 160, 91), RED)
    assert close(at(compositor, 480, 20), GREEN)  # 202x360: bars left and right
    assert at(compositor, 330, 180) == BLACK


def test_only_what_changed_is_drawn() -> None:
    compositor = Compositor(640, 360)
    compositor.arrange(grid(4))
    for i in range(4):
        compositor.show(f"u{i}", picture(RED))
    compositor.compose()
    compositor.compose()
    assert compositor.drawn_cells == 4
    luma = planes_of(compositor.canvas)[0]
    luma[0:180, 320:640] = 77  # would be seen if another cell were touched
    compositor.show("u2", picture(BLUE))
    compositor.compose()
    assert compositor.drawn_cells == 5
    assert (luma[0:180, 320:640] == 77).all()
    assert close(at(compositor, 160, 270), BLUE)


def test_a_new_size_leaves_no_edges_of_the_old() -> None:
    compositor = Compositor(640, 360)
    compositor.arrange(grid(1))
    compositor.show("u0", picture(RED, 640, 360))
    compositor.compose()
    compositor.show("u0", picture(GREEN, 360, 360))
    compositor.compose()
    assert at(compositor, 10, 180) == BLACK
    assert close(at(compositor, 320, 180), GREEN)


def test_relayout_shows_the_last_picture_at_once_and_clears_the_rest() -> None:
    compositor = Compositor(640, 360)
    compositor.arrange(grid(4))
    for i in range(4):
        compositor.show(f"u{i}", picture(RED))
    compositor.compose()
    drawn = compositor.drawn_cells
    compositor.arrange(grid(4)[:3])
    compositor.compose()
    assert compositor.drawn_cells == drawn  # three stay, one is cleared
    assert at(compositor, 480, 270) == BLACK
    compositor.arrange(grid(1))
    compositor.compose()
    assert close(at(compositor, 600, 340), RED)
    compositor.arrange(())
    compositor.compose()
    assert at(compositor, 320, 180) == BLACK


def test_higher_cells_cover_lower_ones_whoever_moves() -> None:
    compositor = Compositor(640, 360)
    below, above = Cell("u0", "a", 0, 0, 640, 360, 0), Cell("u1", "b", 160, 90, 320, 180, 1)
    compositor.arrange((below, above))
    compositor.show("u0", picture(RED))
    compositor.show("u1", picture(BLUE))
    compositor.compose()
    compositor.show("u0", picture(GREEN))
    compositor.compose()
    assert close(at(compositor, 320, 180), BLUE)
    assert close(at(compositor, 20, 20), GREEN)
    compositor.arrange((below,))
    compositor.compose()
    assert close(at(compositor, 320, 180), GREEN)
    compositor.arrange((below, above))
    compositor.show("u1", picture(RED))
    compositor.compose()
    assert close(at(compositor, 320, 180), RED)


def test_without_a_picture_a_named_tile() -> None:
    compositor = Compositor(640, 360)
    compositor.arrange((Cell("u0", "ann", 0, 0, 320, 360), Cell("u1", "bob", 320, 0, 320, 360)))
    compositor.compose()
    luma = planes_of(compositor.canvas)[0]
    paper = named_tile("ann", 320, 360)[0][5, 5]
    assert paper != BLACK[0]
    for x in (0, 320):
        assert luma[5, x + 5] == paper
        assert luma[150:210, x + 60 : x + 260].max() > 180  # letters in the middle
        assert (luma[5:100, x + 5 : x + 315] == paper).all()
        assert (luma[:, x] == BLACK[0]).all()  # tiles side by side have an edge
    compositor.show("u0", picture(RED))
    compositor.compose()
    compositor.show("u0", None)
    compositor.compose()
    assert luma[5, 5] == paper


@pytest.mark.parametrize("name", ["x", "a rather long name that does not fit " * 3, "名前", ""])
@pytest.mark.parametrize("size", [(640, 360), (2, 2), (40, 300)])
def test_tiles_of_any_size_and_name(name: str, size: tuple[int, int]) -> None:
    luma, u, v = named_tile(name, *size)
    assert luma.shape == (size[1], size[0])
    assert u.shape == v.shape == (size[1] // 2, size[0] // 2)


def shown(frame: av.VideoFrame) -> Colour:
    compositor = Compositor(640, 360)
    compositor.arrange(grid(1))
    compositor.show("u0", frame)
    compositor.compose()
    assert not compositor.undrawn
    return at(compositor, 320, 180)


def tagged(colour: Colour, colorspace: int, color_range: int, height: int = 180) -> av.VideoFrame:
    frame = picture(colour, 320, height)
    frame.colorspace, frame.color_range = colorspace, color_range
    return frame


def test_full_range_rgb_and_other_matrices_come_out_right() -> None:
    sd, sd_full = (81, 90, 240), (76, 85, 255)
    assert close(shown(tagged(sd, 6, 1)), RED, 3)  # SMPTE 170M
    assert close(shown(tagged(sd, 2, 0)), RED, 3)  # nothing said, small: BT.601
    assert close(shown(tagged(RED, 2, 0, height=720)), RED, 3)  # nothing said, large: BT.709
    assert close(shown(tagged(sd_full, 6, 2)), RED, 3)  # full range
    jpeg = picture(sd_full, fmt="yuvj420p")
    jpeg.colorspace, jpeg.color_range = 5, 2
    assert close(shown(jpeg), RED, 3)
    rgb = av.VideoFrame.from_ndarray(np.full((180, 320, 3), (255, 0, 0), np.uint8), "rgb24")
    assert close(shown(rgb), RED, 3)
    assert close(shown(picture(RED, 640, 360)), RED, 0)


@pytest.mark.parametrize("matrix", [3, 8, *range(10, 19)])
def test_a_matrix_that_nobody_converts_from_is_none_that_was_told(matrix: int) -> None:
    """ITU-T H.273, table 4: YCgCo, BT.2020 with constant luminance, ICtCp, and what is reserved."""
    for height in (180, 720):
        assert shown(tagged(RED, matrix, 1, height)) == shown(tagged(RED, 2, 1, height))


@pytest.mark.parametrize("labels", [False, True])
def test_a_picture_that_cannot_be_converted_is_a_tile_beside_the_others(labels: bool) -> None:
    compositor, tiles = Compositor(640, 360, labels=labels), Compositor(640, 360)
    for each in (compositor, tiles):
        each.arrange(grid(2))
    tiles.compose()
    for i in range(2):
        compositor.show("u0", av.VideoFrame(320, 180, "gray32le"))
        compositor.show("u1", picture(GREEN))
        compositor.compose()
        drawn = compositor.drawn_cells
        compositor.compose()
        assert compositor.drawn_cells == drawn
        assert compositor.undrawn == i + 1
        assert np.array_equal(planes_of(compositor.canvas)[0][:, :320], planes_of(tiles.canvas)[0][:, :320])
        assert close(at(compositor, 480, 180), GREEN)
    compositor.show("u0", picture(RED))
    compositor.compose()
    assert close(at(compositor, 160, 180), RED)
    assert at(compositor, 160, 20) == BLACK


@pytest.mark.parametrize(
    ("source", "cell", "size"),
    [((1280, 720), (640, 720), (640, 360)), ((720, 1280), (640, 720), (404, 720)), ((1, 4000), (640, 2), (2, 2))],
)
def test_fitted(source: tuple[int, int], cell: tuple[int, int], size: tuple[int, int]) -> None:
    assert fitted(*source, *cell) == size


def test_behind_everything_is_the_background() -> None:
    colour = colour_of("#204060")
    compositor = Compositor(640, 360, plain_planes(colour, 640, 360))
    assert at(compositor, 320, 180) == colour
    compositor.arrange(grid(2))
    compositor.show("u0", picture(RED))
    compositor.compose()
    assert at(compositor, 160, 20) == colour, "beside a picture"
    assert at(compositor, 320, 180) == colour, "around a tile"
    assert close(at(compositor, 160, 180), RED)
    compositor.arrange(())
    compositor.compose()
    assert at(compositor, 160, 180) == colour


def test_labels_are_on_pictures_and_are_drawn_once() -> None:
    plain, labelled = Compositor(640, 360), Compositor(640, 360, labels=True)
    for compositor in (plain, labelled):
        compositor.arrange(grid(2))
        for _ in range(3):  # again and again: what shines through must not grow darker
            compositor.show("u0", picture(RED))
            compositor.show("u1", None)
            compositor.compose()
    differs = planes_of(plain.canvas)[0] != planes_of(labelled.canvas)[0]
    rows, columns = np.nonzero(differs)
    assert rows.size > 200
    assert rows.min() > 180
    assert rows.max() < 270  # the picture ends there
    assert columns.max() < 320, "a tile has its name"
    luma = planes_of(labelled.canvas)[0][differs]
    assert luma.max() > 200
    assert abs(int(luma.min()) - (RED[0] + 16) // 2) <= 1


def test_a_label_does_not_darken_where_a_cell_below_is_drawn_again() -> None:
    compositor = Compositor(640, 360, labels=True)
    compositor.arrange((Cell("u0", "a", 0, 0, 640, 360), Cell("u1", "b", 160, 90, 320, 180, 1)))
    compositor.show("u1", picture(BLUE))
    canvases = []
    for _ in range(3):
        compositor.show("u0", picture(RED))
        compositor.compose()
        canvases.append(planes_of(compositor.canvas)[0].copy())
    assert np.array_equal(canvases[0], canvases[2])


def test_the_participants_own_picture_is_not_written_to() -> None:
    compositor = Compositor(640, 360, labels=True)
    compositor.arrange((Cell("u0", "a name", 0, 0, 640, 360),))
    same = picture(RED, 640, 360)  # of the cell's size: nothing to scale
    compositor.show("u0", same)
    compositor.compose()
    assert (planes_of(same)[0] == RED[0]).all()
    assert (planes_of(compositor.canvas)[0] != RED[0]).any()
