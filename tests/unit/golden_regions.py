"""Twelve sets of regions and the pictures that they should give, by an algorithm of their own: the painter's.

`python -m tests.unit.golden_regions` paints them into `golden/`. Nothing here comes from the compositor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from recorders.spec import Region

Picture = npt.NDArray[np.uint8]
Size = tuple[int, int]
FOLDER = Path(__file__).parent / "golden"

# What each sends: a colour, in whose upper left quarter a white square stands, of a size.
SENT: dict[str, tuple[tuple[int, int, int], Size]] = {
    "red": ((200, 30, 30), (320, 180)),
    "green": ((30, 160, 50), (320, 180)),
    "blue": ((40, 60, 210), (180, 320)),
    "gold": ((220, 190, 40), (240, 240)),
}


@dataclass(frozen=True)
class Golden:
    """A canvas, its colour, and what lies on it."""

    name: str
    canvas: Size
    background: str
    regions: tuple[Region, ...]


def _golden(name: str, canvas: Size, regions: Sequence[tuple[Any, ...]], background: str = "#000000") -> Golden:
    return Golden(name, canvas, background, tuple(Region(*region) for region in regions))


WIDE, HIGH, SQUARE = (320, 180), (180, 320), (240, 240)
SETS = (
    _golden("whole", WIDE, [("red", 0, 0, 320, 180)]),
    _golden("side-by-side", WIDE, [("red", 0, 0, 160, 180), ("green", 160, 0, 160, 180)], "#204060"),
    _golden("picture-in-picture", WIDE, [("green", 200, 110, 112, 64, 1), ("red", 0, 0, 320, 180)]),
    _golden("listed-first-but-above", WIDE, [("blue", 60, 20, 120, 140, 5), ("red", 0, 0, 240, 136, -5)]),
    _golden("tie-later-covers", WIDE, [("red", 20, 20, 160, 90), ("green", 100, 60, 160, 90)]),
    _golden(
        "tie-of-three",
        SQUARE,
        [("gold", 10, 10, 120, 120, 2), ("red", 70, 70, 120, 120, 2), ("blue", 110, 30, 120, 120, 2)],
        "#303030",
    ),
    _golden(
        "order-by-z",
        SQUARE,
        [("red", 0, 0, 160, 160, 1000), ("gold", 40, 40, 160, 160, 0), ("green", 80, 80, 160, 160, -1000)],
    ),
    _golden(
        "edges",
        WIDE,
        [("red", 0, 0, 2, 2), ("green", 318, 178, 2, 2), ("gold", 0, 120, 60, 60), ("blue", 260, 0, 60, 60, 1),
         ("red", 318, 0, 2, 180)],
        "#ffffff",
    ),
    _golden("somebody-absent", WIDE, [("red", 0, 0, 320, 180), ("nobody", 160, 90, 160, 90, 9)]),
    _golden("twice", WIDE, [("gold", 0, 0, 320, 180), ("gold", 20, 20, 60, 60, 1), ("red", 250, 140, 64, 36, 1)]),
    _golden(
        "portrait",
        HIGH,
        [("red", 0, 0, 180, 160), ("blue", 0, 160, 90, 160), ("gold", 90, 160, 90, 160)],
        "#602040",
    ),
    _golden(
        "covered-and-cascading",
        SQUARE,
        [("red", 20, 20, 60, 60, 1), ("gold", 0, 0, 100, 100, 2),
         *((("red", "green", "blue")[i % 3], 100 + 4 * i, 60 + 4 * i, 64, 64, 3) for i in range(16))],
        "#203020",
    ),
)  # fmt: skip


def painted(golden: Golden, sent: Mapping[str, tuple[tuple[int, int, int], Size]]) -> Picture:
    """From the lowest region up, each over what is there; RGB."""
    width, height = golden.canvas
    canvas = np.empty((height, width, 3), np.uint8)
    canvas[:] = background = _rgb(golden.background)
    for _, _, region in sorted((region.z, i, region) for i, region in enumerate(golden.regions)):
        if region.uid not in sent:
            continue
        cell = canvas[region.y : region.y + region.height, region.x : region.x + region.width]
        cell[:] = background
        colour, (wide, high) = sent[region.uid]
        scale = min(region.width / wide, region.height / high)
        across, down = (max(2, 2 * round(side * scale / 2)) for side in (wide, high))
        left, top = ((room - side) // 4 * 2 for room, side in ((region.width, across), (region.height, down)))
        picture = cell[top : top + down, left : left + across]
        picture[:] = colour
        picture[round(down / 8) : round(down * 3 / 8), round(across / 8) : round(across * 3 / 8)] = 255
    return canvas


def _rgb(text: str) -> tuple[int, ...]:
    return tuple(int(text[i : i + 2], 16) for i in (1, 3, 5))


if __name__ == "__main__":
    from PIL import Image

    FOLDER.mkdir(exist_ok=True)
    for each in SETS:
        Image.fromarray(painted(each, SENT)).save(FOLDER / f"{each.name}.png", optimize=True)
