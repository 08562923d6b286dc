"""Pictures as they are from the browser to here, by a file that both have open.

The recorder's own page writes them into a file of its origin's private file system (W3C File System Standard), which is
an ordinary file in the browser's profile, so nothing of them passes a socket, the browser's other processes or
playwright's driver. In the file are a page with a secret of ours, by which it is known, and how many pictures have
been done with; then slots for one picture each. The newest one stays where it is, to be shown again, so that while the
recorder keeps up two slots are used in turn. What is in which slot is told by the link (capture_worker.js).
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path
from typing import Any

import numpy as np

from recorders.errors import Lost
from recorders.spec import VideoSpec

Planes = np.ndarray[Any, np.dtype[np.uint8]]

CODEC = "rawvideo"
"""FFmpeg's name of no codec."""

_PAGE = 4096
_TAKEN_AT = 64
SECRET_BYTES = 16
"""Length of the secret."""
_BUDGET_BYTES = 48 * 1024 * 1024
_MOST, _FEWEST = 30, 4
# Where Chromium keeps the private file systems of a profile's origins.
_PLACE = "*/File System/*/t/*/*"


def options(video: VideoSpec, secret: bytes) -> dict[str, Any]:
    """How capture_worker.js is to make the file."""
    return {"secret": list(secret), "slots": _slots(video), "slotBytes": _slot_bytes(video)}


class Ring:
    """The file with `secret` in a browser's profile. Raises `Lost` when there is none."""

    def __init__(self, profile: Path, secret: bytes, video: VideoSpec) -> None:
        self._slots, self._bytes = _slots(video), _slot_bytes(video)
        size = _PAGE + self._slots * self._bytes
        for path in profile.glob(_PLACE):
            if path.stat().st_size != size:
                continue
            with path.open("r+b") as file:
                if file.read(SECRET_BYTES) == secret:
                    self._map = mmap.mmap(file.fileno(), size)
                    break
        else:
            raise Lost("The browser keeps its pictures where they cannot be found.")
        self._seen = 0

    def planes(self, slot: int, width: int, height: int) -> Planes:
        """The planes of an I420 (or NV12) picture, (height * 3 / 2, width), until the next one's
        `release_older`. Raises `Lost`."""
        size = width * height * 3 // 2
        if slot >= self._slots or size > self._bytes or width % 2 or height % 2:
            raise Lost(f"The browser's picture of {width} x {height} pixels has no place.")
        return np.frombuffer(self._map, np.uint8, size, _PAGE + slot * self._bytes).reshape(-1, width)

    def release_older(self) -> None:
        """All but the picture asked for last may be overwritten."""
        struct.pack_into("<I", self._map, _TAKEN_AT, self._seen & 0xFFFFFFFF)
        self._seen += 1


def _slots(video: VideoSpec) -> int:
    """How many pictures may wait: a second's of the usual sizes. Only as many as do wait take memory."""
    return max(_FEWEST, min(_MOST, _BUDGET_BYTES // _slot_bytes(video)))


def _slot_bytes(video: VideoSpec) -> int:
    """Room for one I420 or NV12 picture."""
    return -(-video.width * video.height * 3 // 2 // _PAGE) * _PAGE
