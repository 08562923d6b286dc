"""The canvas: one YUV420P picture that persists, in which only what has changed is drawn again.

Where cells lie is told by the layout; which picture is due, by the stage. Not thread-safe.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import av
from av.video.reformatter import ColorRange

from recorders.native.layout import Cell
from recorders.native.planes import BLACK, Planes, plain_planes, planes_of
from recorders.native.scaler import BT709, Scaler, fitted
from recorders.native.tile import Label, label, named_tile

# Tiles have so many pixels of background around them, so that those side by side are told apart; small ones have not.
_EDGE, _EDGED_FROM = 2, 32


@dataclass(slots=True)
class _View:
    """What a cell shows: the newest picture of its participant, or (None) a tile."""

    cell: Cell
    below: tuple[Cell, ...] = ()  # cells that this one covers a part of
    above: list[_View] = field(default_factory=list)  # cells that cover a part of this one
    hidden: bool = False  # one of them covers all of it
    picture: av.VideoFrame | None = None
    stale: bool = True  # picture changed since it was drawn
    bare: bool = True  # the whole cell must be drawn: edges, too
    drawn: Planes | None = None  # what is in the cell, to be drawn again when something below has changed
    at: tuple[int, int] = (0, 0)  # where in the cell `drawn` lies
    label: Label | None = None  # over it
    scaler: Scaler = field(default_factory=Scaler)


class Compositor:
    """A canvas of `width` x `height` even pixels; `canvas` may be encoded between any two calls.

    Where nothing is drawn the `background` is seen, by default black. `labels` puts names on pictures.
    """

    def __init__(self, width: int, height: int, background: Planes | None = None, *, labels: bool = False) -> None:
        self.canvas = av.VideoFrame(width, height, "yuv420p")
        self.canvas.colorspace = BT709
        self.canvas.color_range = ColorRange.MPEG
        self.drawn_cells = 0  # how many cells were drawn in all: what composing has cost
        self.undrawn = 0  # pictures that FFmpeg does not convert, for which a tile is shown
        self._planes = planes_of(self.canvas)
        self._background = background or plain_planes(BLACK, width, height)
        self._labels = labels
        self._views: list[_View] = []  # lowest first
        self._by_uid: dict[str, list[_View]] = {}
        self._fill(0, 0, width, height)

    def arrange(self, cells: Sequence[Cell]) -> None:
        """Show these cells, lowest first, from now on; those that stay as they were are not drawn again."""
        before = {view.cell: view for view in self._views}
        pictures = {view.cell.uid: view.picture for view in self._views}
        self._views = []
        staying = set(cells)
        cleared = [cell for cell in before if cell not in staying]
        for cell in cleared:
            self._fill(cell.x, cell.y, cell.width, cell.height)
        for cell in cells:
            view = before.pop(cell, None)
            below = [other for other in self._views if other.cell.overlaps(cell)]
            under = tuple(other.cell for other in below)
            if view is None:
                view = _View(cell, picture=pictures.get(cell.uid))
            elif under != view.below or any(cell.overlaps(other) for other in cleared):
                view.bare = True
            view.below, view.above, view.hidden = under, [], False
            for other in below:
                other.above.append(view)
                other.hidden = other.hidden or other.cell.within(cell)
            self._views.append(view)
        self._by_uid = {}
        for view in self._views:
            self._by_uid.setdefault(view.cell.uid, []).append(view)

    def show(self, uid: str, picture: av.VideoFrame | None) -> None:
        """The newest picture of a participant, of any size and format; None for a tile with its name."""
        for view in self._by_uid.get(uid, ()):
            if picture is view.picture:
                continue
            if (picture is None) != (view.picture is None):
                view.bare = True
            view.picture = picture
            view.stale = True

    def compose(self) -> bool:
        """Draw what has changed; tells whether anything had."""
        changed = False
        for view in self._views:
            if (view.stale or view.bare) and not view.hidden:
                self._draw(view)
                changed = True
        return changed

    def _draw(self, view: _View) -> None:
        cell = view.cell
        if view.stale or view.drawn is None:
            scaled = self._scaled(view)
            drawn, at = scaled or _tile(cell)
            size_before = view.drawn[0].shape if view.drawn is not None else None
            if at != view.at or drawn[0].shape != size_before:
                view.bare = True
            view.drawn, view.at = drawn, at
            height, width = drawn[0].shape
            view.label = label(cell.name, width, height) if self._labels and scaled else None
        x, y = view.at
        height, width = view.drawn[0].shape
        if view.bare and (width, height) != (cell.width, cell.height):
            self._fill(cell.x, cell.y, cell.width, cell.height)
        self._copy(view.drawn, cell.x + x, cell.y + y)
        if view.label is not None:
            view.label.blend(self._planes, cell.x + x, cell.y + y)
        view.stale = view.bare = False
        self.drawn_cells += 1
        for above in view.above:
            above.bare = True
            # Drawn later in the same round: views are gone through from the lowest up.

    def _scaled(self, view: _View) -> tuple[Planes, tuple[int, int]] | None:
        """The picture as it lies in the cell, and where; None when there is none that can be shown."""
        cell, picture = view.cell, view.picture
        if picture is None:
            return None
        try:
            width, height = fitted(picture.width, picture.height, cell.width, cell.height)
            planes = view.scaler.scaled(picture, width, height)
        except (av.FFmpegError, ValueError):
            self.undrawn += 1
            return None
        return planes, ((cell.width - width) // 2 & ~1, (cell.height - height) // 2 & ~1)

    def _copy(self, planes: Planes, x: int, y: int) -> None:
        for i, (canvas, plane) in enumerate(zip(self._planes, planes, strict=True)):
            left, top = (x, y) if i == 0 else (x // 2, y // 2)
            height, width = plane.shape
            canvas[top : top + height, left : left + width] = plane

    def _fill(self, x: int, y: int, width: int, height: int) -> None:
        for i, (canvas, background) in enumerate(zip(self._planes, self._background, strict=True)):
            half = 1 if i else 0
            area = slice(y >> half, (y + height) >> half), slice(x >> half, (x + width) >> half)
            canvas[area] = background[area]


def _tile(cell: Cell) -> tuple[Planes, tuple[int, int]]:
    edge = _EDGE if min(cell.width, cell.height) >= _EDGED_FROM else 0
    return named_tile(cell.name, cell.width - 2 * edge, cell.height - 2 * edge), (edge, edge)
