"""Layouts as properties of the pure function: inside, even, apart; and the documented grids."""

from __future__ import annotations

from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorders.native.layout import Cell, Seat, arrange
from recorders.spec import Layout, Region

even = st.integers(1, 2048).map(lambda half: half * 2)
large_even = st.integers(128, 1024).map(lambda half: half * 2)
counts = st.integers(1, 32)
CANVASES = [(1280, 720), (1920, 1080), (640, 360), (640, 480), (720, 720), (720, 1280), (1080, 1920), (480, 640)]


def people(n: int) -> list[Seat]:
    return [Seat(f"u{i}", f"user {i}") for i in range(n)]


def shape(cells: tuple[Cell, ...]) -> tuple[int, int]:
    return len({cell.x for cell in cells}), len({cell.y for cell in cells})


def assert_sound(cells: tuple[Cell, ...], width: int, height: int) -> None:
    for cell in cells:
        assert cell.width >= 2
        assert cell.height >= 2
        assert not (cell.x | cell.y | cell.width | cell.height) & 1
        assert cell.x >= 0
        assert cell.y >= 0
        assert cell.x + cell.width <= width
        assert cell.y + cell.height <= height


@given(layout=st.sampled_from(["flat", "spotlight"]), n=counts, width=even, height=even)
def test_any_number_on_any_canvas(layout: Layout, n: int, width: int, height: int) -> None:
    cells = arrange(layout, people(n), width, height)
    assert_sound(cells, width, height)
    assert not any(a.overlaps(b) for a, b in combinations(cells, 2))
    assert cells[0].uid == "u0"
    if min(width, height) >= 320:
        assert [cell.uid for cell in cells] == [f"u{i}" for i in range(n)]


def best_shown(n: int, width: int, height: int, aspect: float) -> float:
    """How wide pictures of that aspect can be in any grid of n equal cells, whatever it leaves over."""
    return max(min(width / columns, height / -(-n // columns) * aspect) for columns in range(1, n + 1))


@given(n=counts, canvas=st.sampled_from(CANVASES) | st.tuples(large_even, large_even), tall=st.none() | st.booleans())
def test_flat_cells_are_equal_and_the_largest_there_are(n: int, canvas: tuple[int, int], tall: bool | None) -> None:
    width, height = canvas
    cells = arrange("flat", people(n), width, height, tall=tall)
    assert_sound(cells, width, height)
    assert not any(a.overlaps(b) for a, b in combinations(cells, 2))
    assert [cell.uid for cell in cells] == [f"u{i}" for i in range(n)]
    assert len({(cell.width, cell.height) for cell in cells}) == 1
    aspect = 9 / 16 if (height > width if tall is None else tall) else 16 / 9
    columns, rows = shape(cells)
    shown = min(width / columns, height / rows * aspect)
    assert shown >= 0.95 * best_shown(n, width, height, aspect) - 1e-9
    assert columns * rows - n < columns, "a row of nothing but holes"
    cell = cells[0]
    assert width - columns * cell.width < 2 * columns, "pixels are left over that cells could have"
    assert height - rows * cell.height < 2 * rows


@given(n=st.integers(2, 32), canvas=st.sampled_from(CANVASES) | st.tuples(large_even, large_even))
def test_in_spotlight_one_is_large_and_the_others_are_alike(n: int, canvas: tuple[int, int]) -> None:
    large, *small = arrange("spotlight", people(n), *canvas)
    assert_sound((large, *small), *canvas)
    assert not any(a.overlaps(b) for a, b in combinations((large, *small), 2))
    assert [cell.uid for cell in small] == [f"u{i}" for i in range(1, n)]
    assert len({(cell.width, cell.height) for cell in small}) == 1
    assert large.width * large.height >= 0.7 * canvas[0] * canvas[1]
    assert small[0].width * small[0].height < large.width * large.height / 2


@pytest.mark.parametrize(
    ("canvas", "tall", "grids"),
    [
        ((720, 720), None, [(1, 1), (1, 2), (1, 3), (2, 2)]),
        ((640, 480), None, [(1, 1), (1, 2), (2, 2), (2, 2)]),
        ((848, 480), None, [(1, 1), (2, 1), (2, 2), (2, 2)]),
        ((720, 1280), False, [(1, 1), (1, 2), (1, 3), (1, 4)]),  # webcams in a portrait recording
        ((1280, 720), True, [(1, 1), (2, 1), (3, 1), (4, 1)]),  # phones in a landscape one
    ],
)
def test_flat_is_as_the_pictures_are(canvas: tuple[int, int], tall: bool | None, grids: list[tuple[int, int]]) -> None:
    assert [shape(arrange("flat", people(n), *canvas, tall=tall)) for n in range(1, 5)] == grids


def test_the_strip_is_where_the_large_picture_stays_largest() -> None:
    assert arrange("spotlight", people(2), 720, 720)[0] == Cell("u0", "user 0", 0, 0, 720, 540)
    assert arrange("spotlight", people(2), 720, 1280, tall=False)[0] == Cell("u0", "user 0", 0, 0, 720, 960)
    assert arrange("spotlight", people(2), 1280, 720, tall=True)[0] == Cell("u0", "user 0", 0, 0, 960, 720)


def test_in_spotlight_a_screen_goes_before_a_speaker_and_a_speaker_before_the_order() -> None:
    seats = [Seat("1", "ann"), Seat("2", "bob"), Seat("3", "cat")]

    def uids(*more: Seat, large: str | None) -> list[str]:
        return [cell.uid for cell in arrange("spotlight", [*seats, *more], 1280, 720, users=("bob",), large=large)]

    assert uids(large=None) == ["2", "1", "3"]
    assert uids(large="3") == ["3", "2", "1"]
    assert uids(large="gone") == ["2", "1", "3"]
    assert uids(Seat("4", "cat-screen"), large="1") == ["4", "2", "1", "3"]


def test_a_screen_is_next_to_who_shares_it() -> None:
    seats = [Seat("a-screen", "a-screen"), Seat("c", "c"), Seat("b", "b"), Seat("a", "a"), Seat("-screen", "-screen")]
    cells = arrange("flat", seats, 1280, 720, users=("b", "a", "c"))
    assert [cell.uid for cell in cells] == ["b", "a-screen", "a", "c", "-screen"]
    assert [set(seat.sharers) for seat in seats] == [{"a"}, set(), set(), set(), set()]


def test_regions_tell_a_screen_from_a_camera() -> None:
    seats = [Seat("7/screen", "ann"), Seat("7", "ann"), Seat("8-screen-2", "ben (screen 2)")]
    regions = [Region(uid, 0, 0, 64, 64) for uid in ("ann", "ann-screen", "7-screen", "ben", "8-screen", "ben-screen")]
    cells = arrange("customized", seats, 64, 64, regions=regions)
    assert [cell.uid for cell in cells] == ["7", "7/screen", "7/screen", "8-screen-2", "8-screen-2"]


@pytest.mark.parametrize(
    ("n", "grid"),
    [
        (1, (1, 1)), (2, (2, 1)), (3, (2, 2)), (4, (2, 2)), (5, (3, 2)), (6, (3, 2)), (7, (3, 3)), (9, (3, 3)),
        (12, (4, 3)), (16, (4, 4)), (20, (5, 4)), (21, (5, 5)), (25, (5, 5)), (30, (6, 5)), (32, (6, 6)),
    ],
)  # fmt: skip
def test_flat_grids(n: int, grid: tuple[int, int]) -> None:
    cells = arrange("flat", people(n), 1280, 720)
    assert shape(cells) == grid
    turned = arrange("flat", people(n), 720, 1280)
    assert shape(turned) == grid[::-1]


def test_two_side_by_side_fill_the_canvas() -> None:
    left, right = arrange("flat", people(2), 1280, 720)
    assert (left.x, left.y, left.width, left.height) == (0, 0, 640, 720)
    assert (right.x, right.y, right.width, right.height) == (640, 0, 640, 720)


def test_flat_follows_the_requested_order_and_leaves_no_hole() -> None:
    seats = [Seat("9", "ann"), Seat("7", "bob"), Seat("8", "cat")]
    cells = arrange("flat", seats, 1280, 720, users=["bob", "nobody", "9"])
    assert [cell.uid for cell in cells] == ["7", "9", "8"]
    assert shape(cells) == (2, 2)


def test_spotlight_takes_over_and_gives_back() -> None:
    def large(*names: str) -> str | None:
        cells = arrange("spotlight", [Seat(n, n) for n in names], 1280, 720, users=["a", "b", "c"])
        return max(cells, key=lambda cell: cell.width * cell.height).uid

    assert large("c", "b", "a") == "a"
    assert large("c", "b") == "b"
    assert large("a", "c", "b") == "a"


def test_spotlight_geometry() -> None:
    cells = arrange("spotlight", people(5), 1280, 720)
    assert cells[0] == Cell("u0", "user 0", 0, 0, 960, 720)
    assert [(c.x, c.y, c.width, c.height) for c in cells[1:]] == [(960, y, 320, 180) for y in (0, 180, 360, 540)]
    assert arrange("spotlight", people(2), 1280, 720)[1] == Cell("u1", "user 1", 960, 0, 320, 180)
    portrait = arrange("spotlight", people(2), 720, 1280)
    assert portrait[0] == Cell("u0", "user 0", 0, 0, 720, 960)
    assert portrait[1].y == 960
    assert arrange("spotlight", people(1), 1280, 720) == (Cell("u0", "user 0", 0, 0, 1280, 720),)


@given(n=st.integers(2, 32))
def test_spotlight_small_cells_never_grow_as_others_come(n: int) -> None:
    sizes = [arrange("spotlight", people(k), 1280, 720)[-1] for k in range(2, n + 1)]
    widths = [cell.width for cell in sizes]
    assert all(later <= earlier + 2 for earlier, later in pairwise(widths))


region = st.builds(
    Region,
    uid=st.sampled_from(["u0", "u1", "user 2", "gone"]),
    x=st.integers(0, 600).map(lambda v: v * 2),
    y=st.integers(0, 300).map(lambda v: v * 2),
    width=st.integers(1, 640).map(lambda v: v * 2),
    height=st.integers(1, 360).map(lambda v: v * 2),
    z=st.integers(-3, 3),
)


@given(regions=st.lists(region, max_size=32))
def test_customized_is_inside_and_ordered(regions: list[Region]) -> None:
    cells = arrange("customized", people(3), 1280, 720, regions=regions)
    assert_sound(cells, 1280, 720)
    assert [cell.z for cell in cells] == sorted(cell.z for cell in cells)


@pytest.mark.parametrize("users", [(), ("ann", "gone"), ("ann",)])
def test_customized_has_no_cell_for_who_is_missing(users: tuple[str, ...]) -> None:
    regions = [Region("ann", 0, 0, 640, 360), Region("gone", 0, 0, 640, 360, 1)]
    cells = arrange("customized", [Seat("1", "ann")], 1280, 720, users=users, regions=regions)
    assert cells == (Cell("1", "ann", 0, 0, 640, 360),)


@pytest.mark.parametrize("layout", ["flat", "spotlight", "customized"])
def test_nobody_is_background(layout: Layout) -> None:
    assert arrange(layout, [], 1280, 720, users=["a"], regions=[Region("a", 0, 0, 2, 2)]) == ()
