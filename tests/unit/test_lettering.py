"""Names in letters: any script, any length, fonts that fall in for each other."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorders.native.lettering import FONTS, lettering, plain
from recorders.native.tile import label, named_tile


def ink(name: str, width: int = 600, size: int = 32, least: int = 12, fonts: tuple[str, ...] = FONTS) -> np.ndarray:
    return lettering(name, width, size, least, fonts)


@pytest.mark.parametrize(
    ("name", "seen"),
    [
        ("ann", "ann"),
        ("  ann \t\n lee ", "ann lee"),
        ("\u202eevil\u202c", "evil"),
        ("a\x00b\x7fc\ud800d", "abcd"),
        ("e\u0301", "\u00e9"),
        ("\u2764\ufe0f", "\u2764"),
        ("x" * 1000, "x" * 128),
        ("\u200b", ""),
    ],
)
def test_plain(name: str, seen: str) -> None:
    assert plain(name) == seen


@settings(max_examples=200)
@given(st.text(max_size=40), st.integers(0, 400), st.integers(10, 48))
def test_any_name_fits(name: str, width: int, size: int) -> None:
    mask = ink(name, width, size, 10)
    assert mask.shape[1] <= width + 1
    assert mask.shape[0] <= round(size * 1.4)


def test_short_names_are_large_longer_ones_smaller_and_very_long_ones_are_cut() -> None:
    short, longer, longest = (ink("ab " * n, 300, 40, 20) for n in (2, 8, 40))
    assert short.shape[0] == 56
    assert 28 < longer.shape[0] < 56
    assert longest.shape[0] == 28
    assert 240 < longest.shape[1] <= 301
    assert np.array_equal(longest, ink("ab " * 42, 300, 40, 20)), "both end with the ellipsis"
    assert longest.max() > 200
    assert ink("ab", 3, 40, 20).shape[1] == 0


def test_a_character_is_drawn_in_the_first_font_that_has_it() -> None:
    """DejaVu's serif face has no Arabic, its sans face has."""
    serif, sans = ("DejaVuSerif.ttf",), ("DejaVuSans.ttf",)
    arabic = "\u0645\u062d\u0645\u062f"
    assert np.array_equal(ink(arabic, fonts=serif + sans), ink(arabic, fonts=sans))
    assert not np.array_equal(ink(arabic, fonts=serif), ink(arabic, fonts=sans))
    mixed = ink(f"ab {arabic}", fonts=serif + sans)
    latin = ink("ab", fonts=serif + sans)
    assert np.array_equal(latin, ink("ab", fonts=serif))
    assert np.array_equal(mixed[:, : latin.shape[1] - 2], latin[:, :-2])
    assert not np.array_equal(latin, ink("ab", fonts=sans))


def test_pictographs_that_no_font_has_are_left_out_and_letters_are_boxes() -> None:
    fonts = ("DejaVuSerif.ttf",)
    assert np.array_equal(ink("\U0001f9d1 bob \U0001f9d1", fonts=fonts), ink("bob", fonts=fonts))
    assert ink("\U0001f9d1", fonts=fonts).any(), "something is there, all the same"
    boxes = ink("\u540d\u524d", fonts=fonts)
    assert boxes.any()
    assert np.array_equal(boxes, ink("\u5c71\u7530", fonts=fonts))


def test_without_any_of_the_fonts_names_are_readable_still() -> None:
    assert ink("ann", fonts=("no such font.ttf",)).any()
    assert not np.array_equal(ink("ann", fonts=("no such font.ttf",)), ink("bob", fonts=("no such font.ttf",)))


@pytest.mark.parametrize("size", [(640, 360), (212, 120), (106, 60), (64, 48)])
def test_labels_are_in_the_lower_left_corner(size: tuple[int, int]) -> None:
    width, height = size
    planes = (
        np.full((height, width), 120, np.uint8),
        np.full((height // 2, width // 2), 60, np.uint8),
        np.full((height // 2, width // 2), 200, np.uint8),
    )
    found = label("ann", width, height)
    assert found is not None
    found.blend(planes)
    y, u, v = planes
    assert y.max() > 220, "letters"
    assert y.min() in range(66, 71), "half of the picture shines through the paper"
    rows, columns = np.nonzero(y != 120)
    assert rows.min() > height / 2
    assert height - 14 <= rows.max() < height
    assert columns.max() < width * 0.9
    assert (u[0] == 60).all()
    assert u.max() > 110, "letters are white"
    assert v.min() < 150


def test_small_pictures_and_nobody_have_no_label() -> None:
    assert label("ann", 62, 48) is None
    assert label("ann", 640, 46) is None
    assert label("", 640, 360) is None


def test_tiles_of_different_people_differ() -> None:
    tiles = [named_tile(name, 320, 180)[0] for name in ("ann", "ben", "ann ben")]
    assert not np.array_equal(tiles[0], tiles[1])
    assert (tiles[0] > 200).sum() < (tiles[2] > 200).sum()
