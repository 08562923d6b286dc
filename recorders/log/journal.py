"""The packets of the part that is open, on disk as they come: what a recorder that dies would otherwise take with it.

They are written, not synced: they outlive the process, not the machine. What is made of them: `salvage`.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple

from recorders.log import files
from recorders.log.index import Slate
from recorders.log.tracks import AudioTrack, VideoTrack

Kind = Literal["video", "audio"]
# Kind, whether it is a keyframe, time, duration, length of the data, CRC-32 of all of this but itself and of the data.
_HEAD = struct.Struct(">B?qIII")
_KINDS: tuple[Kind, ...] = ("video", "audio")
# In place of a packet's kind: the data is a slate, as JSON.
_SLATE = len(_KINDS)


@dataclass(frozen=True, slots=True)
class Packet:
    """An encoded picture or a piece of sound; `time` and `duration` in pictures or samples since the epoch."""

    kind: Kind
    time: int
    duration: int
    key: bool
    data: bytes


@dataclass(frozen=True, slots=True)
class Heading:
    """What the packets belong to."""

    attempt: int
    part_seconds: float
    epoch: float
    video: VideoTrack | None
    audio: AudioTrack | None


class Left(NamedTuple):
    """What a journal holds."""

    heading: Heading
    packets: list[Packet]
    slates: list[Slate]


class Journal:
    """One attempt's journal, by its only writer. A disk that refuses ends the journal and not the recording."""

    def __init__(self, path: Path, heading: Heading) -> None:
        self._path = path
        self._heading = _encode(heading)
        self._packets: list[Packet] = []
        self._slates: list[Slate] = []
        self._broken = False
        self._restart()

    def add(self, packet: Packet) -> None:
        """The next packet as muxed."""
        self._packets.append(packet)
        self._write(_record(packet))

    def slate(self, slate: Slate) -> None:
        """What comes next is slate; one that begins where the last one does is in its place."""
        _enter(self._slates, slate)
        self._write(_record(slate))

    def cut(self, ends: dict[Kind, int], slates: Iterable[Slate] = ()) -> None:
        """A part is in the log: only what comes at these times (pictures, samples) or later is still open, and
        `slates`."""
        self._packets = [packet for packet in self._packets if packet.time >= ends.get(packet.kind, 0)]
        self._slates = list(slates)
        if not self._broken:
            self._file.close()
        self._restart()

    def close(self) -> None:
        """All is in the log."""
        if not self._broken:
            self._file.close()
        self._path.unlink(missing_ok=True)

    def _write(self, record: bytes) -> None:
        if self._broken:
            return
        try:
            self._file.write(record)
        except OSError:
            self._broken = True

    def _restart(self) -> None:
        draft = files.temporary(self._path)
        records = [*map(_record, self._slates), *map(_record, self._packets)]
        try:
            draft.write_bytes(self._heading + b"".join(records))
            draft.replace(self._path)
            self._file = self._path.open("ab", buffering=0)
            self._broken = False
        except OSError:
            self._broken = True
            draft.unlink(missing_ok=True)


def read(path: Path) -> Left | None:
    """A journal as far as it is whole; None when there is none, or not even its heading."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return None
    heading, _, rest = raw.partition(b"\n")
    try:
        left = Left(_decode(heading), [], [])
    except (ValueError, TypeError, KeyError):
        return None
    for entry in _records(rest):
        if isinstance(entry, Slate):
            _enter(left.slates, entry)
        else:
            left.packets.append(entry)
    return left


def _enter(slates: list[Slate], slate: Slate) -> None:
    if slates and slates[-1].start == slate.start:
        slates.pop()
    slates.append(slate)


def _encode(heading: Heading) -> bytes:
    plain = asdict(heading)
    for track in (plain["video"], plain["audio"]):
        if track:
            track["extradata"] = track["extradata"].hex()
    return json.dumps(plain).encode() + b"\n"


def _decode(raw: bytes) -> Heading:
    plain = json.loads(raw)
    for track in (plain["video"], plain["audio"]):
        if track:
            track["extradata"] = bytes.fromhex(track["extradata"])
    heading = Heading(**plain)
    return replace(
        heading,
        video=VideoTrack(**plain["video"]) if plain["video"] else None,
        audio=AudioTrack(**plain["audio"]) if plain["audio"] else None,
    )


def _record(entry: Packet | Slate) -> bytes:
    if isinstance(entry, Slate):
        kind, key, time, duration, data = _SLATE, False, 0, 0, json.dumps(asdict(entry)).encode()
    else:
        kind, key, time, duration, data = _KINDS.index(entry.kind), entry.key, entry.time, entry.duration, entry.data
    values = (kind, key, time, duration, len(data))
    return _HEAD.pack(*values, zlib.crc32(data, zlib.crc32(repr(values).encode()))) + data


def _records(raw: bytes) -> Iterator[Packet | Slate]:
    at = 0
    while at + _HEAD.size <= len(raw):
        kind, key, time, duration, size, crc = _HEAD.unpack_from(raw, at)
        data = raw[at + _HEAD.size : at + _HEAD.size + size]
        values = (kind, key, time, duration, size)
        if len(data) < size or zlib.crc32(data, zlib.crc32(repr(values).encode())) != crc:
            return
        yield Slate(**json.loads(data)) if kind == _SLATE else Packet(_KINDS[kind], time, duration, key, data)
        at += _HEAD.size + size


def decodable(packets: Iterable[Packet], ends: dict[Kind, int]) -> list[Packet]:
    """Those that come at `ends` or later, pictures from a keyframe on."""
    left = [packet for packet in packets if packet.time >= ends.get(packet.kind, 0)]
    first = next((n for n, packet in enumerate(left) if packet.kind == "video" and packet.key), len(left))
    return [packet for n, packet in enumerate(left) if packet.kind == "audio" or n >= first]
