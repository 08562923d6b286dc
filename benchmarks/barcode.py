"""A picture number that survives scaling and coding: a row of black and white blocks at the top left."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BITS, CHECK_BITS = 10, 3
LEFT, TOP, BLOCK = 1 / 40, 1 / 24, 1 / 32
"""Position and block size as parts of the picture's width (left, block) and height (top)."""

Luma = NDArray[np.uint8]


def write(luma: Luma, n: int) -> None:
    """Draw `n` (modulo 1024) into a luma plane."""
    for i, (rows, columns) in enumerate(_blocks(luma.shape, 0.0)):
        luma[rows, columns] = 235 if _code(n % (1 << BITS)) >> i & 1 else 16


def read(luma: Luma) -> int | None:
    """The number in a luma plane of any size; None when it is not there or does not check."""
    levels = [float(luma[rows, columns].mean()) for rows, columns in _blocks(luma.shape, 0.25)]
    if any(90 < level < 160 for level in levels):
        return None
    code = sum((level > 125) << i for i, level in enumerate(levels))
    n = code & (1 << BITS) - 1
    return n if _code(n) == code else None


def _code(n: int) -> int:
    return n | (n * 5 + 3) % (1 << CHECK_BITS) << BITS


def _blocks(shape: tuple[int, ...], inset: float) -> list[tuple[slice, slice]]:
    height, width = shape
    size = BLOCK * width
    top = TOP * height
    return [
        (
            slice(round(top + inset * size), round(top + (1 - inset) * size)),
            slice(round(LEFT * width + (i + inset) * size), round(LEFT * width + (i + 1 - inset) * size)),
        )
        for i in range(BITS + CHECK_BITS)
    ]
