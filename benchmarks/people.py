"""Pictures as cameras send them, which drawn test pictures are not: texture without edges, motion by parts of a pixel,
and noise that never repeats."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from benchmarks.barcode import Luma
from benchmarks.clips import FRAME_RATE
from benchmarks.composite import HEIGHT, WIDTH, places

_WIDTH, _HEIGHT = WIDTH // 2, HEIGHT // 2  # of one
_NOISE = 1.2  # levels, of a camera in good light
_Texture = NDArray[np.float64]


def four(frames: int) -> Iterator[Luma]:
    """Luma of 1280x720: four people, who sway in front of walls."""
    people = [_Person(k) for k in range(4)]
    for n in range(frames):
        whole = np.empty((HEIGHT, WIDTH), np.uint8)
        for person, place in zip(people, places(4), strict=True):
            whole[place.inside] = person.at(n)
        yield whole


class _Person:
    def __init__(self, number: int) -> None:
        self._number = number
        self._wall = _texture(10 + number) * 25 + 120
        self._skin = np.fft.rfft2(_texture(20 + number) * 45 + 120)
        self._y, self._x = np.mgrid[0:_HEIGHT, 0:_WIDTH].astype(float)

    def at(self, n: int) -> Luma:
        k, t = self._number, n / FRAME_RATE
        right = 25 * np.sin(1.1 * t + k) + 6 * np.sin(4.3 * t + 2 * k)
        down = 10 * np.sin(1.7 * t + k)
        phase = np.fft.fftfreq(_HEIGHT)[:, None] * down + np.fft.rfftfreq(_WIDTH)[None] * right
        skin = np.fft.irfft2(self._skin * np.exp(-2j * np.pi * phase), (_HEIGHT, _WIDTH))
        x = self._x - 320 - right
        head = np.hypot(x / 95, (self._y - 190 - down) / 130)
        shoulders = np.hypot(x / 170, (self._y - 430) / 130)
        person = np.clip(8 * (1.1 - np.minimum(head, shoulders)), 0, 1)
        noise = np.random.default_rng(4 * n + k).normal(0, _NOISE, person.shape)
        luma: Luma = np.clip(self._wall * (1 - person) + skin * person + noise, 16, 235).astype(np.uint8)
        return luma


def _texture(seed: int) -> _Texture:
    """Of one power in each octave, as in photographs; mean 0, deviation 1."""
    spectrum = np.fft.rfft2(np.random.default_rng(seed).normal(size=(_HEIGHT, _WIDTH)))
    frequency = np.hypot(np.fft.fftfreq(_HEIGHT)[:, None], np.fft.rfftfreq(_WIDTH)[None])
    shaped = np.fft.irfft2(spectrum / np.maximum(frequency, 1 / _WIDTH) ** 1.1, (_HEIGHT, _WIDTH))
    normal: _Texture = (shaped - shaped.mean()) / shaped.std()
    return normal
