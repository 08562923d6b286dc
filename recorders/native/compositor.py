"""The canvas: one YUV420P picture that persists, in which only what has changed is drawn again.

Where cells lie is told by the layout; which picture is due, by the stage. Not thread-safe.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import av

from recorders.native.layout import Cell
from recorders.native.planes import BLACK, Planes, area_of, copy, empty_planes, plain_planes, planes_of
from recorders.native.scaler import Scaler, empty_picture, fitted
from recorders.native.tile import label, named_tile

# Tiles have so many pixels of background around them, so that those side by side are told apart; small ones have not.
_EDGE, _EDGED_FROM = 2, 32


@dataclass(slots=True)
class _View:
    """What a cell shows: the newest picture of its participant, or (None) a tile."""

    cell: Cell
    scaler: Scaler
    below: tuple[Cell, ...] = ()  # cells that this one covers a part of
    above: list[_View] = field(default_factory=list)  # cells that cover a part of this one
    hidden: bool = False  # one of them covers all of it
    picture: av.VideoFrame | None = None
    drawn: av.VideoFrame | None = None  # the same, smaller
    spare: list[av.VideoFrame] = field(default_factory=list)  # to be overwritten, for fresh memory costs more
    unlike: bool = False  # any that FFmpeg converts
    stale: bool = True  # picture changed since it was drawn
    bare: bool = True  # the whole cell must be drawn: edges, too
    size: tuple[int, int] = (0, 0)  # of what was drawn last, in its middle
    kept: Planes | None = None  # the picture scaled, where it will be drawn again because something below has changed


class Compositor:
    """A canvas of `width` x `height` even pixels; `canvas` may be encoded after `compose`.

    Where nothing is drawn the `background` is seen, by default black. `labels` puts names on pictures.
    """

    def __init__(self, width: int, height: int, background: Planes | None = None, *, labels: bool = False) -> None:
        self.canvas = empty_picture(width, height)
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
                view = _View(cell, Scaler(), picture=pictures.get(cell.uid))
            elif under != view.below or any(cell.overlaps(other) for other in cleared):
                view.bare = True
            view.below, view.above, view.hidden = under, [], False
            if not under:
                view.kept = None
            for other in below:
                other.above.append(view)
                other.hidden = other.hidden or other.cell.within(cell)
            self._views.append(view)
        self._by_uid = {}
        for view in self._views:
            self._by_uid.setdefault(view.cell.uid, []).append(view)

    def shrunk(self, uid: str, picture: av.VideoFrame) -> av.VideoFrame | None:
        """A picture as its one cell shows it, for `show`; None where it would not be smaller, or there is no such cell.

        May be called for different participants at once. Once it has been drawn it may become another.
        """
        views = self._by_uid.get(uid, ())
        if len(views) != 1 or views[0].hidden:
            return None
        (view,) = views
        width, height = _size_in(view.cell, picture)
        if width >= picture.width or height >= picture.height:
            return None
        small = view.spare.pop() if view.spare else empty_picture(width, height)
        if (small.width, small.height) != (width, height):
            small = empty_picture(width, height)
        try:
            view.scaler.scale(picture, planes_of(small))
        except (av.FFmpegError, ValueError):
            return None  # which `compose` finds as well, and tells
        return small

    def show(self, uid: str, picture: av.VideoFrame | None, drawn: av.VideoFrame | None = None) -> None:
        """The newest picture of a participant, of any size and format; None for a tile with its name.

        It is drawn next as `drawn`, if that is given: what `shrunk` made of it.
        """
        for view in self._by_uid.get(uid, ()):
            if picture is view.picture:
                continue
            view.picture, view.drawn = picture, None
            view.stale, view.unlike = True, False
            if picture and drawn and _size_in(view.cell, picture) == (drawn.width, drawn.height):
                view.drawn = drawn

    def compose(self) -> None:
        """Draw what has changed."""
        for view in self._views:
            if (view.stale or view.bare) and not view.hidden:
                self._draw(view)

    def _draw(self, view: _View) -> None:
        picture = view.drawn or view.picture
        if picture is None or view.unlike or not self._draw_picture(view, picture):
            self._draw_tile(view)
        view.stale = view.bare = False
        if view.drawn is not None:
            view.spare.append(view.drawn)
            view.drawn = None
        self.drawn_cells += 1
        for above in view.above:
            above.bare = True
            # Drawn later in the same round: views are gone through from the lowest up.

    def _draw_picture(self, view: _View, picture: av.VideoFrame) -> bool:
        """False when it is none that can be shown."""
        cell = view.cell
        width, height = _size_in(cell, picture)
        room = self._room(view, width, height)
        try:
            if not view.below:
                view.scaler.scale(picture, room)
            else:
                if view.stale or view.kept is None:
                    if view.kept is None or view.kept[0].shape != (height, width):
                        view.kept = empty_planes(width, height)
                    view.scaler.scale(picture, view.kept)
                copy(view.kept, room)
        except (av.FFmpegError, ValueError):
            self.undrawn += 1
            view.unlike = True
            return False
        if self._labels and (name := label(cell.name, width, height)) is not None:
            name.blend(room)
        return True

    def _draw_tile(self, view: _View) -> None:
        cell = view.cell
        edge = _EDGE if min(cell.width, cell.height) >= _EDGED_FROM else 0
        width, height = cell.width - 2 * edge, cell.height - 2 * edge
        copy(named_tile(cell.name, width, height), self._room(view, width, height))

    def _room(self, view: _View, width: int, height: int) -> Planes:
        """Where in the canvas so much is drawn: in the middle of the cell, with background around it."""
        cell = view.cell
        if view.bare or view.size != (width, height):
            view.size = width, height
            if (width, height) != (cell.width, cell.height):
                self._fill(cell.x, cell.y, cell.width, cell.height)
        x, y = (cell.width - width) // 2 & ~1, (cell.height - height) // 2 & ~1
        return area_of(self._planes, cell.x + x, cell.y + y, width, height)

    def _fill(self, x: int, y: int, width: int, height: int) -> None:
        copy(area_of(self._background, x, y, width, height), area_of(self._planes, x, y, width, height))


def _size_in(cell: Cell, picture: av.VideoFrame) -> tuple[int, int]:
    return fitted(picture.width, picture.height, cell.width, cell.height)
