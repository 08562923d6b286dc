"""What is seen: where each participant is in each second, flashes, black and frozen spans.

A picture becomes a coarse grid of labels (whose colour, white, black, other) and of changes against the
picture before; all the rest is arithmetic on those grids. About 0.1 MB a second.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from tests.oracle.participants import BT601, BT709, PARTICIPANTS, Box, everyone
from tests.oracle.reader import Picture

WHITE, BLACK, OTHER = 250, 251, 252
GRID = (80, 45)
# Luma steps: coding noise on a flat colour stays well below, the mark's edge is far above.
CHANGE = 24
_TOLERANCE = 32.0

Span = tuple[float, float]


class Pictures:
    """Collects pictures in their order; then answers."""

    def __init__(self) -> None:
        self._times: list[float] = []
        self._labels: list[NDArray[np.uint8]] = []
        self._changes: list[NDArray[np.bool_]] = []
        self._before: NDArray[np.int16] | None = None
        self.width = self.height = 0

    def add(self, picture: Picture) -> None:
        height, width = picture.y.shape
        if (width, height) != (self.width, self.height):
            if self._times:
                raise ValueError(f"The picture size changes from {self.width}x{self.height} to {width}x{height}.")
            self.width, self.height = width, height
            self.grid = (min(GRID[0], width // 2), min(GRID[1], height // 2))
            self._columns = ((np.arange(self.grid[0]) + 0.5) * width / self.grid[0]).astype(np.intp)
            self._rows = ((np.arange(self.grid[1]) + 0.5) * height / self.grid[1]).astype(np.intp)
        self._times.append(picture.t)
        self._labels.append(self._label(picture))
        self._changes.append(self._change(picture.y))

    def finish(self) -> None:
        """To be called once after the last `add`."""
        order = np.argsort(np.array(self._times), kind="stable")
        shape = (0, *GRID[::-1])
        self.times = np.array(self._times)[order]
        self.labels = np.stack(self._labels)[order] if self._labels else np.zeros(shape, np.uint8)
        self.changes = np.stack(self._changes)[order] if self._changes else np.zeros(shape, np.bool_)

    def _label(self, picture: Picture) -> NDArray[np.uint8]:
        at = np.ix_(self._rows, self._columns)
        half = np.ix_(
            np.minimum(self._rows // 2, picture.u.shape[0] - 1), np.minimum(self._columns // 2, picture.u.shape[1] - 1)
        )
        labels: NDArray[np.uint8] = _lookup()[picture.y[at] >> 3, picture.u[half] >> 2, picture.v[half] >> 2]
        return labels

    def _change(self, luma: NDArray[np.uint8]) -> NDArray[np.bool_]:
        step = max(1, luma.shape[0] // 180)
        now = luma[::step, ::step].astype(np.int16)
        changed = np.zeros(self.grid[::-1], np.bool_)
        if self._before is None:
            changed[:] = True
        else:
            rows, columns = np.nonzero(np.abs(now - self._before) > CHANGE)
            changed[rows * self.grid[1] // now.shape[0], columns * self.grid[0] // now.shape[1]] = True
        self._before = now
        return changed

    def seconds(self, start: float, count: int) -> list[slice]:
        """The pictures of each full second from `start`."""
        edges = np.searchsorted(self.times, start + np.arange(count + 1) - 1e-6)
        return [slice(a, b) for a, b in itertools.pairwise(edges.tolist())]

    def area(self, span: slice, index: int) -> NDArray[np.bool_] | None:
        """Where participant `index` is seen in most of those pictures that are not white, as a mask of the grid.

        None: nowhere.
        """
        if span.start >= span.stop:
            return None
        labels = self.labels[span]
        coloured = np.maximum((labels != WHITE).sum(axis=0), len(labels) / 2)
        mask: NDArray[np.bool_] = (labels == index).sum(axis=0) > 0.5 * coloured
        return mask if mask.mean() >= 0.002 else None

    def box(self, mask: NDArray[np.bool_]) -> Box:
        """The rectangle around a mask, in pixels; stray points do not count."""
        columns, rows = (_extent(mask.sum(axis=axis)) for axis in (0, 1))
        x, right = (round(edge * self.width / self.grid[0]) for edge in columns)
        y, bottom = (round(edge * self.height / self.grid[1]) for edge in rows)
        return Box(x, y, right - x, bottom - y)

    def in_cell(self, span: slice, cell: Box) -> int | None:
        """The participant whose colour has most of the cell in those pictures (flashes aside), or None."""
        labels = self.labels[span, self._inside(cell)[0], self._inside(cell)[1]].ravel()
        counts = np.bincount(labels, minlength=256)
        # A clip of another shape than its cell is letterboxed, and the mark covers a little.
        enough = 0.45 * (labels.size - counts[WHITE])
        best = int(np.argmax(counts[:PARTICIPANTS]))
        return best if counts[best] > max(enough, 0) else None

    def _inside(self, cell: Box) -> tuple[slice, slice]:
        """The grid points of a cell, without those that another cell's edge may reach."""
        left = int(np.searchsorted(self._columns, cell.x + 2))
        right = int(np.searchsorted(self._columns, cell.x + cell.width - 2))
        top = int(np.searchsorted(self._rows, cell.y + 2))
        bottom = int(np.searchsorted(self._rows, cell.y + cell.height - 2))
        return slice(top, max(bottom, top + 1)), slice(left, max(right, left + 1))

    def flashes(self, areas: Sequence[NDArray[np.bool_] | None], seconds: Sequence[slice]) -> list[float]:
        """Times of the first white pictures of a participant that is in `areas[i]` during `seconds[i]`."""
        found: list[float] = []
        white_before = True  # a recording that starts white has no start of a flash
        for area, span in zip(areas, seconds, strict=True):
            if area is None:
                white_before = True
                continue
            white = (self.labels[span][:, area] == WHITE).mean(axis=1) > 0.5
            for t, now in zip(self.times[span], white, strict=True):
                if now and not white_before and (not found or t - found[-1] > 0.4):
                    found.append(float(t))
                white_before = bool(now)
        return found

    def frozen(
        self, areas: Sequence[NDArray[np.bool_] | None], seconds: Sequence[slice], at_least: float
    ) -> list[Span]:
        """Spans in which a participant's area does not change at all."""
        times: list[float] = []
        moves: list[bool] = []
        for area, span in zip(areas, seconds, strict=True):
            times.extend(self.times[span])
            moves.extend(area is None or bool(changes[area].any()) for changes in self.changes[span])
        return _spans(times, [not moved for moved in moves], at_least)

    def black(self, at_least: float) -> list[Span]:
        """Spans in which the whole picture is black."""
        dark = (self.labels == BLACK).mean(axis=(1, 2)) > 0.98
        return _spans(list(self.times), list(dark), at_least)


def _spans(times: Sequence[float], hit: Sequence[bool], at_least: float) -> list[Span]:
    spans: list[Span] = []
    begun: float | None = None
    for t, now in zip(times, hit, strict=True):
        if now and begun is None:
            begun = float(t)
        elif not now and begun is not None:
            spans.append((begun, float(t)))
            begun = None
    if begun is not None:
        spans.append((begun, float(times[-1])))
    return [span for span in spans if span[1] - span[0] >= at_least]


def _extent(counts: NDArray[np.intp]) -> tuple[int, int]:
    full = np.nonzero(counts >= 0.3 * counts.max())[0]
    return int(full[0]), int(full[-1]) + 1


@cache
def _lookup() -> NDArray[np.uint8]:
    """The label of each Y'CbCr of 5, 6 and 6 bits: the nearest known colour that is near enough."""
    known = [(participant.yuv(matrix), participant.index) for participant in everyone() for matrix in (BT601, BT709)]
    known += [((luma, 128, 128), WHITE) for luma in (205, 220, 235, 250)]
    known += [((luma, 128, 128), BLACK) for luma in (0, 8, 16, 24, 32)]
    known += [((luma, 128, 128), OTHER) for luma in range(50, 200, 12)]
    y, u, v = np.meshgrid(np.arange(4, 256, 8), np.arange(2, 256, 4), np.arange(2, 256, 4), indexing="ij")
    points = np.stack([y, u, v], axis=-1).astype(np.float32)
    nearest = np.full(points.shape[:-1], _TOLERANCE, np.float32)
    labels = np.full(points.shape[:-1], OTHER, np.uint8)
    for colour, label in known:
        distance = np.linalg.norm(points - np.array(colour, np.float32), axis=-1)
        closer = distance < nearest
        nearest[closer] = distance[closer]
        labels[closer] = label
    return labels
