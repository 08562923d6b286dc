"""Participants that can be told apart in one picture and one mix: a colour, a steady tone and a beep each.

Each shows its colour with a small moving mark, sounds its tone, and once a second, on the second, turns
white (`FLASH_S`) while it beeps (`BEEP_S`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

FLASH_S = 0.1
BEEP_S = 0.1
TONE_LEVEL = 0.04
BEEP_LEVEL = 0.08

# At least 50 apart in Y'CbCr from each other and from every grey, whichever of BT.601 and BT.709 was used.
_COLOURS = (
    (220, 30, 30),
    (30, 170, 40),
    (40, 60, 230),
    (235, 220, 40),
    (215, 40, 215),
    (30, 200, 215),
    (200, 120, 0),
    (120, 240, 0),
    (120, 240, 120),
    (0, 0, 120),
    (120, 120, 240),
    (0, 120, 120),
)
# Hz; small multiples of one are at least 25 Hz from small multiples of another.
_TONES = (410, 480, 556, 628, 698, 768, 847, 917, 987, 1060, 1138, 1284)
# Hz from the first: the band-pass that finds beeps has its zeros at multiples of the step.
FIRST_BEEP, BEEP_STEP = 3000, 400

BT601 = (0.299, 0.114)
BT709 = (0.2126, 0.0722)


class Box(NamedTuple):
    """A rectangle of a picture, in pixels."""

    x: int
    y: int
    width: int
    height: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height}+{self.x}+{self.y}"


@dataclass(frozen=True, slots=True)
class Participant:
    """The participant number `index` (from 0, below `PARTICIPANTS`)."""

    index: int

    @property
    def name(self) -> str:
        return f"user{self.index + 1}"

    @property
    def colour(self) -> tuple[int, int, int]:
        """Red, green, blue, 0 to 255."""
        return _COLOURS[self.index]

    @property
    def tone(self) -> int:
        """Hz, sounding all the time at `TONE_LEVEL` of full scale."""
        return _TONES[self.index]

    @property
    def beep(self) -> int:
        """Hz, for `BEEP_S` from each full second at `BEEP_LEVEL` of full scale."""
        return FIRST_BEEP + BEEP_STEP * self.index

    def yuv(self, matrix: tuple[float, float] = BT709) -> tuple[int, int, int]:
        """The colour in 8-bit limited-range Y'CbCr; `matrix` is (Kr, Kb)."""
        return to_yuv(self.colour, matrix)


PARTICIPANTS = len(_COLOURS)


def everyone() -> tuple[Participant, ...]:
    """All participants that there can be."""
    return tuple(Participant(index) for index in range(PARTICIPANTS))


def named(name: str) -> Participant:
    """The participant with that name; raises ValueError."""
    for participant in everyone():
        if participant.name == name:
            return participant
    raise ValueError(f"There is no participant '{name}'; they are user1 to user{PARTICIPANTS}.")


def to_yuv(rgb: tuple[int, int, int], matrix: tuple[float, float]) -> tuple[int, int, int]:
    """8-bit limited-range Y'CbCr of full-range R'G'B' (ITU-T H.273, section 8.3)."""
    kr, kb = matrix
    r, g, b = (value / 255 for value in rgb)
    y = kr * r + (1 - kr - kb) * g + kb * b
    return (
        round(16 + 219 * y),
        round(128 + 224 * (b - y) / (2 * (1 - kb))),
        round(128 + 224 * (r - y) / (2 * (1 - kr))),
    )
