"""A browser's profile: an empty folder of its own, deleted after it, by the next recorder if need be."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import tempfile
from pathlib import Path

_PREFIX = "egress-ray-browser-"
_LOCK = "in-use"
# Chromium's energy saver, always on: pages are painted, and their animation frames run, at 30 Hz, not 60.
_ENERGY_SAVER = {"performance_tuning": {"battery_saver_mode": {"state": 3}}}


class Profile:
    """A folder for one browser. It is in use while its lock is held, which ends with this process."""

    def __init__(self, energy_saver: bool) -> None:
        _sweep()
        self.folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
        self._lock = os.open(self.folder / _LOCK, os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        if energy_saver:
            (self.folder / "Local State").write_text(json.dumps(_ENERGY_SAVER))

    def delete(self) -> None:
        """Delete the folder; the browser must have ended."""
        shutil.rmtree(self.folder, ignore_errors=True)
        os.close(self._lock)


def _sweep() -> None:
    """Delete what recorders that were killed have left behind."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        try:
            lock = os.open(folder / _LOCK, os.O_RDWR)
        except OSError:  # another user's, or being made or deleted in this moment
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        except BlockingIOError:
            continue
        finally:
            os.close(lock)
