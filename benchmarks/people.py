"""Pictures as cameras send them, which drawn test pictures are not: texture without edges, motion by parts of a pixel,
and noise that never repeats."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from benchmarks.barcode import Luma

_WIDTH, _HEIGHT = 640, 360  # of one
_NOISE = 1.2  # levels, of a camera in good light
_Texture = NDArray[np.float64]


def four(frames: int, rate: int = 30) -> Iterator[Luma]:
    """Luma of 1280x720: four people, who sway in front of walls."""
    people = [_Person(k) for k in range(4)]
    for n in range(frames):
        whole = np.empty((2 * _HEIGHT, 2 * _WIDTH), np.uint8)
        for k, person in enumerate(people):
            top, left = _HEIGHT * (k // 2), _WIDTH * (k % 2)
            whole[top : top + _HEIGHT, left : left + _WIDTH] = person.at(n, n / rate)
        yield whole


class _Person:
    def __init__(self, number: int) -> None:
        self._number = number
        self._wall = _texture(10 + number) * 25 + 120
        self._skin = np.fft.rfft2(_texture(20 + number) * 45 + 120)
        self._y, self._x = np.mgrid[0:_HEIGHT, 0:_WIDTH].astype(float)

    def at(self, n: int, t: float) -> Luma:
        k = self._number
        x = 320 + 25 * np.sin(1.1 * t + k) + 6 * np.sin(4.3 * t + 2 * k)
        y = 190 + 10 * np.sin(1.7 * t + k)
        moved = self._skin * np.exp(
            -2j * np.pi * (np.fft.fftfreq(_HEIGHT)[:, None] * (y - 190) + np.fft.rfftfreq(_WIDTH)[None] * (x - 320))
        )
        head = np.hypot((self._x - x) / 95, (self._y - y) / 130)
        shoulders = np.hypot((self._x - x) / 170, (self._y - 430) / 130)
        person = np.clip(8 * (1.1 - np.minimum(head, shoulders)), 0, 1)
        shown = self._wall * (1 - person) + np.fft.irfft2(moved, (_HEIGHT, _WIDTH)) * person
        noise = np.random.default_rng(4 * n + k).normal(0, _NOISE, shown.shape)
        luma: Luma = np.clip(shown + noise, 16, 235).astype(np.uint8)
        return luma


def _texture(seed: int) -> _Texture:
    """Of one power in each octave, as in photographs; mean 0, deviation 1."""
    spectrum = np.fft.rfft2(np.random.default_rng(seed).normal(size=(_HEIGHT, _WIDTH)))
    frequency = np.hypot(np.fft.fftfreq(_HEIGHT)[:, None], np.fft.rfftfreq(_WIDTH)[None])
    shaped = np.fft.irfft2(spectrum / np.maximum(frequency, 1 / _WIDTH) ** 1.1, (_HEIGHT, _WIDTH))
    normal: _Texture = (shaped - shaped.mean()) / shaped.std()
    return normal
