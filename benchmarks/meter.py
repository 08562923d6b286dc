"""Runs a command and holds on to all of its descendants, so that their CPU time is never lost.

`python -m benchmarks.meter COMMAND...` is a child subreaper (prctl(2)): a process whose parent is gone becomes
its child and is waited for, so its time ends up in this process' children time (getrusage(2)). SIGINT and SIGTERM
go on to the command; when the command has ended, what is left of its descendants is killed.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from types import FrameType

import psutil

_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_PDEATHSIG = 1
_GRACE_S = 3.0


def main() -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    child = subprocess.Popen(sys.argv[1:])

    def forward(number: int, _: FrameType | None) -> None:
        if child.returncode is None:
            os.kill(child.pid, number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, forward)
    while True:  # orphans may end before the command does
        pid, status = os.wait()
        if pid == child.pid:
            child.returncode = os.waitstatus_to_exitcode(status)
            break
    _end_orphans()
    return child.returncode if child.returncode >= 0 else 128 - child.returncode


def _end_orphans() -> None:
    deadline = time.monotonic() + _GRACE_S
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            if time.monotonic() > deadline:
                for process in psutil.Process().children(recursive=True):
                    process.kill()
            time.sleep(0.02)


if __name__ == "__main__":
    sys.exit(main())
