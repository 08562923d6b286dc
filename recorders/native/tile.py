"""What is drawn of a name: a tile in the place of a picture, and a label on one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from recorders.native.lettering import Mask, lettering
from recorders.native.planes import Plane, Planes, plain_planes

_Weights = tuple[npt.NDArray[np.uint16], npt.NDArray[np.uint16]]

# BT.709, limited range: a dark blue-grey with near-white letters.
_PAPER = (52, 134, 124)
_INK = 220
# Labels: white on black that lets half of the picture through. Smaller pictures than this have none.
_LABEL_INK, _LABEL_PAPER, _LABEL_OPACITY = 235, 16, 0.5
_LABELLED_FROM = (64, 48)
# Letters on tiles are between so many pixels; those of a long name are smaller, to this share, before it is cut.
_LETTERS, _SMALLER = (12, 96), 0.6


@lru_cache(maxsize=32)
def named_tile(name: str, width: int, height: int) -> Planes:
    """Planes of a YUV420P tile of even `width` x `height` with the name in its middle; not to be written to."""
    planes = plain_planes(_PAPER, width, height)
    size = max(_LETTERS[0], min(height // 7, width // 10, _LETTERS[1]))
    letters = lettering(name, int(width * 0.88), size, max(10, round(size * _SMALLER)))
    ink = _framed(letters)[:height, :width]  # a tile may be lower than its letters
    y, x = (height - ink.shape[0]) // 2 & ~1, (width - ink.shape[1]) // 2 & ~1
    # Letters are white: the paper's tint fades under them.
    faint = _halved(ink)
    _write(planes[0], x, y, _PAPER[0] + (_INK - _PAPER[0]) * (ink / 255))
    for plane, tint in zip(planes[1:], _PAPER[1:], strict=True):
        _write(plane, x // 2, y // 2, tint + (128 - tint) * (faint / 255))
    for plane in planes:
        plane.flags.writeable = False
    return planes


@dataclass(frozen=True, slots=True)
class Label:
    """A name to be blended in at `x`, `y` of a picture, both even: what is left of the picture (of 256), and what is
    added to it (of 65536), for luma and for both chroma planes."""

    x: int
    y: int
    luma: _Weights
    chroma: _Weights

    def blend(self, picture: Planes) -> None:
        """Onto the picture."""
        _blend(picture[0], self.x, self.y, *self.luma)
        for plane in picture[1:]:
            _blend(plane, self.x // 2, self.y // 2, *self.chroma)


@lru_cache(maxsize=128)
def label(name: str, width: int, height: int) -> Label | None:
    """The label in the lower left corner of a picture of even `width` x `height`; None where that is too small."""
    if width < _LABELLED_FROM[0] or height < _LABELLED_FROM[1]:
        return None
    size = max(11, min(height // 14, 40))
    edge = max(2, size // 3 & ~1)
    letters = lettering(name, width - 6 * edge, size, size)
    if not letters.shape[1]:
        return None
    ink = _framed(letters, edge // 2, edge)
    rows = ink.shape[0]
    inked, faint = ink / 255.0, _halved(ink) / 255.0
    opacity = _LABEL_OPACITY + (1 - _LABEL_OPACITY) * inked
    colour = _LABEL_PAPER + (_LABEL_INK - _LABEL_PAPER) * inked
    return Label(
        edge,
        height - rows - edge & ~1,
        _weights(opacity, colour),
        _weights(_LABEL_OPACITY + (1 - _LABEL_OPACITY) * faint, 128.0),
    )


def _weights(opacity: npt.NDArray[np.float64], colour: npt.NDArray[np.float64] | float) -> _Weights:
    added = np.round(opacity * 256)
    return (256 - added).astype(np.uint16), np.round(added * colour).astype(np.uint16)


def _blend(plane: Plane, x: int, y: int, left: npt.NDArray[np.uint16], added: npt.NDArray[np.uint16]) -> None:
    below = plane[y : y + left.shape[0], x : x + left.shape[1]]
    mixed = below * left
    mixed += added
    mixed >>= 8
    below[...] = mixed


def _write(plane: Plane, x: int, y: int, values: npt.NDArray[np.float64]) -> None:
    plane[y : y + values.shape[0], x : x + values.shape[1]] = np.round(values)


def _framed(letters: Mask, above: int = 0, beside: int = 0) -> Mask:
    """With so many pixels around them and, for an even size, perhaps one more below and on the right."""
    rows, columns = letters.shape[0] + 2 * above, letters.shape[1] + 2 * beside
    return np.pad(letters, ((above, above + rows % 2), (beside, beside + columns % 2)))


def _halved(mask: Mask) -> npt.NDArray[np.float64]:
    height, width = mask.shape
    halved: npt.NDArray[np.float64] = mask.reshape(height // 2, 2, width // 2, 2).mean(axis=(1, 3))
    return halved
