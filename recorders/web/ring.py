"""Pictures as they are from the browser to here, in slots of the shared file.

The newest one stays where it is, to be shown again, so that while the recorder keeps up two slots are used in turn. How
many have been done with is in the file; what is in which slot is told by mail (capture_worker.js).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from recorders.errors import Lost
from recorders.spec import VideoSpec
from recorders.web.mail import MAIL_BYTES
from recorders.web.shared_file import PAGE, SharedFile

Planes = np.ndarray[Any, np.dtype[np.uint8]]

CODEC = "rawvideo"
"""FFmpeg's name of no codec."""

_TAKEN_AT = 64
_BUDGET_BYTES = 48 * 1024 * 1024
_MOST, _FEWEST = 30, 4
_AT = PAGE + MAIL_BYTES


def options(video: VideoSpec, secret: bytes) -> dict[str, Any]:
    """How capture_worker.js is to make the file."""
    slots = {"slots": _slots(video), "slotBytes": _slot_bytes(video)}
    return {"secret": list(secret), "mailBytes": MAIL_BYTES, **slots}


def find(profile: Path, secret: bytes, video: VideoSpec) -> SharedFile:
    """The file that was made so. Raises `Lost`."""
    return SharedFile(profile, secret, _AT + _slots(video) * _slot_bytes(video))


class Ring:
    """The pictures of one browser."""

    def __init__(self, file: SharedFile, video: VideoSpec) -> None:
        self._file = file
        self._slots, self._bytes = _slots(video), _slot_bytes(video)
        self._seen = 0

    def planes(self, slot: int, width: int, height: int) -> Planes:
        """The planes of an I420 (or NV12) picture, (height * 3 / 2, width), until the next one's
        `release_older`. Raises `Lost`."""
        size = width * height * 3 // 2
        if slot >= self._slots or size > self._bytes or width % 2 or height % 2:
            raise Lost(f"The browser's picture of {width} x {height} pixels has no place.")
        return np.frombuffer(self._file.bytes, np.uint8, size, _AT + slot * self._bytes).reshape(-1, width)

    def release_older(self) -> None:
        """All but the picture asked for last may be overwritten."""
        self._file.count(_TAKEN_AT, self._seen)
        self._seen += 1


def _slots(video: VideoSpec) -> int:
    """How many pictures may wait: a second's of the usual sizes. Only as many as do wait take memory."""
    return max(_FEWEST, min(_MOST, _BUDGET_BYTES // _slot_bytes(video)))


def _slot_bytes(video: VideoSpec) -> int:
    """Room for one I420 or NV12 picture."""
    return -(-video.width * video.height * 3 // 2 // PAGE) * PAGE
