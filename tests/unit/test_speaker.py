"""Who has the light, in a made-up talk: pieces of 20 ms of noise of a given loudness."""

from __future__ import annotations

from itertools import pairwise

import av
import numpy as np
import pytest

from recorders.native.mixer import Mixer
from recorders.native.speaker import Speakers

RATE = 48000
TICK = 1 / 30
_NOISE = np.random.default_rng(1).uniform(-1, 1, (RATE // 50, 2)).astype(np.float32)


class Talk:
    """Speakers who are listened to while time passes; `turns` notes each change as (who, when)."""

    def __init__(self, *present: str) -> None:
        self.speakers = Speakers()
        self.present = set(present)
        self.t = 0.0
        self.turns: list[tuple[str | None, float]] = [(None, 0.0)]

    def go_on(self, seconds: float, **loud: float) -> None:
        """Everybody named speaks at so much of full scale meanwhile."""
        start, n = self.t, 0
        while self.t < start + seconds - 1e-9:
            self.t += TICK
            while start + (n + 1) * 0.02 <= self.t:
                n += 1
                for uid, amplitude in loud.items():
                    self.speakers.heard(uid, start + n * 0.02, _NOISE * amplitude, RATE)
            now = self.speakers.at(self.t, self.present)
            if now != self.turns[-1][0]:
                self.turns.append((now, self.t))

    @property
    def order(self) -> list[str | None]:
        return [who for who, _ in self.turns]


def test_whoever_speaks_has_it_until_somebody_else_does() -> None:
    talk = Talk("ann", "ben")
    talk.go_on(1.0)
    talk.go_on(4.0, ben=0.1)
    talk.go_on(3.0)  # nobody: it stays with who spoke last
    talk.go_on(3.0, ann=0.1)
    assert talk.order == [None, "ben", "ann"]
    assert talk.turns[1][1] == pytest.approx(1.8, abs=0.2)
    assert talk.turns[2][1] == pytest.approx(8.8, abs=0.2)


def test_a_cough_changes_nothing() -> None:
    talk = Talk("ann", "ben")
    talk.go_on(4.0, ann=0.1)
    talk.go_on(0.3, ann=0.1, ben=0.9)
    talk.go_on(3.0, ann=0.1)
    assert talk.order == [None, "ann"]


def test_two_at_once_do_not_flap() -> None:
    talk = Talk("ann", "ben")
    talk.go_on(3.0, ann=0.1)
    rng = np.random.default_rng(2)
    for _ in range(100):
        talk.go_on(0.2, ann=0.1 * rng.uniform(0.8, 1.25), ben=0.1 * rng.uniform(0.8, 1.25))
    assert talk.order == [None, "ann"]


def test_taking_turns_quickly_changes_at_most_every_two_seconds() -> None:
    talk = Talk("ann", "ben")
    for _ in range(10):
        talk.go_on(1.2, ann=0.2)
        talk.go_on(1.2, ben=0.2)
    times = [t for _, t in talk.turns[1:]]
    assert len(times) > 2
    assert all(b - a >= 2.0 for a, b in pairwise(times))


def test_murmur_and_silence_are_no_speech() -> None:
    talk = Talk("ann")
    talk.go_on(3.0, ann=0.001)
    talk.go_on(1.0)
    assert talk.order == [None]


def test_who_leaves_loses_it_at_once() -> None:
    talk = Talk("ann", "ben")
    talk.go_on(3.0, ann=0.1, ben=0.01)
    talk.present = {"ben"}
    talk.go_on(TICK, ben=0.01)
    assert talk.turns[-1][0] is None
    talk.go_on(2.0, ben=0.01)
    assert talk.turns[-1][0] == "ben"


def test_sound_counts_when_it_is_heard() -> None:
    """The mixer has it seconds before."""
    speakers = Speakers()
    mixer = Mixer(RATE, 2, listener=lambda uid, until, pcm: speakers.heard(uid, until / RATE, pcm, RATE))
    for i in range(100):
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray((_NOISE * 0.2).reshape(1, -1)), "flt", "stereo")
        frame.sample_rate = RATE
        mixer.add("ann", [frame], 1.0 + i * 0.02)
    at = [speakers.at(i * TICK, {"ann"}) for i in range(90)]
    assert at[: round(1.7 / TICK)] == [None] * round(1.7 / TICK)
    assert at[round(2.2 / TICK)] == "ann"
