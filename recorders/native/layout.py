"""Who is where on the canvas: pure functions from participants to cells.

No pixels here (that is the compositor) and no membership (that is the stage).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from recorders.screens import means, sharers
from recorders.spec import Layout, Region

# Width to height of cameras' pictures: as they lie, or stood on end.
WIDE, TALL = Fraction(16, 9), Fraction(9, 16)
# Pictures that differ by less than this are of one size: then other things decide.
_ALIKE = Fraction(95, 100)


@dataclass(frozen=True, slots=True)
class Seat:
    """A participant as layouts see it: its id in the channel and its display name."""

    uid: str
    name: str

    def answers_to(self, user: str) -> bool:
        """Whether a requested user or a region means this participant, by uid or by name."""
        return means(user, self.uid, self.name)

    @property
    def sharers(self) -> frozenset[str]:
        """Whose screen this is, by uid and name; empty for a camera."""
        return sharers(self.uid, self.name)


@dataclass(frozen=True, slots=True)
class Cell:
    """A participant's rectangle of the canvas, in even pixels."""

    uid: str
    name: str
    x: int
    y: int
    width: int
    height: int
    z: int = 0

    def overlaps(self, other: Cell) -> bool:
        """Whether the two rectangles share a pixel."""
        return (
            self.x < other.x + other.width
            and other.x < self.x + self.width
            and self.y < other.y + other.height
            and other.y < self.y + self.height
        )

    def within(self, other: Cell) -> bool:
        """Whether the other rectangle has all pixels of this one."""
        return (
            other.x <= self.x
            and other.y <= self.y
            and self.x + self.width <= other.x + other.width
            and self.y + self.height <= other.y + other.height
        )


def arrange(
    layout: Layout,
    seats: Sequence[Seat],
    width: int,
    height: int,
    *,
    users: Sequence[str] = (),
    regions: Sequence[Region] = (),
    large: str | None = None,
    tall: bool | None = None,
) -> tuple[Cell, ...]:
    """Cells for those who are there, lowest first; `seats` are in the order in which they were first seen.

    A participant who comes back takes its old place in `seats`, so nothing needs to be remembered here. `tall` tells
    whether most pictures are higher than wide; by default they are taken to be as the canvas is.

    - `flat`: a grid of equal cells in the order of `users` (else of `seats`), of the shape in which the pictures are
      largest.
    - `spotlight`: one is large: a screen that is shared, else `large` (a uid), else the first of the same order. The
      others are in a quarter of the canvas, on the right or at the bottom; alone it has the whole canvas.
    - `customized`: the regions as they are, higher `z` above, of equals the later. A participant without a region is
      heard but not seen.

    A requested user who is not there has no cell in any of them: the others have its place, or (`customized`) what
    lies below is seen there.
    """
    if layout == "customized":
        return _customized(seats, width, height, regions)
    ordered = _in_requested_order(seats, users)
    aspect = TALL if (height > width if tall is None else tall) else WIDE
    if layout == "spotlight" and len(ordered) > 1:
        return _spotlight(_large_first(ordered, large), width, height, aspect)
    return _grid(ordered, 0, 0, width, height, _grid_shape(len(ordered), width, height, aspect))


def _in_requested_order(seats: Sequence[Seat], users: Sequence[str]) -> list[Seat]:
    def rank(seat: Seat) -> int:
        by_name = [i for i, user in enumerate(users) if seat.answers_to(user)]
        return min(by_name or [i for i, user in enumerate(users) if user in seat.sharers], default=len(users))

    return sorted(seats, key=rank)


def _large_first(seats: Sequence[Seat], large: str | None) -> list[Seat]:
    first = next(
        (seat for seat in seats if seat.sharers), next((seat for seat in seats if seat.uid == large), seats[0])
    )
    return [first, *(seat for seat in seats if seat is not first)]


def _grid_shape(n: int, width: int, height: int, aspect: Fraction) -> tuple[int, int]:
    """Columns and rows for pictures of that aspect: the largest; of those alike, the fewest cells; then, along the
    canvas' longer side."""
    shapes = [(columns, -(-n // columns)) for columns in range(1, n + 1)]

    def shown(shape: tuple[int, int]) -> Fraction:
        return _shown(Fraction(width, shape[0]), Fraction(height, shape[1]), aspect)

    side = 1 if height > width else 0
    return min(_alike(shapes, shown), key=lambda shape: (shape[0] * shape[1], -shape[side]), default=(1, 1))


def _alike(shapes: Iterable[tuple[int, int]], shown: Callable[[tuple[int, int]], Fraction]) -> list[tuple[int, int]]:
    """Those that show pictures about as large as the best of them does."""
    sizes = {shape: shown(shape) for shape in shapes}
    return [shape for shape, size in sizes.items() if size >= max(sizes.values()) * _ALIKE]


def _grid(seats: Sequence[Seat], x: int, y: int, width: int, height: int, shape: tuple[int, int]) -> tuple[Cell, ...]:
    """Equal cells, row by row from the top left; pixels to spare are at the edges. Who finds no room in a canvas of a
    few pixels has no cell."""
    columns, rows = min(shape[0], width // 2), min(shape[1], height // 2)
    if not columns or not rows:
        return ()
    across, down = _even(width / columns), _even(height / rows)
    x, y = x + _even((width - across * columns) / 2), y + _even((height - down * rows) / 2)
    return tuple(
        Cell(seat.uid, seat.name, x + i % columns * across, y + i // columns * down, across, down)
        for i, seat in enumerate(seats[: columns * rows])
    )


def _spotlight(seats: Sequence[Seat], width: int, height: int, aspect: Fraction) -> tuple[Cell, ...]:
    first, others = seats[0], seats[1:]
    right, bottom = max(2, _even(width * 3 / 4)), max(2, _even(height * 3 / 4))
    beside, above = _shown(right, height, aspect), _shown(width, bottom, aspect)
    if above * _ALIKE > beside or (height > width and above >= beside * _ALIKE):
        large = Cell(first.uid, first.name, 0, 0, width, bottom)
        along, across = _strip_shape(len(others), height - bottom, width, 1 / aspect)
        return (large, *_grid(others, 0, bottom, width, height - bottom, (across, along)))
    large = Cell(first.uid, first.name, 0, 0, right, height)
    shape = _strip_shape(len(others), width - right, height, aspect)
    return (large, *_grid(others, right, 0, width - right, height, shape))


def _strip_shape(n: int, across: int, along: int, aspect: Fraction) -> tuple[int, int]:
    """How many cells across a strip and along it, so that the cells (`aspect` = across / along) show most.

    Never fewer along than fit at full width, so that the first few keep their size as others come.
    """
    fit = max(1, round(along / across * aspect)) if across else 1
    best = (1, max(n, fit))
    for lanes in range(2, n + 1):
        slots = max(-(-n // lanes), fit)
        shown = _shown(Fraction(across, lanes), Fraction(along, slots), aspect)
        if shown > _shown(Fraction(across, best[0]), Fraction(along, best[1]), aspect):
            best = (lanes, slots)
    return best


def _shown(across: Fraction | int, along: Fraction | int, aspect: Fraction) -> Fraction:
    """How far a picture of that aspect reaches across its cell."""
    return min(Fraction(across), along * aspect)


def _customized(seats: Sequence[Seat], width: int, height: int, regions: Sequence[Region]) -> tuple[Cell, ...]:
    cells = []
    for region in sorted(regions, key=lambda region: region.z):  # stable: of equals the later covers the earlier
        x, y = _even(min(max(region.x, 0), width)), _even(min(max(region.y, 0), height))
        right, bottom = _even(min(region.x + region.width, width)), _even(min(region.y + region.height, height))
        found = [seat for seat in seats if seat.answers_to(region.uid)]
        seat = min(found, key=lambda seat: len(seat.sharers), default=None)  # of one name: the camera, not the screen
        if seat is not None and right > x and bottom > y:
            cells.append(Cell(seat.uid, seat.name, x, y, right - x, bottom - y, region.z))
    return tuple(cells)


def _even(value: float) -> int:
    return int(value) & ~1
