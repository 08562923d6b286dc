"""Fault points: where tests kill the process, one by one, to see that nothing durable is ever half-done.

Without `EGRESS_FAULT_POINTS` in the environment there are none. With it, it names a file that holds a number: the
process kills itself at the point of that number from then on, and removes the file before.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path


def fault_point() -> None:
    """Between two things that are durable each by itself."""
    name = os.environ.get("EGRESS_FAULT_POINTS")
    if name is None:
        return
    path = Path(name)
    try:
        left = int(path.read_text()) - 1
    except (OSError, ValueError):
        return
    if left > 0:
        path.write_text(str(left))
        return
    path.unlink()
    os.kill(os.getpid(), signal.SIGKILL)
