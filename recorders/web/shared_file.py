"""The file that the recorder's own page and the recorder both have open: what the browser captures comes here by it.

It is in the private file system of that page's origin (W3C File System Standard), which is an ordinary file in the
browser's profile: a worker of the page writes (capture_worker.js), we map it. So nothing of it passes a socket, the
browser's other processes or playwright's driver. The page under record cannot name the file: it is another origin, and
a secret is in it.

First comes a page with the secret and with counters that each side has written for the other; then mail (mail.py), then
pictures (ring.py).
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

from recorders.errors import Lost

PAGE = 4096
SECRET_BYTES = 16
"""Length of the secret."""
# Where Chromium keeps the private file systems of a profile's origins.
_PLACE = "*/File System/*/t/*/*"


class SharedFile:
    """The file of `size` bytes with `secret` in a browser's profile. Raises `Lost` when there is none."""

    def __init__(self, profile: Path, secret: bytes, size: int) -> None:
        for path in profile.glob(_PLACE):
            if path.stat().st_size != size:
                continue
            with path.open("r+b") as file:
                if file.read(SECRET_BYTES) == secret:
                    self.bytes = mmap.mmap(file.fileno(), size)
                    """All of it."""
                    break
        else:
            raise Lost("The browser keeps what it captures where it cannot be found.")

    def counter(self, at: int) -> int:
        """The u32 there."""
        return int(struct.unpack_from("<I", self.bytes, at)[0])

    def count(self, at: int, number: int) -> None:
        """Put a number there, of which the lower 32 bits count."""
        struct.pack_into("<I", self.bytes, at, number & 0xFFFFFFFF)
