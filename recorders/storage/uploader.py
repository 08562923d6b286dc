"""The thread that keeps a recording's spool moving while it records."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from recorders.errors import RecorderError
from recorders.storage.spool import Spool

log = logging.getLogger("recorders.storage")
# How soon a closed part is seen.
_LOOK_S = 0.5
_BACKOFF_MOST_S = 15.0
_HOLD_S = 5.0


class Uploader:
    """Uploads until `stop`; a store that is away is tried again and again, while the backlog grows on the disk.

    `is_present` tells whether the recording is its attempt's own still, and the live playlist with it.
    """

    def __init__(self, spool: Spool, is_present: Callable[[], bool] = lambda: True) -> None:
        self._spool = spool
        self._is_present = is_present
        self._stop = threading.Event()
        self._passes = 0
        self._thread = threading.Thread(target=self._run, name="uploader", daemon=True)
        self._thread.start()
        self.backlog = 0
        self.problem = ""

    def drain(self, within_s: float) -> bool:
        """Wait until all that is in the log now is in the store; False when it is not within that time."""
        limit, passes = time.monotonic() + within_s, self._passes
        while time.monotonic() < limit:
            if self._passes > passes + 1 and not self.backlog:
                return True
            time.sleep(_LOOK_S / 5)
        return False

    def stop(self, within_s: float) -> None:
        """Let go of the spool after the file at hand."""
        self._stop.set()
        self._thread.join(within_s)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                with self._spool.held(_HOLD_S):
                    self._upload()
            except TimeoutError:
                continue
            except OSError as error:  # the disk; the log will tell the same
                self.problem = f"The spool cannot be used: {error.strerror or error}."
                self._stop.wait(_BACKOFF_MOST_S)

    def _upload(self) -> None:
        wait_s = _LOOK_S
        while not self._stop.wait(wait_s):
            try:
                self._spool.advance(live=self._is_present())
                self._passes += 1
                self.problem, wait_s = "", _LOOK_S
            except RecorderError as error:
                if not self.problem:
                    log.warning("%s It is tried again.", error)
                self.problem = str(error)
                wait_s = min(_BACKOFF_MOST_S, 2 * wait_s)
            self.backlog = self._spool.backlog
