"""When a render thread is to stop writing."""

from __future__ import annotations

import math
import threading
import time


class Deadline:
    """A moment (monotonic seconds) that is set, from any thread, once it is known; the earliest of several counts."""

    def __init__(self) -> None:
        self.at = math.inf
        self._wake = threading.Event()

    def set(self, at: float) -> None:
        """Not later than then; may have passed already."""
        self.at = min(self.at, at)
        self._wake.set()

    def wait(self, moment: float) -> None:
        """Until a moment, or the deadline if that is earlier."""
        while (left := min(moment, self.at) - time.monotonic()) > 0:
            self._wake.wait(left)
            self._wake.clear()
