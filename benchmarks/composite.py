"""The composite that native recordings should show: geometry, and the ideal picture for given source pictures."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter

from benchmarks import barcode
from benchmarks.barcode import Luma
from benchmarks.quality import ssim
from recorders.native.layout import Seat, arrange
from recorders.native.planes import BLACK
from recorders.native.scaler import fitted
from tests.oracle.reader import Picture, read

WIDTH, HEIGHT = 1280, 720


@dataclass(frozen=True)
class Place:
    """Where one user's picture is on the canvas, aspect kept, in pixels."""

    x: int
    y: int
    width: int
    height: int

    @property
    def inside(self) -> tuple[slice, slice]:
        return slice(self.y, self.y + self.height), slice(self.x, self.x + self.width)


def places(users: int) -> list[Place]:
    """The `flat` layout of 16:9 pictures on 1280x720."""
    found = []
    for cell in arrange("flat", [Seat(f"user{k + 1}", "") for k in range(users)], WIDTH, HEIGHT):
        width, height = fitted(16, 9, cell.width, cell.height)
        found.append(
            Place(cell.x + ((cell.width - width) // 2 & ~1), cell.y + ((cell.height - height) // 2 & ~1), width, height)
        )
    return found


@dataclass(frozen=True)
class Seen:
    """`ssim` against the ideal composite of the same source pictures; `smooth`: the share of pictures that show the
    first user's next picture, neither repeating nor leaving out one."""

    ssim: float
    smooth: float


def judge(recording: Path, clips: Sequence[Path], *, after: float = 4, samples: int = 20) -> Seen:
    """Compare a recording of `clips`. Pictures before `after` seconds do not count."""
    where = places(len(clips))
    pictures = [p for p in _pictures(recording) if p.t >= after]
    numbers = [_number(picture, where[0]) for picture in pictures]
    steps = [b - a for a, b in itertools.pairwise(numbers) if a is not None and b is not None]
    smooth = steps.count(1) / max(1, len(numbers) - 1)
    recorded, wanted = [], []
    for picture in pictures[:: max(1, len(pictures) // samples)]:
        shown = [_number(picture, place) for place in where]
        if None not in shown:
            recorded.append(np.ascontiguousarray(picture.y))
            wanted.append([n or 0 for n in shown])
    return Seen(ssim(recorded, _ideal(clips, where, wanted)), smooth)


def _pictures(recording: Path) -> Iterator[Picture]:
    for item in read(str(recording)):
        if isinstance(item, Picture):
            yield Picture(item.t, item.y.copy(), item.u[:0], item.v[:0])


def _number(picture: Picture, place: Place) -> int | None:
    return barcode.read(picture.y[place.inside])


def _ideal(clips: Sequence[Path], where: Sequence[Place], wanted: Sequence[Sequence[int]]) -> list[Luma]:
    canvases = [np.full((HEIGHT, WIDTH), BLACK[0], np.uint8) for _ in wanted]
    for k, (clip, place) in enumerate(zip(clips, where, strict=True)):
        needed = {numbers[k] for numbers in wanted}
        scaled = dict(_scaled_luma(clip, place.width, place.height, needed))
        for canvas, numbers in zip(canvases, wanted, strict=True):
            canvas[place.inside] = scaled[numbers[k]]
    return canvases


def _scaled_luma(clip: Path, width: int, height: int, needed: set[int]) -> Iterator[tuple[int, Luma]]:
    """The luma of some pictures of a clip, scaled as well as swscale can (Lanczos)."""
    reformatter = VideoReformatter()
    with av.open(str(clip)) as media:
        for n, frame in enumerate(media.decode(video=0)):
            if n in needed:
                small = reformatter.reformat(frame, width, height, "yuv420p", interpolation=Interpolation.LANCZOS)
                plane = small.planes[0]
                yield n, np.frombuffer(memoryview(plane), np.uint8).reshape(height, plane.line_size)[:, :width].copy()
            if n >= max(needed, default=0):
                return
