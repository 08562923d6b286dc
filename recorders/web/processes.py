"""The processes of a browser, found by its profile; Linux's /proc."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

# What was started while one looked is found by looking again.
_LOOKS = 3


def kill_browser(profile: Path) -> None:
    """SIGKILL, which a stopped process obeys, too, to the browser with this profile and to all that it has started."""
    for _ in range(_LOOKS):
        family = _family(profile)
        if not family:
            return
        for pid in family:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)


def _family(profile: Path) -> set[int]:
    mark = b"--user-data-dir=" + os.fsencode(profile)
    parents: dict[int, int] = {}
    found: set[int] = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):  # it has ended meanwhile
                pid = int(entry.name)
                parents[pid] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                if mark in (entry / "cmdline").read_bytes().split(b"\0"):
                    found.add(pid)
    more = found
    while more:
        more = {pid for pid, parent in parents.items() if parent in more} - found
        found |= more
    return found - {os.getpid()}
