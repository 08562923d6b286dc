"""When sound was captured that an SDK hands out without a time, in frames that follow one another."""

from __future__ import annotations

import math

# Sound that is later than this would not be in time for any output: it has not been late, it has paused.
_PAUSE_S = 0.3
# What was late all of this long by more than a step is not late: the other clock is slower, or the way longer.
_WINDOW_S = 1.0
_STEP_S = 0.02


class SoundClock:
    """Of one participant's sound: a frame follows the one before, whenever it came, and least delay counts as none.

    So neither does a stall with a burst after it tear the sound, nor does a pause shift it.
    """

    def __init__(self) -> None:
        self._next: float | None = None  # when the next frame begins, if nothing pauses
        self._since = 0.0
        self._least = math.inf

    def begin(self, seconds: float, now: float) -> float:
        """Sound of that many `seconds` came at `now` (monotonic); returns the time of its first sample."""
        at = now - seconds
        if self._next is None or not self._next <= at <= self._next + _PAUSE_S:
            self._reset(at, now)
        else:
            self._least = min(self._least, at - self._next)
            if now - self._since >= _WINDOW_S:
                self._reset(self._next + (self._least if self._least > _STEP_S else 0.0), now)
        assert self._next is not None
        begun = self._next
        self._next += seconds
        return begun

    def pause(self) -> None:
        """The sound was switched off or on."""
        self._next = None

    def _reset(self, at: float, now: float) -> None:
        self._next, self._since, self._least = at, now, math.inf
