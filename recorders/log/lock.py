"""A file's lock, for who must be alone with what it stands for; it goes with the process that holds it."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_AGAIN_S = 0.05


@contextmanager
def locked(path: Path, within_s: float) -> Iterator[None]:
    """Hold the lock of a file, which is made if need be. Raises `TimeoutError` when another holds it for so long."""
    deadline = time.monotonic() + within_s
    with path.open("ab") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"Somebody else is at {path}.") from None
                time.sleep(_AGAIN_S)
        yield
