"""Who is where on the canvas: pure functions from participants to cells.

No pixels here (that is the compositor) and no membership (that is the stage).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from recorders.spec import Layout, Region

# Columns and rows on a landscape canvas, smallest first; a portrait canvas gets them transposed. Of the grids
# with little to spare these have the cells nearest to 16:9 on a 16:9 canvas.
GRIDS = ((1, 1), (2, 1), (2, 2), (3, 2), (3, 3), (4, 3), (4, 4), (5, 4), (6, 4), (6, 5), (6, 6))


@dataclass(frozen=True, slots=True)
class Seat:
    """A participant as layouts see it: its id in the channel and its display name."""

    uid: str
    name: str

    def answers_to(self, user: str) -> bool:
        """Whether a requested user or a region means this participant, by uid or by name."""
        return user in (self.uid, self.name)


@dataclass(frozen=True, slots=True)
class Cell:
    """A rectangle of the canvas in even pixels; `uid` None is a tile with the name of somebody who is not there."""

    uid: str | None
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


def arrange(
    layout: Layout,
    seats: Sequence[Seat],
    width: int,
    height: int,
    *,
    users: Sequence[str] = (),
    regions: Sequence[Region] = (),
) -> tuple[Cell, ...]:
    """Cells for those who are there, lowest first; `seats` are in the order in which they were first seen.

    A participant who comes back takes its old place in `seats`, so nothing needs to be remembered here.

    - `flat`: a grid in the order of `users` (else of `seats`), without holes: a requested user who is not
      there has no cell.
    - `spotlight`: the first of the same order is large, the others in the right quarter (the bottom quarter of
      a portrait canvas); alone it has the whole canvas. No cell for users who are not there.
    - `customized`: the regions as they are; a requested user who is not there is a tile with its name, a
      participant without a region is heard but not seen.

    With nobody there are no cells: the canvas is background.
    """
    if not seats:
        return ()
    if layout == "customized":
        return _customized(seats, width, height, users, regions)
    ordered = _in_requested_order(seats, users)
    if layout == "spotlight" and len(ordered) > 1:
        return _spotlight(ordered, width, height)
    return _grid(ordered, 0, 0, width, height, _grid_shape(len(ordered), portrait=height > width))


def _in_requested_order(seats: Sequence[Seat], users: Sequence[str]) -> list[Seat]:
    def rank(seat: Seat) -> int:
        return next((i for i, user in enumerate(users) if seat.answers_to(user)), len(users))

    return sorted(seats, key=rank)


def _grid_shape(n: int, *, portrait: bool) -> tuple[int, int]:
    columns, rows = next((grid for grid in GRIDS if grid[0] * grid[1] >= n), GRIDS[-1])
    return (rows, columns) if portrait else (columns, rows)


def _grid(seats: Sequence[Seat], x: int, y: int, width: int, height: int, shape: tuple[int, int]) -> tuple[Cell, ...]:
    """Row by row from the top left. Who finds no room in a canvas of a few pixels has no cell."""
    columns, rows = min(shape[0], width // 2), min(shape[1], height // 2)
    cells = []
    for i, seat in enumerate(seats[: columns * rows]):
        row, column = divmod(i, columns)
        left, right = _even(width * column / columns), _even(width * (column + 1) / columns)
        top, bottom = _even(height * row / rows), _even(height * (row + 1) / rows)
        cells.append(Cell(seat.uid, seat.name, x + left, y + top, right - left, bottom - top))
    return tuple(cells)


def _spotlight(seats: Sequence[Seat], width: int, height: int) -> tuple[Cell, ...]:
    first, others = seats[0], seats[1:]
    if height > width:
        edge = max(2, _even(height * 3 / 4))
        large = Cell(first.uid, first.name, 0, 0, width, edge)
        rows, columns = _strip_shape(len(others), height - edge, width, 9 / 16)
        return (large, *_grid(others, 0, edge, width, height - edge, (columns, rows)))
    edge = max(2, _even(width * 3 / 4))
    large = Cell(first.uid, first.name, 0, 0, edge, height)
    shape = _strip_shape(len(others), width - edge, height, 16 / 9)
    return (large, *_grid(others, edge, 0, width - edge, height, shape))


def _strip_shape(n: int, across: int, along: int, aspect: float) -> tuple[int, int]:
    """How many cells across a strip and along it, so that the cells (`aspect` = across / along) show most.

    Never fewer along than fit at full width, so that the first few keep their size as others come.
    """
    fit = max(1, round(along / across * aspect)) if across else 1
    best = (1, max(n, fit))
    for lanes in range(2, n + 1):
        slots = max(-(-n // lanes), fit)
        if _shown(across / lanes, along / slots, aspect) > _shown(across / best[0], along / best[1], aspect):
            best = (lanes, slots)
    return best


def _shown(across: float, along: float, aspect: float) -> float:
    """How far a picture of that aspect reaches across its cell."""
    return min(across, along * aspect)


def _customized(
    seats: Sequence[Seat], width: int, height: int, users: Sequence[str], regions: Sequence[Region]
) -> tuple[Cell, ...]:
    cells = []
    for region in sorted(regions, key=lambda region: region.z):  # stable: of equals the later covers the earlier
        x, y = _even(min(max(region.x, 0), width)), _even(min(max(region.y, 0), height))
        right, bottom = _even(min(region.x + region.width, width)), _even(min(region.y + region.height, height))
        if right <= x or bottom <= y:
            continue
        seat = next((seat for seat in seats if seat.answers_to(region.uid)), None)
        if seat is not None:
            cells.append(Cell(seat.uid, seat.name, x, y, right - x, bottom - y, region.z))
        elif region.uid in users or not users:
            cells.append(Cell(None, region.uid, x, y, right - x, bottom - y, region.z))
    return tuple(cells)


def _even(value: float) -> int:
    return int(value) & ~1
