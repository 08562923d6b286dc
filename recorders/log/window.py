"""Which stretch of media time an attempt writes, for two recorders that hand over to each other without a gap.

Both record the same; the successor writes from a keyframe of its own on, and its predecessor up to that very moment.
Times are media seconds.
"""

from __future__ import annotations

import math
import threading

# Half a sample at 48 kHz: times of the same moment that were reckoned in two ways.
_SAME_S = 1e-5
# A successor's first entry in the log fences its predecessor off, so it waits until that has closed its last part.
_COURTESY_S = 1.0
# How long after the last picture its sound may still come.
_SOUND_LATE_S = 1.5


class Window:
    """Open from the beginning, or on standby: then nothing is written before `open_at`. Any thread."""

    def __init__(self, *, standby: bool = False) -> None:
        self.standby = standby
        self.passed = threading.Event()
        """Set when all up to the end is in the log."""
        self._lock = threading.Lock()
        self._from = math.inf if standby else -math.inf
        self._until = math.inf
        self._begun = not standby
        self._keys: list[float] = []
        self._part_seconds = math.inf
        self._pictures = True

    def open_at(self, not_before: float) -> float | None:
        """Write from the first keyframe at or after this on; when that is. None before there was a picture."""
        with self._lock:
            if not self._keys:
                return None
            period = self._keys[-1] - self._keys[-2] if len(self._keys) > 1 else self._part_seconds
            periods = max(0, math.ceil((not_before - self._keys[-1] - _SAME_S) / period))
            self._from = self._keys[-1] + periods * period
            return self._from

    def close_at(self, end: float) -> None:
        """Write nothing from then on."""
        with self._lock:
            self._until = end

    def expects(self, part_seconds: float, pictures: bool) -> None:
        """Keyframes come so often; without pictures it may begin anywhere."""
        self._part_seconds, self._pictures = part_seconds, pictures

    def picture(self, time: float, key: bool) -> bool:
        """Whether this picture is to be written."""
        with self._lock:
            if key:
                self._keys = [*self._keys[-1:], time]
            self._begun = self._begun or (key and time >= self._from - _SAME_S)
            return self._begun and time < self._until - _SAME_S

    def sound(self, time: float) -> bool:
        """Whether a packet of sound that begins then is to be written."""
        with self._lock:
            if not self._keys and not self._pictures:
                self._keys = [time]
            return self._from - _SAME_S <= time < self._until - _SAME_S

    def over(self, picture: float | None, sound: float | None) -> bool:
        """Whether all up to the end has come, when each track has come this far (None: there is no such track)."""
        until = self._until - _SAME_S
        if picture is not None and (picture < until or picture >= until + _SOUND_LATE_S):
            return picture >= until
        return sound is None or sound >= until

    def may_begin(self, time: float) -> bool:
        """Whether the attempt may enter the log when its packets have come this far."""
        return not self.standby or time >= self._from + _COURTESY_S
