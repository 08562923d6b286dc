"""The page's sound as one unbroken row of samples: gaps are silence, overlaps are cut, any rate and channels in.

A conversion of rates is exact to the sample however long it lasts; where the browser's sound runs by another clock than
its times do, it is played faster or slower.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from recorders.drift import Drift

Samples = np.ndarray[Any, np.dtype[np.float32]]

# A block that is off its expected place by less than this follows on: timestamps jitter, samples do not.
_JITTER_S = 0.01


class Sound:
    """Blocks with their times in, samples at `sample_rate` with `channels` out; sample 0 is at second 0.

    What comes out is (n, channels) float32 in -1..1 and follows on from what came out before; `length` samples of it
    are there already.
    """

    def __init__(self, sample_rate: int, channels: int, length: int = 0) -> None:
        self._rate = sample_rate
        self._channels = channels
        self._resampler: Any = None
        self._in_rate = 0
        self._drift = Drift(sample_rate)
        self._at = 0  # index of the next sample of output of the present unbroken run of input
        self._came = 0  # samples of input of this run
        self._made = 0  # samples that the resampler has made of them
        self.length = length  # samples that came out
        self._silent_until = 0  # the sample at which that ended which nothing had come for
        self.late = 0
        """How many blocks that are not silence came when there was silence in their place."""

    def add(self, seconds: float, sample_rate: int, planes: Samples) -> Samples:
        """`planes` is (channels, n); `seconds` is the time of its first sample, which may be negative."""
        wanted = seconds * self._rate
        lag = wanted - self._at - self._held
        if sample_rate != self._in_rate or abs(lag) > _JITTER_S * self._rate:
            self._begin_run(round(wanted), sample_rate)
            lag = 0.0
        block = self._resample(self._mix(planes))
        self._came += planes.shape[1]
        self._made += len(block)
        block = self._drift.correct(block, round(lag))
        start = self._at
        if self._silent_until - start > _JITTER_S * self._rate and planes.any():
            self.late += 1
        self._at += len(block)
        missing = self._fill(start) if start > self.length else None
        block = block[max(0, self.length - start) :]
        self.length += len(block)
        return block if missing is None else np.concatenate((missing, block))

    def silence(self, until: int) -> Samples:
        """Silence up to sample `until`, for nothing has come for it; nothing when there is sound up to there."""
        if until > self.length:
            self._silent_until = until
        return self._fill(until)

    def _fill(self, until: int) -> Samples:
        missing = max(0, until - self.length)
        self.length += missing
        return np.zeros((missing, self._channels), np.float32)

    @property
    def _held(self) -> float:
        """Samples of output that the resampler holds back."""
        return self._came * self._rate / self._in_rate - self._made if self._in_rate else 0.0

    def _begin_run(self, at: int, sample_rate: int) -> None:
        self._in_rate, self._at, self._came, self._made = sample_rate, at, 0, 0
        self._drift.forget()
        self._resampler = None
        if sample_rate != self._rate:
            import av

            self._resampler = av.AudioResampler("flt", "mono" if self._channels == 1 else "stereo", self._rate)

    def _mix(self, planes: Samples) -> Samples:
        if self._channels == 1:
            mono: Samples = planes.mean(axis=0, dtype=np.float32).reshape(-1, 1)
            return mono
        return planes.T if len(planes) == self._channels else np.repeat(planes[:1], self._channels, axis=0).T

    def _resample(self, block: Samples) -> Samples:
        if self._resampler is None:
            return block
        import av

        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(block.reshape(1, -1)),
            format="flt",
            layout="mono" if self._channels == 1 else "stereo",
        )
        frame.sample_rate = self._in_rate
        out = [part.to_ndarray().reshape(-1, self._channels) for part in self._resampler.resample(frame)]
        return np.concatenate(out) if out else np.zeros((0, self._channels), np.float32)
