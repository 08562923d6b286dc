"""ISO base media boxes (ISO/IEC 14496-12): cutting a fragmented MP4 stream, and the times of a fragment."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

# trun and tfhd flags
_DURATION, _SIZE, _FLAGS, _OFFSET = 0x100, 0x200, 0x400, 0x800


@dataclass(frozen=True, slots=True)
class Fragment:
    """A `moof` with its `mdat`; seconds of its first track."""

    data: bytes
    start: float
    duration: float


def boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(type, payload) of each whole box in `data`, one level."""
    at = 0
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        head = 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, at + 8)
            head = 16
        if size < head or at + size > len(data):
            return
        yield kind, data[at + head : at + size]
        at += size


def find(data: bytes, *path: bytes) -> bytes | None:
    """Payload of the first box at a path of types."""
    for kind, payload in boxes(data):
        if kind == path[0]:
            return payload if len(path) == 1 else find(payload, *path[1:])
    return None


class Fragmenter:
    """A muxer's bytes in; the init section and whole fragments out. The index at a file's end (`mfra`) is left out."""

    def __init__(self) -> None:
        self.init = b""
        self._buffer = bytearray()
        self._head = b""
        self._fragments: list[Fragment] = []

    def feed(self, data: bytes) -> None:
        """Any number of bytes, cut anywhere."""
        self._buffer += data
        while len(self._buffer) >= 8:
            size, kind = struct.unpack_from(">I4s", self._buffer)
            if size < 8 or len(self._buffer) < size:
                return
            box = bytes(self._buffer[:size])
            del self._buffer[:size]
            self._take_box(kind, box)

    def take(self) -> list[Fragment]:
        """The fragments completed since the last call."""
        done, self._fragments = self._fragments, []
        return done

    def _take_box(self, kind: bytes, box: bytes) -> None:
        if kind in (b"ftyp", b"moov"):
            self._head += box
            if kind == b"moov":
                self.init, self._head = self._head, b""
                self._timescale = _timescale(box[8:])
        elif kind == b"mdat":
            data, self._head = self._head + box, b""
            moof = find(data, b"moof")
            if moof is not None:
                start, duration = _times(moof)
                self._fragments.append(Fragment(data, start / self._timescale, duration / self._timescale))
        elif kind in (b"moof", b"styp"):
            self._head += box


def _timescale(moov: bytes) -> int:
    mdhd = find(moov, b"trak", b"mdia", b"mdhd")
    if mdhd is None:
        raise ValueError("The init section has no mdhd box.")
    at = 20 if mdhd[0] == 1 else 12
    return int(struct.unpack_from(">I", mdhd, at)[0])


def _times(moof: bytes) -> tuple[int, int]:
    """Decode time of the first track's first sample, and the sum of its samples' durations."""
    traf = find(moof, b"traf") or b""
    tfdt = find(traf, b"tfdt") or b"\0" * 8
    start = struct.unpack_from(">Q" if tfdt[0] == 1 else ">I", tfdt, 4)[0]
    default = _default_duration(find(traf, b"tfhd") or b"\0" * 8)
    total = sum(_run_duration(trun, default) for kind, trun in boxes(traf) if kind == b"trun")
    return start, total


def _default_duration(tfhd: bytes) -> int:
    flags = int.from_bytes(tfhd[1:4], "big")
    if not flags & 0x8:
        return 0
    at = 8 + (8 if flags & 0x1 else 0) + (4 if flags & 0x2 else 0)
    return int(struct.unpack_from(">I", tfhd, at)[0])


def _run_duration(trun: bytes, default: int) -> int:
    flags, count = int.from_bytes(trun[1:4], "big"), struct.unpack_from(">I", trun, 4)[0]
    if not flags & _DURATION:
        return int(count * default)
    at = 8 + (4 if flags & 0x1 else 0) + (4 if flags & 0x4 else 0)
    step = 4 * sum(bool(flags & flag) for flag in (_DURATION, _SIZE, _FLAGS, _OFFSET))
    return sum(struct.unpack_from(">I", trun, at + step * i)[0] for i in range(count))
