"""Pictures of half the width and height: each pixel is the mean of four.

That is sharper than swscale's bilinear filter and takes half of its CPU: eight pixels are averaged at once, as the
bytes of an integer of 64 bits.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from recorders.native.planes import BLACK, Plane, Planes, plain_planes

_Words = npt.NDArray[np.uint64]
# Without the lowest bit of each byte, which a shift would give to its neighbour.
_UPPER_7 = np.uint64(0xFEFE_FEFE_FEFE_FEFE)
_LOW_BYTE = np.uint16(0xFF)


def may_halve(width: int, height: int) -> bool:
    """Whether yuv420p pictures of this size can be halved: rows in pairs, those of chroma in whole words."""
    return width % 16 == 0 and height % 4 == 0


class Halver:
    """Halves yuv420p pictures of a size that `may_halve`, always into the same memory. Not thread-safe."""

    def __init__(self, width: int, height: int) -> None:
        self._planes = plain_planes(BLACK, width // 2, height // 2)
        wide = [(rows, columns // 4) for rows, columns in (plane.shape for plane in self._planes)]
        self._scratch = [(np.empty(shape, np.uint64), np.empty(shape, np.uint64)) for shape in wide]

    def halved(self, planes: Planes) -> Planes:
        """To be read before the next call."""
        for plane, out, (mean, other) in zip(planes, self._planes, self._scratch, strict=True):
            _halve(plane.view(np.uint64), out, mean, other)
        return self._planes


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
