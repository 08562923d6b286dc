"""Until when a recorder may write: checked at every write, so that one that was frozen stops by itself."""

from __future__ import annotations

import math
import time

from recorders.errors import Fenced


def now() -> float:
    """Seconds on a clock that runs on while this process or its machine is suspended (CLOCK_BOOTTIME)."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Lease:
    """A right to write that ends by itself unless it is renewed; without any renewal it lasts for ever."""

    def __init__(self) -> None:
        self._until = math.inf

    @property
    def left(self) -> float:
        """Seconds until it ends, negative after it."""
        return self._until - now()

    def renew(self, until: float) -> None:
        """It ends at `until`, by `now`."""
        self._until = until

    def check(self) -> None:
        """Raises `Fenced` when it has ended."""
        if self.left <= 0:
            raise Fenced("The recorder's lease has run out: another may own the recording.")
