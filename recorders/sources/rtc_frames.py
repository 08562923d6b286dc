"""RTP packets into encoded pictures: reordering, missing packets, keyframes. Knows nothing of connections."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

_SEQUENCE = 1 << 16
_HALF = _SEQUENCE >> 1
# A gap that retransmission has not closed by then is given up.
_GIVE_UP_S = 0.5
# Packets held while a gap is open: seconds of any sensible bitrate.
_HELD_LIMIT = 2048


@dataclass(frozen=True, slots=True)
class Packet:
    """One RTP packet's part of a picture; `data` is without the payload format's own headers."""

    sequence: int
    timestamp: int
    last: bool
    codec: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Picture:
    """An encoded picture as its decoder takes it."""

    codec: str
    timestamp: int
    data: bytes
    key: bool


def is_key(codec: str, data: bytes) -> bool:
    """Whether a picture (Annex B for H.264) can be decoded without those before it."""
    if codec == "vp8":
        return bool(data) and not data[0] & 1  # RFC 6386, section 9.1
    at = data.find(b"\0\0\1")
    while 0 <= at < len(data) - 3:
        kind = data[at + 3] & 0x1F
        if kind in (1, 2, 5):  # the first slice tells
            return kind == 5
        at = data.find(b"\0\0\1", at + 3)
    return False


class Assembler:
    """Puts packets in order and into whole pictures.

    A picture ends with the marker bit, or where the next timestamp begins. After a gap that was given up,
    pictures are dropped until a keyframe: they would be decoded from what is not there.
    """

    def __init__(self) -> None:
        self.needs_key = True
        self.lost = 0  # packets given up
        self.dropped = 0  # pictures that came without what they are predicted from
        self._held: dict[int, Packet] = {}
        self._head: int | None = None  # the first sequence number that has not been used, unwrapped
        self._newest = 0
        self._blocked_since: float | None = None

    def add(self, packet: Packet, now: float) -> list[Picture]:
        """Take a packet at `now` (monotonic); returns the pictures that are whole now, in order."""
        if self._head is None:
            self._head = self._newest = packet.sequence
        sequence = self._newest + (packet.sequence - self._newest + _HALF) % _SEQUENCE - _HALF
        if abs(sequence - self._newest) > _HELD_LIMIT:  # the sender has begun anew
            self._restart(sequence)
        if sequence < self._head:
            return []
        self._held[sequence] = packet
        self._newest = max(self._newest, sequence)
        pictures = self._whole()
        if len(self._held) > _HELD_LIMIT:
            self._skip()
            pictures += self._whole()
        self._watch(now)
        return pictures

    def missing(self) -> list[int]:
        """16-bit sequence numbers that are worth asking for again."""
        if self._head is None:
            return []
        return [n % _SEQUENCE for n in range(self._head, self._newest) if n not in self._held]

    def tend(self, now: float) -> list[Picture]:
        """To be called while there is something missing; gives gaps up in time."""
        if self._blocked_since is None or now - self._blocked_since < _GIVE_UP_S:
            return []
        self._skip()
        pictures = self._whole()
        self._blocked_since = None
        self._watch(now)
        return pictures

    def _watch(self, now: float) -> None:
        if not self.missing():
            self._blocked_since = None
        elif self._blocked_since is None:
            self._blocked_since = now

    def _restart(self, sequence: int) -> None:
        self._held.clear()
        self._head = self._newest = sequence
        self._blocked_since = None
        self.needs_key = True

    def _whole(self) -> list[Picture]:
        assert self._head is not None
        pictures: list[Picture] = []
        parts: list[Packet] = []
        at = self._head
        while (packet := self._held.get(at)) is not None:
            if parts and packet.timestamp != parts[0].timestamp:
                self._emit(parts, at, pictures)
                parts = []
            parts.append(packet)
            at += 1
            if packet.last:
                self._emit(parts, at, pictures)
                parts = []
        return pictures

    def _emit(self, parts: list[Packet], end: int, pictures: list[Picture]) -> None:
        data = b"".join(part.data for part in parts)
        self._drop_until(end)
        self._blocked_since = None  # the head has moved
        if not data:  # padding
            return
        key = is_key(parts[0].codec, data)
        if self.needs_key and not key:
            self.dropped += 1
            return
        self.needs_key = False
        pictures.append(Picture(parts[0].codec, parts[0].timestamp, data, key))

    def _skip(self) -> None:
        """Past the first gap, and past the rest of the picture that it tore."""
        assert self._head is not None
        at = self._head
        while at in self._held:
            at += 1
        begin = at
        while at not in self._held:
            at += 1
        self.lost += at - begin
        torn = self._held[at].timestamp
        while (packet := self._held.get(at)) is not None and packet.timestamp == torn:
            at += 1
            if packet.last:
                break
        self._drop_until(at)
        self.dropped += 1
        self.needs_key = True

    def _drop_until(self, end: int) -> None:
        assert self._head is not None
        for n in range(self._head, end):
            self._held.pop(n, None)
        self._head = end


class Once:
    """Tells packets that were seen already, within the last 64."""

    def __init__(self) -> None:
        self._seen: deque[int] = deque(maxlen=64)

    def is_new(self, sequence: int) -> bool:
        if sequence in self._seen:
            return False
        self._seen.append(sequence)
        return True
