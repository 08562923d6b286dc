"""A browser's folder: its home with an empty profile, deleted after it, by the next recorder if need be."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

_PREFIX = "egress-ray-browser-"
_LOCK = "in-use"
# Chromium's energy saver, always on: pages are painted, and their animation frames run, at 30 Hz, not 60.
_ENERGY_SAVER = {"performance_tuning": {"battery_saver_mode": {"state": 3}}}


class Profile:
    """A folder for one browser of user `uid`. It is in use while its lock is held, which ends with this process.

    `home` is the browser's, `data` the profile in it. What is beside `home` is out of the browser's reach: where it
    is another user, it may pass through `folder`, no more.
    """

    def __init__(self, energy_saver: bool, uid: int | None = None) -> None:
        _sweep()
        self.folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
        self._lock = os.open(self.folder / _LOCK, os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self.home = self.folder / "home"
        self.data = self.home / "profile"
        self.pid_file = self.folder / "pid"
        for folder in (self.home, self.data):
            folder.mkdir(mode=0o700)
        if energy_saver:
            _write(self.data / "Local State", _ENERGY_SAVER)
        if uid is not None:
            self.folder.chmod(0o711)
            for path in (*self.home.rglob("*"), self.home):
                os.chown(path, uid, uid)

    def delete(self) -> None:
        """Delete the folder; the browser must have ended."""
        shutil.rmtree(self.folder, ignore_errors=True)
        os.close(self._lock)


def _write(path: Path, settings: dict[str, Any]) -> None:
    path.write_text(json.dumps(settings))


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
