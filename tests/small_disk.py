"""A disk of its own, and small, for what is done to a folder when it fills up."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SIZE_MB = 60


@contextmanager
def small_disk(folder: Path) -> Iterator[str]:
    """Mounted at a new folder meanwhile; says why it is not, if it cannot be, and the folder is any other then."""
    folder.mkdir()
    if os.geteuid() != 0:
        yield "only root can mount a small disk"
        return
    options = ["-t", "tmpfs", "-o", f"size={_SIZE_MB * 1_000_000}", "tmpfs", str(folder)]
    done = subprocess.run(["mount", *options], capture_output=True, text=True, check=False)
    if done.returncode:
        yield f"no small disk can be mounted here: {done.stderr}"
        return
    try:
        yield ""
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(disk: Path, leave_mb: float) -> Path:
    """Leave so much; returns the file that takes the rest."""
    status = os.statvfs(disk)
    free = status.f_bavail * status.f_frsize - int(leave_mb * 1_000_000)
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            file.write(bytes(max(0, free)))
            while leave_mb == 0:
                file.write(bytes(4096))
        except OSError:
            pass
    return filler
