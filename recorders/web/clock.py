"""Unix time that no step of the machine's clock moves."""

from __future__ import annotations

import time


class Clock:
    """The machine's clock as it was when this was made, and from then on the monotonic one."""

    def __init__(self) -> None:
        self._zero = time.time() - time.monotonic()

    def now(self) -> float:
        """Unix seconds."""
        return self.at(time.monotonic())

    def at(self, monotonic: float) -> float:
        """Unix seconds of a monotonic time."""
        return self._zero + monotonic
