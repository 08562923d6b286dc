"""Names as they are drawn: one line of any script, in the fonts that the machine has, cut to the room there is.

Pillow (with Raqm) shapes what it is given but has one font a line: here each character goes to the first font that has
it. A letter that none has is the first font's empty box.
"""

from __future__ import annotations

import os
import unicodedata
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont, ImageFont

    Font = FreeTypeFont | ImageFont

Mask = npt.NDArray[np.uint8]

# In order of preference: what distributions install under these names, the last ones for scripts that few others have.
FONTS = (
    "DejaVuSans.ttf",
    "NotoSans-Regular.ttf",
    "LiberationSans-Regular.ttf",
    "NotoSansCJK-Regular.ttc",
    "NotoSansCJKjp-Regular.otf",
    "wqy-microhei.ttc",
    "wqy-zenhei.ttc",
    "DroidSansFallbackFull.ttf",
    "NotoSansArabic-Regular.ttf",
    "NotoSansHebrew-Regular.ttf",
    "NotoSansDevanagari-Regular.ttf",
    "NotoSansBengali-Regular.ttf",
    "NotoSansTamil-Regular.ttf",
    "NotoSansThai-Regular.ttf",
    "FreeSans.ttf",
    "NotoEmoji-Regular.ttf",
    "Symbola.ttf",
)
_LONGEST = 128  # characters looked at
_PROBE = 24  # pixels; the size at which fonts are asked what they have
_NOBODYS = "\U0010ffff"  # a character that no font has: shown as the font's empty box
_INVISIBLE = ("Cc", "Cf", "Cs", "Co")


def plain(name: str) -> str:
    """A name without what cannot be seen, or would garble it: controls, directional marks, joiners, variation
    selectors; white space as single blanks."""
    seen = "".join(
        char
        for char in unicodedata.normalize("NFC", name[: 4 * _LONGEST])
        if char.isspace() or not (unicodedata.category(char) in _INVISIBLE or "\ufe00" <= char <= "\ufe0f")
    )
    return " ".join(seen.split())[:_LONGEST]


def lettering(name: str, width: int, size: int, least: int, fonts: tuple[str, ...] = FONTS) -> Mask:
    """The name as a mask (255 where there is ink) of one line's height, at most `width` pixels wide.

    In letters of `size` pixels, or smaller down to `least` where it would not fit, then with an ellipsis. Of width 0
    when not even that fits.
    """
    text = _known(plain(name), fonts)
    while (length := _length(text, size, fonts)) > width and size > least:
        size = max(least, min(size - 1, int(size * width / length)))
    if length > width:
        text = _cut(text, width, size, fonts)
        length = _length(text, size, fonts)
    return _drawn(text, length, size, fonts)


def _known(text: str, fonts: tuple[str, ...]) -> str:
    """Without the pictographs that no font has, if anything is left; of letters that none has the boxes tell."""
    known = "".join(
        char for char in text if unicodedata.category(char) not in ("So", "Sk") or _font_with(char, fonts) is not None
    )
    return " ".join(known.split()) or text


def _cut(text: str, width: int, size: int, fonts: tuple[str, ...]) -> str:
    while text:
        text = text[:-1].rstrip()
        while text and unicodedata.category(text[-1]).startswith("M"):
            text = text[:-1]  # a mark without its letter
        if text and _length(text + "…", size, fonts) <= width:
            return text + "…"
    return ""


def _drawn(text: str, length: float, size: int, fonts: tuple[str, ...]) -> Mask:
    from PIL import Image, ImageDraw  # only recordings that show a name pay for the import

    image = Image.new("L", (int(length + 1) if text else 0, round(size * 1.4)), 0)
    if text:
        draw = ImageDraw.Draw(image)
        x = 0.0
        for i, run in _runs(text, fonts):
            font = _font(fonts, i, size)
            draw.text((x, size * 1.05), run, fill=255, font=font, anchor="ls")
            x += font.getlength(run)
    return np.asarray(image, np.uint8)


def _length(text: str, size: int, fonts: tuple[str, ...]) -> float:
    return sum(_font(fonts, i, size).getlength(run) for i, run in _runs(text, fonts))


def _runs(text: str, fonts: tuple[str, ...]) -> list[tuple[int, str]]:
    """The text in pieces of one font each. Blanks and marks stay with what is before them."""
    chosen: list[int] = []
    for char in text:
        follows = bool(chosen) and (char == " " or unicodedata.category(char).startswith("M"))
        chosen.append(chosen[-1] if follows else _font_with(char, fonts) or 0)
    at, pieces = 0, []
    for i, run in groupby(chosen):
        length = len(list(run))
        pieces.append((i, text[at : at + length]))
        at += length
    return pieces


@lru_cache(maxsize=4096)
def _font_with(char: str, fonts: tuple[str, ...]) -> int | None:
    """Which of the fonts has that character."""
    for i in range(len(_paths(fonts))):
        font = _font(fonts, i, _PROBE)
        if bytes(font.getmask(char)) != bytes(font.getmask(_NOBODYS)):
            return i
    return None


@lru_cache(maxsize=256)
def _font(fonts: tuple[str, ...], i: int, size: int) -> Font:
    from PIL import ImageFont

    paths = _paths(fonts)
    if i < len(paths):
        try:
            return ImageFont.truetype(str(paths[i]), size)
        except OSError:  # no font in spite of its name
            pass
    return ImageFont.load_default(size)


@lru_cache(maxsize=8)
def _paths(fonts: tuple[str, ...]) -> tuple[Path, ...]:
    """Those of the fonts that are installed, in their order."""
    installed = _installed()
    return tuple(installed[name] for name in fonts if name in installed)


@lru_cache(maxsize=1)
def _installed() -> dict[str, Path]:
    """All font files, by name (XDG base directories)."""
    data = [os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share"]
    data += (os.environ.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share").split(":")
    found: dict[str, Path] = {}
    for folder in (Path.home() / ".fonts", *(Path(each) / "fonts" for each in data)):
        for at, _, names in os.walk(folder):
            for name in names:
                found.setdefault(name, Path(at) / name)
    return found
