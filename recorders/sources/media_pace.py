"""When packets of a media URL are due, by the timestamps of its streams."""

from __future__ import annotations

import time

# A live stream that lags more than this behind its first packet has stalled: its clock is set anew.
_STALLED_S = 0.2
# Timestamps that run ahead by more than this have jumped; a broadcast's picture may come long before its sound.
_JUMPED_S = 2.0
# Files begin together with the channel unless they took longer than this to open.
_PROMPT_S = 0.25


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


class LivePace:
    """What is live: packets are due as they come, evened out by their timestamps. These may jump, and then do so in one
    stream after the other."""

    def __init__(self) -> None:
        self._offset: float | None = None
        self._offsets: dict[int, float] = {}  # by which each stream went last
        self._latest = 0.0  # of what was due so far

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
