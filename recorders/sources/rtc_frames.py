"""RTP packets into encoded pictures and sound in order: reordering, missing packets, keyframes.

Knows nothing of connections, and of time only what it is told: `now` is monotonic seconds.
"""

from __future__ import annotations

from dataclasses import dataclass

_SEQUENCE = 1 << 16
_HALF = _SEQUENCE >> 1
# A gap that retransmission has not closed by then may need a keyframe, and is given up later.
_PLEAD_S = 0.25
_GIVE_UP_S = 0.5
# Sound is not sent again: what is only out of order has come by then.
_SOUND_GIVE_UP_S = 0.12
# Packets held while a gap is open: seconds of any sensible bitrate.
_HELD_LIMIT = 2048


@dataclass(frozen=True, slots=True)
class Packet:
    """One RTP packet's part of a picture, or of sound; `data` is without the payload format's own headers.

    `t` is the capture time of what it carries.
    """

    sequence: int
    timestamp: int
    last: bool
    codec: str
    data: bytes
    t: float = 0.0


@dataclass(frozen=True, slots=True)
class Picture:
    """An encoded picture as its decoder takes it."""

    codec: str
    timestamp: int
    data: bytes
    key: bool
    t: float = 0.0


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
        self.repeated = 0  # packets that came twice, or after they were given up
        self.gaps = 0  # times that a packet came before one that it follows
        self._held: dict[int, Packet] = {}
        self._came: dict[int, float] = {}  # when those that are held did
        self._head: int | None = None  # the first sequence number that has not been used, unwrapped
        self._newest = 0
        self._blocked_since: float | None = None
        self._torn: int | None = None  # the timestamp of a picture that was given up, whose rest is to come

    def add(self, packet: Packet, now: float) -> list[Picture]:
        """Take a packet at `now` (monotonic); returns the pictures that are whole now, in order."""
        if self._head is None:
            self._head = self._newest = packet.sequence
        sequence = self._newest + (packet.sequence - self._newest + _HALF) % _SEQUENCE - _HALF
        if abs(sequence - self._newest) > _HELD_LIMIT:  # the sender has begun anew
            self._restart(sequence)
        if sequence < self._head or sequence in self._held:
            self.repeated += 1
            return []
        self._held[sequence], self._came[sequence] = packet, now
        self.gaps += sequence > self._newest + 1
        self._newest = max(self._newest, sequence)
        pictures = self._whole()
        if len(self._held) > _HELD_LIMIT:
            self._skip()
            pictures += self._whole()
        self._watch()
        return pictures

    def missing(self) -> list[int]:
        """16-bit sequence numbers that are worth asking for again."""
        if self._head is None:
            return []
        return [n % _SEQUENCE for n in range(self._head, self._newest) if n not in self._held]

    def pleads(self, now: float) -> bool:
        """Whether a keyframe would help: there is none to begin with, or what is missing may not come any more."""
        return self.needs_key or (self._blocked_since is not None and now - self._blocked_since >= _PLEAD_S)

    def tend(self, now: float) -> list[Picture]:
        """To be called while there is something missing; gives gaps up in time, sooner where a keyframe makes up."""
        pictures: list[Picture] = []
        while (blocked := self._blocked_since) is not None and now - blocked >= _PLEAD_S:
            if (key := self._key_behind()) is not None:
                self._skip_to(key)
            elif now - blocked >= _GIVE_UP_S:
                self._skip()
            else:
                break
            pictures += self._whole()
            self._watch()
        return pictures

    def _watch(self) -> None:
        """The first gap is as old as the first packet behind it."""
        if not self._held:
            self._blocked_since = None
            return
        assert self._head is not None
        at = self._head
        while at in self._held:
            at += 1
        while at not in self._held and at < self._newest:
            at += 1
        self._blocked_since = self._came.get(at)

    def _restart(self, sequence: int) -> None:
        self._held.clear()
        self._came.clear()
        self._head = self._newest = sequence
        self._blocked_since = self._torn = None
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
        torn, self._torn = self._torn, None
        if not data or parts[0].timestamp == torn:  # padding, or a rest
            return
        key = is_key(parts[0].codec, data)
        if self.needs_key and not key:
            self.dropped += 1
            return
        self.needs_key = False
        pictures.append(Picture(parts[0].codec, parts[0].timestamp, data, key, min(part.t for part in parts)))

    def _skip(self) -> None:
        """Past the first gap, and past the rest of the picture that it tore; past all that is held if there is none."""
        assert self._head is not None
        at = self._head
        while at in self._held:
            at += 1
        begin = at
        while at not in self._held and at <= self._newest:
            at += 1
        self.lost += at - begin
        self._torn = self._held[at if at in self._held else self._newest].timestamp
        while (packet := self._held.get(at)) is not None and packet.timestamp == self._torn:
            at += 1
            if packet.last:
                self._torn = None
                break
        self._drop_until(at)
        self.dropped += 1
        self.needs_key = True

    def _key_behind(self) -> int | None:
        """Where a whole keyframe begins that lies behind the first gap."""
        assert self._head is not None
        begin: int | None = None
        for n in range(self._head + 1, self._newest + 1):
            packet, before = self._held.get(n), self._held.get(n - 1)
            if packet is None or before is None:
                begin = None
            elif before.last or before.timestamp != packet.timestamp:
                begin = n
            if packet is not None and packet.last and begin is not None:
                data = b"".join(self._held[at].data for at in range(begin, n + 1))
                if is_key(packet.codec, data):
                    return begin
        return None

    def _skip_to(self, key: int) -> None:
        assert self._head is not None
        self.lost += sum(n not in self._held for n in range(self._head, key))
        self._drop_until(key)
        self.dropped += 1

    def _drop_until(self, end: int) -> None:
        assert self._head is not None
        for n in range(self._head, end):
            if self._held.pop(n, None) is not None:
                del self._came[n]
        self._head = end


class Sequencer:
    """Puts packets of sound in order, each once; what does not come in time is left out."""

    def __init__(self) -> None:
        self.lost = 0
        self.repeated = 0  # packets that came twice, or too late
        self._held: dict[int, tuple[Packet, float]] = {}  # and when it came
        self._head: int | None = None  # the sequence number that is next, unwrapped
        self._newest = 0

    @property
    def waits(self) -> bool:
        """Whether packets are held for one before them: `tend` is to be called."""
        return bool(self._held)

    def add(self, packet: Packet, now: float) -> list[Packet]:
        """Take a packet at `now`; returns those whose turn it is."""
        if self._head is None:
            self._head = self._newest = packet.sequence
        sequence = self._newest + (packet.sequence - self._newest + _HALF) % _SEQUENCE - _HALF
        if abs(sequence - self._newest) > _HELD_LIMIT:  # the sender has begun anew
            self._held.clear()
            self._head = self._newest = sequence
        if sequence < self._head or sequence in self._held:
            self.repeated += 1
            return []
        self._held[sequence] = packet, now
        self._newest = max(self._newest, sequence)
        return self._next()

    def tend(self, now: float) -> list[Packet]:
        """Gives up what is missing once what is held has waited for it long enough."""
        ready: list[Packet] = []
        while self._held:
            first = min(self._held)
            if now - self._held[first][1] < _SOUND_GIVE_UP_S:
                break
            assert self._head is not None
            self.lost += first - self._head
            self._head = first
            ready += self._next()
        return ready

    def _next(self) -> list[Packet]:
        assert self._head is not None
        ready = []
        while (held := self._held.pop(self._head, None)) is not None:
            ready.append(held[0])
            self._head += 1
        return ready
