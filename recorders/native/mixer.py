"""The sound of all participants as one steady stream: a ring of samples addressed by output time.

Every input is added at its place; who is silent, muted or absent needs no code. Not thread-safe.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import cast

import av
import numpy as np
from av.audio.resampler import AudioResampler

from recorders.drift import Drift, Samples
from recorders.native.conceal import Concealment

__all__ = ["Mixer", "Samples", "runs"]

# A voice goes on where it ended while its clock agrees within this; beyond it is placed anew.
CONTIGUOUS_S = 0.030
# Its own timestamps tell of a hole when they leave out this long, or nearly a frame.
_HOLE_S, _HOLE = 0.015, 0.95
# Frames are one run while each begins where the last one ended, but for the rounding of times, up to so many.
_ROUNDED_S = 0.002
_RUN = 10
# How far ahead of the reader sound may lie; more than any playout delay.
RING_S = 4.0
# The gain comes back to 1 at this speed (per second) after a peak.
RELEASE_PER_S = 2.0


def runs(sounds: Iterable[tuple[av.AudioFrame, float]]) -> Iterator[tuple[list[av.AudioFrame], float]]:
    """Frames of one kind that follow on from one another, together, with the time (s) of the first."""
    run: list[av.AudioFrame] = []
    begin = end = 0.0
    kind: tuple[str, str, int] | None = None
    for frame, t in sounds:
        if run and (abs(t - end) > _ROUNDED_S or len(run) == _RUN or _kind(frame) != kind):
            yield run, begin
            run = []
        if not run:
            begin = end = t
            kind = _kind(frame)
        run.append(frame)
        end += frame.samples / frame.sample_rate
    if run:
        yield run, begin


def _kind(frame: av.AudioFrame) -> tuple[str, str, int]:
    return frame.format.name, frame.layout.name, frame.sample_rate


def _joined(run: Sequence[av.AudioFrame], channels: int) -> Samples:
    """Planar floats of so many channels as (n, channels)."""
    pcm: Samples = np.empty((channels, sum(frame.samples for frame in run)), np.float32)
    at = 0
    for frame in run:
        for channel, plane in zip(pcm, frame.planes, strict=True):
            channel[at : at + frame.samples] = np.frombuffer(memoryview(plane), np.float32, frame.samples)
        at += frame.samples
    return pcm.T


class _Voice:
    """One participant's way to the output rate, and where its last sound ended."""

    def __init__(self, rate: int, channels: int) -> None:
        self._rate = rate
        self._channels = channels
        self._resampler: AudioResampler | None = None
        self._source: tuple[str, str, int] | None = None
        self.end: int | None = None
        self._said: list[tuple[int, int]] = []  # where its sound lies that has not been read, in order
        self.next = 0.0  # seconds at which its next frame is to be expected, by its own timestamps
        self.drift = Drift(rate)
        self.concealment = Concealment(rate)

    def resample(self, run: Sequence[av.AudioFrame]) -> Iterator[Samples]:
        """Pieces of (n, 1) or (n, channels); FFmpeg's own way between mono and stereo would change the loudness."""
        first = run[0]
        mono = first.layout.nb_channels == 1
        if first.sample_rate == self._rate and first.format.name == "fltp" and first.layout.nb_channels <= 2:
            self._resampler = None  # as Opus is decoded: there is nothing to be resampled
            yield self._mixed_down(_joined(run, 1 if mono else 2))
            return
        source = _kind(first)
        if self._resampler is None or source != self._source:
            self._resampler = AudioResampler("flt", "mono" if mono else "stereo", self._rate)
            self._source = source
        for frame in run:
            frame.pts = None  # placed by us; the resampler would shape its output by a jump
            for out in self._resampler.resample(frame):
                yield self._mixed_down(cast(Samples, out.to_ndarray()).reshape(-1, 1 if mono else 2))

    def unsaid(self, pcm: Samples, at: int, read: int) -> list[tuple[int, Samples]]:
        """Pieces of `pcm`, which lies at `at`, where it has no sound yet, and the place of each; from now on it has.

        What lies before `read` has been read.
        """
        end = at + len(pcm)
        begin, first, last = at, at, end
        pieces, apart = [], []
        for start, stop in self._said:
            if start > end or stop < at:
                if stop > read:
                    apart.append((start, stop))
                continue
            if begin < start:
                pieces.append((begin, pcm[begin - at : start - at]))
            begin = max(begin, stop)
            first, last = min(first, start), max(last, stop)
        if begin < end:
            pieces.append((begin, pcm[begin - at :]))
        self._said = sorted([*apart, (first, last)])
        return pieces

    def _mixed_down(self, pcm: Samples) -> Samples:
        return pcm.mean(axis=1, keepdims=True) if self._channels < pcm.shape[1] else pcm


class Mixer:
    """A ring of float samples at `sample_rate` Hz with `channels` (1 or 2), read once from `start` on.

    `listener` is told of each participant's sound by itself: uid, index of the sample after its last, samples.
    """

    def __init__(
        self,
        sample_rate: int,
        channels: int,
        start: int = 0,
        listener: Callable[[str, int, Samples], None] | None = None,
    ) -> None:
        self.sample_rate = sample_rate
        self.channels = channels
        self.position = start  # the next sample to be read
        self.late = 0  # pieces of sound that came, wholly or in part, after their place had been read
        self._size = int(RING_S * sample_rate)
        self._ring: Samples = np.zeros((self._size, channels), np.float32)
        self._voices: dict[str, _Voice] = {}
        self._filled = start  # nothing but silence lies from here on
        self._gain = 1.0
        self._listener = listener

    def add(self, uid: str, run: Sequence[av.AudioFrame], seconds: float) -> None:
        """Mix a participant's frames in, which follow on from one another and are of one kind; the first sample lies at
        `seconds` of output time."""
        voice = self._voices.get(uid)
        if voice is None:
            voice = self._voices[uid] = _Voice(self.sample_rate, self.channels)
        wanted = round(seconds * self.sample_rate)
        length = run[0].samples / run[0].sample_rate
        at, goes_on = wanted, False
        if voice.end is not None:
            hole = seconds - voice.next >= max(_HOLE_S, _HOLE * length) and wanted >= voice.end
            if abs(wanted - voice.end) <= CONTIGUOUS_S * self.sample_rate and not hole:
                at, goes_on = voice.end, True
        voice.next = seconds + sum(frame.samples for frame in run) / run[0].sample_rate
        lag = wanted - at
        if not goes_on:
            voice.drift.forget()
            self._conceal(voice, at)
        for pcm in voice.resample(run):
            if goes_on:
                pcm = voice.drift.correct(pcm, lag)
            pcm = voice.concealment.heard(pcm)
            voice.end = at + len(pcm)
            for begin, piece in voice.unsaid(pcm, at, self.position):
                self._put(piece, begin)
                if self._listener is not None:
                    self._listener(uid, begin + len(piece), piece)
            at = voice.end

    def forget(self, uid: str) -> None:
        """A participant has gone; what it has said already stays."""
        self._voices.pop(uid, None)

    def read(self, n: int) -> Samples:
        """The next `n` samples as (n, channels) within -1..1; silence where nobody spoke."""
        if n == 0 or self._filled <= self.position:
            self.position += n
            self._gain = min(1.0, self._gain + RELEASE_PER_S * n / self.sample_rate)
            return np.zeros((n, self.channels), np.float32)
        block = self._take(n)
        return self._limit(block)

    def _conceal(self, voice: _Voice, at: int) -> None:
        """Fill the hole from where the voice ended up to `at`, if it is a small one."""
        made = None if voice.end is None or at <= voice.end else voice.concealment.fill(at - voice.end)
        if made is None:
            voice.concealment.forget()
        else:
            for begin, piece in voice.unsaid(made, at - len(made), self.position):
                self._put(piece, begin)

    def _put(self, pcm: Samples, at: int) -> None:
        if at < self.position:
            self.late += 1
            pcm = pcm[self.position - at :]
            at = self.position
        pcm = pcm[: max(0, self.position + self._size - at)]
        if not len(pcm):
            return
        first = at % self._size
        until = min(len(pcm), self._size - first)
        self._ring[first : first + until] += pcm[:until]
        if until < len(pcm):
            self._ring[: len(pcm) - until] += pcm[until:]
        self._filled = max(self._filled, at + len(pcm))

    def _take(self, n: int) -> Samples:
        first = self.position % self._size
        until = min(n, self._size - first)
        block = np.concatenate((self._ring[first : first + until], self._ring[: n - until]))
        self._ring[first : first + until] = 0
        self._ring[: n - until] = 0
        self.position += n
        return block

    def _limit(self, block: Samples) -> Samples:
        """Look-ahead limiter: no sample beyond full scale, nothing changed below it, no sudden step in gain.

        The gain runs straight from where it is to one that also suits the next block, which lies in the ring
        already; both ends suit this block, so everything between them does.
        """
        ahead = self._peak_ahead(len(block) + 1)  # blocks of one frame's time differ by a sample at most
        own = max(float(block.max()), -float(block.min()))
        released = min(1.0, self._gain + RELEASE_PER_S * len(block) / self.sample_rate)
        target = min(released, 1.0 / max(own, ahead, 1.0))
        start = min(self._gain, 1.0 / max(own, 1.0))  # less than self._gain only for sound that came very late
        self._gain = target
        if start == 1.0 and target == 1.0:
            return block
        ramp = np.linspace(start, target, len(block), dtype=np.float32)
        np.multiply(block, ramp[:, None], out=block)
        return np.clip(block, -1.0, 1.0, out=block)  # rounding only

    def _peak_ahead(self, n: int) -> float:
        n = min(n, self._filled - self.position)
        if n <= 0:
            return 0.0
        first = self.position % self._size
        until = min(n, self._size - first)
        peak = float(np.abs(self._ring[first : first + until]).max())
        return max(peak, float(np.abs(self._ring[: n - until]).max())) if until < n else peak
