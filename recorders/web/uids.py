"""Which user a browser is where the service is root: one of a range of ids, for one browser at a time.

No account is needed. A claim is a lock, which ends with the process that holds it, however that ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from recorders.errors import RecorderError

# Nobody but root can write there, and what is there does not outlive the machine's start.
_FOLDER = Path("/run/egress-ray-uids")
_ENDING_S = 2.0


class Uid:
    """A user id that no other recording of this machine has, with no process of it left."""

    def __init__(self, first: int, last: int) -> None:
        """Raises `RecorderError` when none is free."""
        _FOLDER.mkdir(mode=0o700, exist_ok=True)
        for number in range(first, last + 1):
            lock = os.open(_FOLDER / str(number), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
                continue
            if end_all(number):
                self.number, self._lock = number, lock
                return
            os.close(lock)
        raise RecorderError(f"No user id from {first} to {last} (setting web.uids) is free for another browser.")

    def release(self) -> None:
        """End what still runs under it; then it may be another's."""
        end_all(self.number)
        os.close(self._lock)


def end_all(uid: int) -> bool:
    """Kill every process of a user. False when some do not end in time: a disk or device holds them."""
    deadline = time.monotonic() + _ENDING_S
    while found := list(_processes(uid)):
        if time.monotonic() > deadline:
            return False
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)
    return True


def _processes(uid: int) -> Iterator[int]:
    """Living ones. The owner of /proc/PID does not tell: it is root's where a process is not dumpable."""
    mine = b"\nUid:\t%d\t" % uid
    for name in os.listdir("/proc"):  # noqa: PTH208
        if name.isdigit():
            with contextlib.suppress(OSError):
                status = Path("/proc", name, "status").read_bytes()
                if mine in status and b"\nState:\tZ" not in status:
                    yield int(name)
