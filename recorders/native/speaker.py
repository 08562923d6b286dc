"""Who speaks: the loudest, once it has been that for a while. Belongs to the render thread."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np

from recorders.native.mixer import Samples

# Loudness is the mean power of so long (s): shorter than a word, longer than a syllable.
_WINDOW_S = 0.4
# Whoever is softer than this does not speak: -50 dB of full scale.
_FLOOR = 1e-5
# To take the light, somebody must be so much louder (3 dB) than who has it ...
_LOUDER = 2.0
# ... for so long on end, window included: a cough or a "yes" is not enough.
_HOLD_S = 0.8
# Who has it keeps it for so long at least.
_STAY_S = 2.0
# Pieces of sound kept a participant; the mixer takes sound 4 s ahead at most, of 10 ms or more a piece.
_PIECES = 1000


@dataclass(slots=True)
class _Voice:
    """Pieces of sound as (end, energy): those to come, and those of the window."""

    ahead: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=_PIECES))
    recent: deque[tuple[float, float]] = field(default_factory=deque)
    power: float = 0.0

    def listen(self, t: float) -> None:
        """Its power at `t`, which never goes back."""
        recent = self.recent
        while self.ahead and self.ahead[0][0] <= t:
            recent.append(self.ahead.popleft())
        while recent and recent[0][0] <= t - _WINDOW_S:
            recent.popleft()
        self.power = sum(energy for _, energy in recent) / _WINDOW_S


class Speakers:
    """Is told of all sound before it is heard, and tells who speaks at a moment; both in the seconds of one clock."""

    def __init__(self) -> None:
        self._voices: dict[str, _Voice] = {}
        self._speaker: str | None = None
        self._since = -math.inf
        self._challenger: str | None = None
        self._challenged = 0.0

    def heard(self, uid: str, until: float, pcm: Samples, rate: int) -> None:
        """A piece of a participant's sound, as floats of -1..1, that ends at `until`."""
        if len(pcm):
            energy = float(np.vdot(pcm, pcm)) / (pcm.shape[1] * rate)
            self._voices.setdefault(uid, _Voice()).ahead.append((until, energy))

    def at(self, t: float, present: Collection[str]) -> str | None:
        """Who of those present has the light at `t`; None before anybody has spoken. `t` never goes back."""
        self._voices = {uid: voice for uid, voice in self._voices.items() if uid in present}
        for voice in self._voices.values():
            voice.listen(t)
        if self._speaker not in present:
            self._speaker = None
        speaker = self._speaker
        loudest = max(self._voices, key=lambda uid: self._voices[uid].power, default=None)
        power = self._voices[loudest].power if loudest is not None else 0.0
        held = self._voices[speaker].power if speaker is not None and speaker in self._voices else 0.0
        if loudest == speaker or power < max(_FLOOR, _LOUDER * held):
            self._challenger = None
        elif loudest != self._challenger:
            self._challenger, self._challenged = loudest, t
        elif t - self._challenged >= _HOLD_S and (speaker is None or t - self._since >= _STAY_S):
            self._speaker, self._since, self._challenger = loudest, t, None
        return self._speaker
