"""Packet loss concealment: a short hole in a voice is filled with what came before it, a pitch period again and again,
fading. The way of ITU-T G.711, appendix I; FFmpeg's Opus decoders have none.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float32]

# Longer holes are silences of the sender's, or too long to be made up.
LONGEST_S = 0.065
# Pitch periods that are looked for, by how well this much of the past is alike.
_PERIODS_S = (0.0025, 0.020)
_ALIKE_S = 0.010
# Full loudness for so long, gone at the end of the longest hole.
_FULL_S = 0.020
# The first samples after a hole are decoded from a state that is not right: they fade in.
FADE_S = 0.006
_HISTORY_S = _PERIODS_S[1] + _ALIKE_S + FADE_S


class Concealment:
    """One voice's, at `rate` samples a second."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._past: Samples | None = None
        self._fade: Samples | None = None  # what the next piece fades in over

    def forget(self) -> None:
        """What comes next does not follow what came before."""
        self._past = self._fade = None

    def fill(self, n: int) -> Samples | None:
        """`n` samples for a hole after what was heard last; None when there is nothing to go by."""
        past = self._past
        if past is None or len(past) < self._samples(_HISTORY_S) or n > self._samples(LONGEST_S):
            return None
        period = self._period(past.mean(axis=1))
        length = n + self._samples(FADE_S)
        tiles = np.tile(past[-period:], (length // period + 1, 1))[:length]
        full = self._samples(_FULL_S)
        gain = 1 - (np.arange(length) - full) / (self._samples(LONGEST_S + FADE_S) - full)
        made: Samples = tiles * np.clip(gain, 0, 1).astype(np.float32)[:, None]
        self._fade = made[n:]
        return made[:n]

    def heard(self, pcm: Samples) -> Samples:
        """The next piece; returns it as it is to be heard."""
        fade, self._fade = self._fade, None
        if fade is not None and len(pcm) >= len(fade) and pcm.shape[1] == fade.shape[1]:
            up = np.linspace(0, 1, len(fade), dtype=np.float32)[:, None]
            pcm = np.concatenate((fade * (1 - up) + pcm[: len(fade)] * up, pcm[len(fade) :]))
        keep = self._samples(_HISTORY_S)
        if len(pcm) >= keep or self._past is None or self._past.shape[1] != pcm.shape[1]:
            self._past = pcm[-keep:]
        else:
            self._past = np.concatenate((self._past, pcm))[-keep:]
        return pcm

    def _period(self, past: npt.NDArray[np.float32]) -> int:
        """In samples: the distance at which the past resembles its own end most."""
        least, most = (self._samples(seconds) for seconds in _PERIODS_S)
        alike = self._samples(_ALIKE_S)
        end = past[-alike:]
        before = past[-alike - most : -least]
        products = np.correlate(before, end)
        energy = np.convolve(before**2, np.ones(alike, np.float32), "valid")
        best = int(np.argmax(products / np.sqrt(energy + 1e-9)))
        return most - best

    def _samples(self, seconds: float) -> int:
        return round(seconds * self._rate)
