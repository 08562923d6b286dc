"""What is heard: whose tone in each second, when the beeps begin, and where a tone drops out.

About 0.2 MB a second.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from tests.oracle.participants import BEEP_LEVEL, BEEP_S, BEEP_STEP, TONE_LEVEL, Participant
from tests.oracle.picture import Span
from tests.oracle.reader import Sound

Mono = NDArray[np.float32]
# Three periods of the distance between beeps: the band-pass has zeros at every other participant's beep.
_BEEP_WINDOW_S = 3 / BEEP_STEP
_TONE_WINDOW_S = 0.015
_BLOCK_S = 20


class Track:
    """Collects sound by its timestamps; what is not there is silence."""

    def __init__(self) -> None:
        self._pieces: list[Sound] = []
        self.rate = 0

    def add(self, sound: Sound) -> None:
        if self.rate and sound.rate != self.rate:
            raise ValueError(f"The sample rate changes from {self.rate} to {sound.rate} Hz.")
        self.rate = sound.rate
        self._pieces.append(sound)

    def finish(self) -> None:
        """To be called once after the last `add`."""
        self.start = min((piece.t for piece in self._pieces), default=0.0)
        places = [(round((piece.t - self.start) * self.rate), piece.samples) for piece in self._pieces]
        self.samples = np.zeros(max((at + len(piece) for at, piece in places), default=0), np.float32)
        for at, piece in places:
            self.samples[at : at + len(piece)] = piece
        self._pieces.clear()

    @property
    def end(self) -> float:
        return self.start + (len(self.samples) / self.rate if self.rate else 0)

    def tones(self, start: float, count: int, who: tuple[Participant, ...]) -> list[dict[str, float]]:
        """Who is heard in each full second from `start`, with the tone's level in dB against its original."""
        return [self._tones(start + second, who) for second in range(count)]

    def _tones(self, t: float, who: tuple[Participant, ...]) -> dict[str, float]:
        first = max(0, round((t - self.start) * self.rate))
        samples = self.samples[first : max(0, round((t + 1 - self.start) * self.rate))]
        if len(samples) < self.rate // 2:
            return {}
        window = np.hanning(len(samples))
        spectrum = np.abs(np.fft.rfft(samples * window)) * 2 / window.sum()
        width = self.rate / len(samples)  # Hz of one bin
        heard = {}
        for participant in who:
            at = round(participant.tone / width)
            level = float(spectrum[at - 2 : at + 3].max())
            around = np.concatenate([spectrum[at - 20 : at - 5], spectrum[at + 6 : at + 21]])
            if level > TONE_LEVEL / 5 and level > 6 * float(np.median(around)):
                heard[participant.name] = round(20 * math.log10(level / TONE_LEVEL), 1)
        return heard

    def beeps(self, participant: Participant) -> list[float]:
        """When the participant's beeps begin: half-way up the envelope of the band around them."""
        envelope = self._envelope(participant.beep, _BEEP_WINDOW_S)
        loud = np.concatenate([[False], envelope > BEEP_LEVEL / 4])
        found: list[float] = []
        last = -self.rate
        for edge in np.nonzero(loud[1:] & ~loud[:-1])[0].tolist():
            if edge - last < 0.4 * self.rate:
                continue
            body = envelope[edge + round(0.02 * self.rate) : edge + round((BEEP_S - 0.02) * self.rate)]
            if len(body) < 0.03 * self.rate or np.median(body) < BEEP_LEVEL / 4:
                continue
            half = float(np.median(body)) / 2
            lead = max(0, edge - round(0.01 * self.rate))
            above = np.nonzero(envelope[lead : edge + len(body)] >= half)[0]
            at = lead + int(above[0])
            if at == 0:
                continue  # it had begun before the recording did
            low, high = float(envelope[at - 1]), float(envelope[at])
            fraction = (half - low) / (high - low) if high > low >= 0 and high > half > low else 1.0
            found.append(self.start + (at - 1 + fraction) / self.rate)
            last = edge
        return found

    def dropouts(self, participant: Participant, spans: list[Span], at_least: float) -> list[Span]:
        """Where the participant's tone falls below half its usual level within spans in which it should sound."""
        if not spans:
            return []
        envelope = self._envelope(participant.tone, _TONE_WINDOW_S)
        inside = np.zeros(len(envelope), np.bool_)
        for begin, end in spans:
            inside[max(0, round((begin - self.start) * self.rate)) : max(0, round((end - self.start) * self.rate))] = (
                True
            )
        quiet = inside & (envelope < float(np.median(envelope[inside])) / 2)
        edges = np.nonzero(np.diff(np.concatenate([[0], quiet.view(np.int8), [0]])))[0].reshape(-1, 2)
        spans = [(self.start + float(a) / self.rate, self.start + float(b) / self.rate) for a, b in edges]
        return [(begin, end) for begin, end in spans if end - begin >= at_least]

    def _envelope(self, frequency: float, window_s: float) -> Mono:
        """Amplitude of the band around a frequency; a triangular window, so no delay."""
        length = max(1, round(window_s * self.rate))
        out = np.empty(len(self.samples), np.float32)
        block = _BLOCK_S * self.rate
        for begin in range(0, len(self.samples), block):
            end = min(begin + block, len(self.samples))
            left, right = max(0, begin - 2 * length), min(len(self.samples), end + 2 * length)
            phase = (frequency / self.rate * np.arange(left, right)) % 1.0
            base = self.samples[left:right] * np.exp(-2j * np.pi * phase)
            smooth = _boxcar(_boxcar(base, length), length)
            out[begin:end] = 2 * np.abs(smooth[begin - left : end - left])
        return out


def _boxcar(values: NDArray[np.complex128], length: int) -> NDArray[np.complex128]:
    """Mean over `length` values around each; odd lengths keep the place."""
    length |= 1
    padded = np.concatenate([np.zeros(length // 2 + 1), values, np.zeros(length // 2)])
    total = np.cumsum(padded)
    mean: NDArray[np.complex128] = (total[length:] - total[:-length]) / length
    return mean
