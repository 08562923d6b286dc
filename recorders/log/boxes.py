"""ISO base media boxes (ISO/IEC 14496-12): cutting a fragmented MP4 stream, and the times of a fragment."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

# trun and tfhd flags
_DURATION, _SIZE, _FLAGS, _OFFSET = 0x100, 0x200, 0x400, 0x800


@dataclass(frozen=True, slots=True)
class Fragment:
    """A `moof` with its `mdat`; seconds of its first track, which is the pictures' where there are any.

    `ends` has the end of each track by its id, in seconds.
    """

    data: bytes
    start: float
    duration: float
    ends: dict[int, float]


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
        self._timescales: dict[int, int] = {}

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
                self._timescales = dict(_timescales(box[8:]))
        elif kind == b"mdat":
            data, self._head = self._head + box, b""
            moof = find(data, b"moof")
            if moof is not None:
                runs = [
                    (track, start / self._timescales[track], duration / self._timescales[track])
                    for track, start, duration in _times(moof)
                ]
                _, start, duration = runs[0]
                ends = {track: start + duration for track, start, duration in runs}
                self._fragments.append(Fragment(data, start, duration, ends))
        elif kind in (b"moof", b"styp"):
            self._head += box


def _timescales(moov: bytes) -> Iterator[tuple[int, int]]:
    """(track id, ticks a second) of each track."""
    for kind, trak in boxes(moov):
        if kind == b"trak":
            tkhd, mdhd = _need(trak, b"tkhd"), _need(trak, b"mdia", b"mdhd")
            (track,) = struct.unpack_from(">I", tkhd, 20 if tkhd[0] == 1 else 12)
            (timescale,) = struct.unpack_from(">I", mdhd, 20 if mdhd[0] == 1 else 12)
            yield track, timescale


def _times(moof: bytes) -> list[tuple[int, int, int]]:
    """Of each track that has samples here its id, the decode time of the first, and the sum of their durations.

    They are unsigned, but FFmpeg writes those before 0 in two's complement, and as such they are read.
    """
    found = []
    for kind, traf in boxes(moof):
        if kind == b"traf":
            tfhd, tfdt = _need(traf, b"tfhd"), _need(traf, b"tfdt")
            (track,) = struct.unpack_from(">I", tfhd, 4)
            (start,) = struct.unpack_from(">q" if tfdt[0] == 1 else ">I", tfdt, 4)
            default = _default_duration(tfhd)
            found.append(
                (track, start, sum(_run_duration(trun, default) for kind, trun in boxes(traf) if kind == b"trun"))
            )
    if not found:
        raise ValueError("There is no traf box.")
    return found


def _need(data: bytes, *path: bytes) -> bytes:
    payload = find(data, *path)
    if payload is None:
        raise ValueError(f"There is no {b'/'.join(path).decode()} box.")
    return payload


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
