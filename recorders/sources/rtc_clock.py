"""When media was captured, on this machine's monotonic clock, told from RTP timestamps, arrivals and sender reports.

Different senders' NTP clocks are unrelated: a participant is only ever compared with itself.
"""

from __future__ import annotations

from collections import deque

from recorders.sources.base import Kind

# Delays are minima over this long, so that the sender's clock may run faster or slower than ours.
_WINDOW_S = 20.0
_BUCKET_S = 2.0
# Media this far from its arrival means that the sender has started another timeline.
_BREAK_S = 5.0


class _Minimum:
    """The least value of the last `_WINDOW_S` seconds, in buckets of `_BUCKET_S`."""

    def __init__(self) -> None:
        self._buckets: deque[tuple[float, float]] = deque()  # (begin, least)
        self.value = float("inf")

    def add(self, value: float, now: float) -> None:
        if not self._buckets or now - self._buckets[-1][0] >= _BUCKET_S:
            self._buckets.append((now, value))
            while now - self._buckets[0][0] > _WINDOW_S:
                self._buckets.popleft()
        elif value < self._buckets[-1][1]:
            self._buckets[-1] = (self._buckets[-1][0], value)
        elif value >= self.value:
            return
        self.value = min(least for _, least in self._buckets)


class _Timeline:
    """One stream's RTP timestamps in seconds, and how they lie to our clock and to the sender's."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._last: int | None = None
        self.arrived = _Minimum()  # arrival - media time
        self.heard = float("-inf")  # when the last packet came
        self.ntp: float | None = None  # sender's NTP time - media time

    def seconds(self, timestamp: int) -> float:
        """A 32-bit RTP timestamp, unwrapped: it is within 2^31 of the newest one."""
        if self._last is None:
            self._last = timestamp
        step = (timestamp - self._last + (1 << 31)) % (1 << 32) - (1 << 31)
        unwrapped = self._last + step
        self._last = max(self._last, unwrapped)
        return unwrapped / self._rate


class MediaClock:
    """Maps both kinds of a participant's media onto local `time.monotonic()` seconds of capture.

    The network's least delay counts as none. Before a stream's first sender report its own least delay is
    taken; from then on both streams share the lesser one, which puts sound and picture in step.
    """

    def __init__(self) -> None:
        self._timelines: dict[Kind, _Timeline] = {}

    def begin(self, kind: Kind, rate: int) -> None:
        """A stream begins, or begins anew; `rate` is its RTP clock rate in Hz."""
        self._timelines[kind] = _Timeline(rate)

    def arrived(self, kind: Kind, timestamp: int, now: float) -> float:
        """A packet came at `now`; returns the capture time of what it carries."""
        timeline = self._timelines[kind]
        media = timeline.seconds(timestamp)
        timeline.arrived.add(now - media, now)
        timeline.heard = now
        t = self._time(timeline, media)
        if abs(t - now) > _BREAK_S:
            self.begin(kind, timeline._rate)
            return self.arrived(kind, timestamp, now)
        return t

    def reported(self, kind: Kind, ntp: int, timestamp: int) -> None:
        """A sender report: `timestamp` was captured at `ntp` (64-bit NTP time of the sender)."""
        timeline = self._timelines.get(kind)
        if timeline is not None and timeline._last is not None:
            timeline.ntp = ntp / (1 << 32) - timeline.seconds(timestamp)

    def _time(self, timeline: _Timeline, media: float) -> float:
        """For a packet that has just come. What was long silent tells nothing: clocks have drifted since."""
        if timeline.ntp is None:
            return media + timeline.arrived.value
        base = min(
            one.arrived.value - one.ntp
            for one in self._timelines.values()
            if one.ntp is not None and timeline.heard - one.heard <= _WINDOW_S
        )
        return media + timeline.ntp + base
