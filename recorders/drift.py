"""Keeps a voice where its timestamps want it, by playing it faster or slower by a few per mille.

A sender's sound card and this machine's clock differ by up to some hundred parts in a million: seconds in a day. Below
`_HEARD_S` nothing is changed at all, for timestamps jitter; the correction itself is too small to be heard.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float32]

# From how much on it is corrected, and down to what.
_HEARD_S, _ENOUGH_S = 0.003, 0.0003
# At most so much faster or slower, and as a rule so that this many seconds would suffice.
FASTEST = 0.004
_WITHIN_S = 4.0
# A sample is won or lost over so many, which is as fast.
_SPREAD = round(1 / FASTEST)
# A single timestamp tells little: the mean of about this long counts.
_MEAN_S = 1.0


class Drift:
    """One voice's, at `rate` samples a second."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._lag = 0.0  # samples that are to be won, in the mean
        self._left = 0.0  # of a sample, from the last piece
        self._corrects = False

    def forget(self) -> None:
        """It was placed anew."""
        self._lag = self._left = 0.0
        self._corrects = False

    def correct(self, pcm: Samples, lag: int) -> Samples:
        """A piece (n, channels) that would begin `lag` samples before its place, or after it (less than 0)."""
        self._lag += min(1.0, len(pcm) / (_MEAN_S * self._rate)) * (lag - self._lag)
        self._corrects = abs(self._lag) > (_ENOUGH_S if self._corrects else _HEARD_S) * self._rate
        if not self._corrects:
            return pcm
        speed = max(-FASTEST, min(FASTEST, self._lag / (_WITHIN_S * self._rate)))
        self._left += speed * len(pcm)
        more = int(self._left)
        self._left -= more
        return _stretched(pcm, more) if more else pcm


def _stretched(pcm: Samples, more: int) -> Samples:
    """A piece that is `more` samples longer, or shorter; all of it happens at its end, `_SPREAD` samples for each."""
    width = min(len(pcm), _SPREAD * abs(more))
    at, weights = _taps(width, width + more)
    end = pcm[len(pcm) - width :]
    return np.concatenate((pcm[: len(pcm) - width], np.einsum("kn,knc->nc", weights, end[at])))


@lru_cache(maxsize=64)
def _taps(width: int, n: int) -> tuple[npt.NDArray[np.intp], Samples]:
    """Which of `width` samples make up each of `n`, as (4, n), and with which weights: cubic interpolation
    (Catmull-Rom), good enough for a sample more or less."""
    exact = np.arange(n) * (width / n)
    whole = exact.astype(np.intp)
    x = exact - whole
    weights = 0.5 * np.array(
        (x * (x * (2 - x) - 1), x * x * (3 * x - 5) + 2, x * (x * (4 - 3 * x) + 1), x * x * (x - 1))
    )
    at = np.clip(whole + np.array(((-1,), (0,), (1,), (2,))), 0, width - 1)
    return at, weights.astype(np.float32)
