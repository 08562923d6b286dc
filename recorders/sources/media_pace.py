"""When packets of a media URL are due, by the timestamps of its streams."""

from __future__ import annotations

import time

# A live stream that lags more than this behind its first packet has stalled: its clock is set anew.
_STALLED_S = 0.2
# Timestamps that run ahead by more than this have jumped; a broadcast's picture may come long before its sound.
_JUMPED_S = 2.0
# Files begin together with the channel unless they took longer than this to open.
_PROMPT_S = 0.25
# Packets go out up to this far ahead of their time, so that a thread wakes some ten times a second, not for each.
_AHEAD_S = 0.1
# What is live may go out this much earlier: its picture and sound may be so far apart, and to wait for the one would be
# to have the other late.
_APART_S = 1.0


class FilePace:
    """A file that begins at its time `start` (s), played as if opened at `begun` (monotonic), if that was just now."""

    def __init__(self, start: float | None, begun: float) -> None:
        now = time.monotonic()
        self._begin = now if now - begun > _PROMPT_S else begun
        self._start = start

    def offset(self, index: int, at: float) -> float:
        """The local time of the stream's time 0, for a packet of stream `index` with the time `at`."""
        if self._start is None:
            self._start = at
        return self._begin - self._start

    def wait(self, due: float) -> float:
        """For how long a packet waits that is due then."""
        return _rest(due)


class LivePace:
    """What is live: packets are due as they come, evened out by their timestamps. These may jump, and then do so in one
    stream after the other. Nothing is due before `begin` (monotonic)."""

    def __init__(self, begin: float) -> None:
        self._offset: float | None = None
        self._offsets: dict[int, float] = {}  # by which each stream went last
        self._latest = begin  # of what was due so far

    def offset(self, index: int, at: float) -> float:
        """See `FilePace`."""
        now = time.monotonic()
        for offset in (self._offset, self._offsets.get(index)):
            if offset is not None and -_STALLED_S <= offset + at - now <= _JUMPED_S:
                break
        else:
            self._offset = offset = max(now, self._latest) - at
        self._offsets[index] = offset
        self._latest = max(self._latest, offset + at)
        return offset

    def wait(self, due: float) -> float:
        """See `FilePace`."""
        return _rest(due - _APART_S)


def _rest(due: float) -> float:
    ahead = due - time.monotonic()
    return ahead if ahead > _AHEAD_S else 0.0
