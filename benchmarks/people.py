"""Pictures as cameras send them, which drawn test pictures are not: texture without edges, motion by parts of a pixel,
and noise that never repeats."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from benchmarks.barcode import Luma

_RATE = 30
_WIDTH, _HEIGHT = 640, 360  # what all measures below are for
_NOISE = 1.2  # levels, of a camera in good light
_Texture = NDArray[np.float64]


def four(frames: int) -> Iterator[Luma]:
    """Luma of 1280x720: four people, who sway in front of walls."""
    for pictures in zip(*(one(k, frames, _WIDTH, _HEIGHT) for k in range(4)), strict=True):
        yield np.block([[*pictures[:2]], [*pictures[2:]]])


def one(number: int, frames: int, width: int, height: int) -> Iterator[Luma]:
    """Luma of a size of 16:9, 30 pictures a second: one of them."""
    person = _Person(number, width, height)
    for n in range(frames):
        yield person.at(n)


class _Person:
    def __init__(self, number: int, width: int, height: int) -> None:
        self._number = number
        self._size = width, height
        self._wall = _texture(10 + number, width, height) * 25 + 120
        self._skin = np.fft.rfft2(_texture(20 + number, width, height) * 45 + 120)
        self._y, self._x = np.mgrid[0:height, 0:width].astype(float) * (_WIDTH / width)

    def at(self, n: int) -> Luma:
        width, height = self._size
        k, t, scale = self._number, n / _RATE, width / _WIDTH
        right = 25 * np.sin(1.1 * t + k) + 6 * np.sin(4.3 * t + 2 * k)
        down = 10 * np.sin(1.7 * t + k)
        phase = scale * (np.fft.fftfreq(height)[:, None] * down + np.fft.rfftfreq(width)[None] * right)
        skin = np.fft.irfft2(self._skin * np.exp(-2j * np.pi * phase), (height, width))
        x = self._x - 320 - right
        head = np.hypot(x / 95, (self._y - 190 - down) / 130)
        shoulders = np.hypot(x / 170, (self._y - 430) / 130)
        person = np.clip(8 * (1.1 - np.minimum(head, shoulders)), 0, 1)
        noise = np.random.default_rng(4 * n + k).normal(0, _NOISE, person.shape)
        luma: Luma = np.clip(self._wall * (1 - person) + skin * person + noise, 16, 235).astype(np.uint8)
        return luma


def _texture(seed: int, width: int, height: int) -> _Texture:
    """Of one power in each octave, as in photographs; mean 0, deviation 1."""
    spectrum = np.fft.rfft2(np.random.default_rng(seed).normal(size=(height, width)))
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    shaped = np.fft.irfft2(spectrum / np.maximum(frequency, 1 / width) ** 1.1, (height, width))
    normal: _Texture = (shaped - shaped.mean()) / shaped.std()
    return normal
