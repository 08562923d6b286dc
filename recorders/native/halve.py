"""Pictures of half the width and height: each pixel is the mean of four.

That is sharper than swscale's bilinear filter: eight pixels are averaged at once, as the bytes of an integer of 64
bits. What it costs is memory that is not in the processor's cache; so it goes by bands of rows, and all pictures share
one scratch.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from recorders.native.planes import Plane, Planes

_Words = npt.NDArray[np.uint64]
# Without the lowest bit of each byte, which a shift would give to its neighbour.
_UPPER_7 = np.uint64(0xFEFE_FEFE_FEFE_FEFE)
_LOW_BYTE = np.uint16(0xFF)
# Of a band, in the scratch: twice 115 kB.
_BAND_WORDS = 14_400


def may_halve(width: int, height: int) -> bool:
    """Whether yuv420p pictures of this size can be halved: rows in pairs, those of chroma in whole words."""
    return width % 16 == 0 and height % 4 == 0


class Halver:
    """Halves yuv420p pictures of any size that `may_halve`. Not thread-safe."""

    def __init__(self) -> None:
        self._mean = np.empty(_BAND_WORDS, np.uint64)
        self._other = np.empty(_BAND_WORDS, np.uint64)

    def halve(self, planes: Planes, out: Planes) -> None:
        """`out` has half the width and height."""
        for plane, half in zip(planes, out, strict=True):
            words = plane.view(np.uint64)
            for band, mean, other in self._bands(*half.shape):
                _halve(words[2 * band.start : 2 * band.stop], half[band], mean, other)

    def _bands(self, height: int, width: int) -> Iterator[tuple[slice, _Words, _Words]]:
        """Rows of a half, and as much scratch as they need."""
        columns = width // 4
        rows = max(1, _BAND_WORDS // columns)
        for top in range(0, height, rows):
            count = min(rows, height - top)
            mean, other = (whole[: count * columns].reshape(count, columns) for whole in (self._mean, self._other))
            yield slice(top, top + count), mean, other


def _halve(words: _Words, out: Plane, mean: _Words, other: _Words) -> None:
    upper, lower = words[0::2], words[1::2]
    # Of two rows, rounded up: (a | b) - (a ^ b) / 2, byte by byte.
    np.bitwise_xor(upper, lower, out=mean)
    np.bitwise_and(mean, _UPPER_7, out=mean)
    np.right_shift(mean, 1, out=mean)
    np.bitwise_or(upper, lower, out=other)
    np.subtract(other, mean, out=mean)
    # Of two bytes beside each other, rounded down.
    pairs, sums = mean.view(np.uint16), other.view(np.uint16)
    np.right_shift(pairs, 8, out=sums)
    np.bitwise_and(pairs, _LOW_BYTE, out=pairs)
    np.add(sums, pairs, out=sums)
    np.right_shift(sums, 1, out=sums)
    np.copyto(out, sums, casting="unsafe")
