"""Which missing packets to ask for (NACK, RFC 4585, section 6.2.1), and when: not those that are only out of order, and
again as long as they do not come. `now` is monotonic seconds; sequence numbers are 16 bits.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

# How long a packet may be late before it counts as missing: learned from those that come by themselves. Where none do,
# it is asked for at once, for some senders keep what they have sent for a few pictures only.
_PATIENCE_MOST_S = 0.040
_FORGETS = 0.9995  # a packet
# How long an answer takes: learned, too. It is asked again a little later than that.
_ROUND_TRIP_S = 0.050
_AGAIN_LEAST_S, _AGAIN_MOST_S = 0.030, 0.120
_TIMES_MOST = 10


@dataclass(slots=True)
class _Missing:
    since: float
    asked_at: float = 0.0
    times: int = 0


class Requests:
    """What is missing now, and what of it was asked for."""

    def __init__(self) -> None:
        self.recovered = 0  # packets that came after they had been asked for
        self._missing: dict[int, _Missing] = {}
        self._patience = 0.0
        self._round_trip = _ROUND_TRIP_S

    def arrived(self, sequence: int, now: float) -> None:
        """A packet came, whether it had been missing or not."""
        missing = self._missing.pop(sequence, None)
        if missing is None:
            self._patience *= _FORGETS
        elif missing.times == 0:
            self._patience = min(_PATIENCE_MOST_S, max(self._patience, now - missing.since))
        else:
            self.recovered += 1
            if missing.times == 1:
                self._round_trip += 0.2 * (now - missing.asked_at - self._round_trip)

    def due(self, missing: Iterable[int], now: float) -> list[int]:
        """Those that are to be asked for now; to be called every few milliseconds while there is something missing."""
        before, self._missing = self._missing, {}
        again = min(_AGAIN_MOST_S, max(_AGAIN_LEAST_S, 1.2 * self._round_trip))
        asked = []
        for sequence in missing:
            one = self._missing[sequence] = before.get(sequence) or _Missing(now)
            if one.times < _TIMES_MOST and now - (one.asked_at if one.times else one.since) >= (
                again if one.times else self._patience
            ):
                one.asked_at = now
                one.times += 1
                asked.append(sequence)
        return asked
