"""When a render thread is to stop writing."""

from __future__ import annotations

import contextlib
import math
import threading
import time


class Deadline:
    """A moment (monotonic seconds) that is set, from any thread, once it is known; the earliest of several counts."""

    def __init__(self) -> None:
        self.at = math.inf
        # Held, but for the time from `set` to the waiter's seeing it: an Event takes four times as long to wait for.
        self._held = threading.Lock()
        self._held.acquire()

    def set(self, at: float) -> None:
        """Not later than then; may have passed already."""
        self.at = min(self.at, at)
        with contextlib.suppress(RuntimeError):  # it is on its way already
            self._held.release()

    def wait(self, moment: float) -> None:
        """Until a moment, or the deadline if that is earlier. By one thread."""
        while (left := min(moment, self.at) - time.monotonic()) > 0:
            self._held.acquire(timeout=left)
