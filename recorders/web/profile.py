"""A browser's folder: its home with an empty profile, deleted after it, by the next recorder if need be."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from recorders.web.refusals import LOCAL_STATE, PREFERENCES

_PREFIX = "egress-ray-browser-"
_LOCK = "in-use"


class Profile:
    """A folder for one browser of user `uid`. It is in use while its lock is held, which ends with this process.

    `home` is the browser's, `folder` the profile in it. What is beside `home` is out of the browser's reach: where
    it is another user, it may pass through there, no more.
    """

    def __init__(self, uid: int | None = None) -> None:
        _sweep()
        self._outer = Path(tempfile.mkdtemp(prefix=_PREFIX))
        self._lock = os.open(self._outer / _LOCK, os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self.home = self._outer / "home"
        self.folder = self.home / "profile"
        self.pid_file = self._outer / "pid"
        for folder in (self.home, self.folder):
            folder.mkdir(mode=0o700)
        _write(self.folder / "Local State", LOCAL_STATE)
        _write(self.folder / "Default" / "Preferences", PREFERENCES)
        if uid is not None:
            self._outer.chmod(0o711)
            for path in (*self.home.rglob("*"), self.home):
                os.chown(path, uid, uid)

    def delete(self) -> None:
        """Delete the folder; the browser must have ended."""
        shutil.rmtree(self._outer, ignore_errors=True)
        os.close(self._lock)


def _write(path: Path, settings: dict[str, Any]) -> None:
    path.parent.mkdir(mode=0o700, exist_ok=True)
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
