"""Named tiles: what is shown of somebody who has no picture, as YUV planes."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

Plane = npt.NDArray[np.uint8]

# BT.709, limited range: a dark blue-grey with near-white letters.
_PAPER = (52, 134, 124)
_INK = 220
_EDGE = 2  # pixels of background around it, so that tiles side by side are told apart
_EDGED_FROM = 32


@lru_cache(maxsize=128)
def named_tile(name: str, width: int, height: int) -> tuple[Plane, Plane, Plane]:
    """Planes of a YUV420P tile of even `width` x `height` with the name in its middle; not to be written to."""
    mask = _lettering(name, width, height).astype(np.uint16)
    luma = (_PAPER[0] + mask * (_INK - _PAPER[0]) // 255).astype(np.uint8)
    if min(width, height) >= _EDGED_FROM:
        luma[:_EDGE] = luma[-_EDGE:] = 16
        luma[:, :_EDGE] = luma[:, -_EDGE:] = 16
    # Letters are white: the paper's tint fades under them.
    small = mask.reshape(height // 2, 2, width // 2, 2).mean(axis=(1, 3))
    u, v = ((tint + (128 - tint) * small / 255).astype(np.uint8) for tint in _PAPER[1:])
    for plane in (luma, u, v):
        plane.flags.writeable = False
    return luma, u, v


def _lettering(name: str, width: int, height: int) -> npt.NDArray[np.uint8]:
    from PIL import Image, ImageDraw, ImageFont  # only recordings that show a tile pay for the import

    image = Image.new("L", (width, height), 0)
    draw = ImageDraw.Draw(image)
    size = max(8, min(height // 7, width // 10))
    text = name
    while text:
        try:
            font: ImageFont.FreeTypeFont | ImageFont.ImageFont = ImageFont.truetype("DejaVuSans.ttf", size)
        except OSError:
            font = ImageFont.load_default(size)
        if draw.textlength(text, font=font) <= width * 0.88:
            draw.text((width / 2, height / 2), text, fill=255, font=font, anchor="mm")
            break
        if size > 14:
            size -= 2
        else:
            text = text[:-2] + "…" if len(text) > 2 else ""
    return np.asarray(image, np.uint8)
