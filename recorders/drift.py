"""Keeps a voice where its timestamps want it, by playing it faster or slower by a few per mille.

A sender's sound card and this machine's clock differ by up to some hundred parts in a million: seconds in a day. Below
`_HEARD_S` nothing is changed at all, for timestamps jitter; the correction itself is too small to be heard.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float32]

# From how much on it is corrected, and down to what.
_HEARD_S, _ENOUGH_S = 0.003, 0.0003
# At most so much faster or slower, and as a rule so that this many seconds would suffice.
FASTEST = 0.004
_WITHIN_S = 4.0
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
        return _resampled(pcm, len(pcm) + more) if more else pcm


def _resampled(pcm: Samples, n: int) -> Samples:
    """A piece as `n` samples: cubic interpolation (Catmull-Rom), good enough for a sample more or less."""
    at = np.arange(n) * (len(pcm) / n)
    whole = at.astype(np.intp)
    x = (at - whole).astype(np.float32)[:, None]
    before, first, second, after = (pcm[np.clip(whole + k, 0, len(pcm) - 1)] for k in (-1, 0, 1, 2))
    slope, bend = second - before, 2 * before - 5 * first + 4 * second - after
    twist = 3 * (first - second) + after - before
    out: Samples = first + 0.5 * x * (slope + x * (bend + x * twist))
    return out
