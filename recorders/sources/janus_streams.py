"""What a publisher of a VideoRoom is to the recorder: pure data from Janus' descriptions.

A publisher may send several pictures. Each further one (a shared screen) is a participant of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from recorders.screens import asked_for
from recorders.sources.base import Kind

# What can be taken.
_CODECS: dict[str, Kind] = {"opus": "audio", "h264": "video", "vp8": "video"}
# The highest of Janus' substreams, and of its temporal layers.
TOP = 2
# A picture may be enlarged by this much before the next larger one is asked for.
_ENLARGED = 1.15


@dataclass(frozen=True, slots=True)
class Stream:
    """A media section of a publisher. `off`: its sender or a moderator has switched it off, `mid` stays its name."""

    mid: str
    codec: str
    off: bool = False
    simulcast: bool = False


@dataclass(frozen=True, slots=True)
class Presence:
    """A participant: at most one stream of each kind of one publisher, `feed`."""

    uid: str
    name: str
    feed: int | str
    streams: dict[Kind, Stream]

    def named(self, users: tuple[str, ...]) -> bool:
        """Whether it is to be recorded."""
        return asked_for(users, self.uid, self.name)


class Publisher:
    """One publisher through its changes; streams keep their place in its participants while they are on."""

    def __init__(self, feed: int | str) -> None:
        self.feed = feed
        self.name = str(feed)
        self.refused: set[str] = set()  # codecs that cannot be taken
        self._places: dict[Kind, list[str]] = {"audio": [], "video": []}  # mids; the first is of microphone or camera
        self._streams: dict[str, Stream] = {}
        self._moderated: set[str] = set()

    def described(self, publisher: dict[str, Any]) -> None:
        """Take a description, as in Janus' lists of `publishers`."""
        self.name = str(publisher.get("display") or self.feed)
        before, self._streams, self.refused = self._streams, {}, set()
        for stream in publisher.get("streams", []):
            mid, codec = stream.get("mid"), stream.get("codec", "")
            if "moderated" in stream:
                self.moderated(mid, bool(stream["moderated"]))
            if stream.get("disabled"):  # Janus does not say its codec
                if mid in before:
                    self._streams[mid] = replace(before[mid], off=True)
            elif codec in _CODECS:
                self._streams[mid] = Stream(mid, codec, simulcast=bool(stream.get("simulcast")))
                screen = "screen" in str(stream.get("description", "")).lower()
                self._place(mid, _CODECS[codec], beside=screen)
            elif stream.get("type") in ("audio", "video"):
                self.refused.add(codec)

    def moderated(self, mid: str, muted: bool) -> None:
        """A moderator has switched a stream off or on."""
        self._moderated.add(mid) if muted else self._moderated.discard(mid)

    def presences(self) -> list[Presence]:
        """Its participants; the first one is the publisher itself, whether it sends something or not."""
        found = [Presence(str(self.feed), self.name, self.feed, self._at(0))]
        for i in range(1, max(map(len, self._places.values()))):
            streams = self._at(i)
            if any(not stream.off for stream in streams.values()):
                screen = "screen" if i == 1 else f"screen {i}"
                uid = f"{self.feed}-{screen.replace(' ', '-')}"
                found.append(Presence(uid, f"{self.name} ({screen})", self.feed, streams))
        return found

    def _at(self, i: int) -> dict[Kind, Stream]:
        streams = {}
        for kind, mids in self._places.items():
            stream = self._streams.get(mids[i]) if i < len(mids) else None
            if stream is not None:
                streams[kind] = replace(stream, off=stream.off or stream.mid in self._moderated)
        return streams

    def _place(self, mid: str, kind: Kind, beside: bool) -> None:
        """Give a new stream the first place that is free: a camera that comes back on another mid has its own again.

        `beside`: not that of the camera.
        """
        places = self._places[kind]
        if mid in places:
            return
        if beside and not places:
            places.append("")
        for i, other in enumerate(places):
            if (i or not beside) and (other not in self._streams or self._streams[other].off):
                places[i] = mid
                return
        places.append(mid)


def substream(cell: tuple[int, int], largest: tuple[int, int]) -> int:
    """The smallest of the three simulcast pictures, each half as wide as the next, that looks right in a cell.

    `cell` and `largest`, the size of substream `TOP`, are (width, height) in pixels.
    """
    shown = min(cell[0], cell[1] * largest[0] / largest[1])  # the width of the picture inside the cell
    return next((n for n in range(TOP) if (largest[0] >> (TOP - n)) * _ENLARGED >= shown), TOP)
