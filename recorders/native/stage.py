"""The stage: who is in the channel, with their media queued until it is due. This is the sources' `Sink`.

The sink's methods may be called from any thread; `advance`, `roster` and the feeds belong to the render thread.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import av

from recorders.native.feed import AudioFeed, DecodedPicture, DecodedSound, VideoFeed
from recorders.native.layout import Cell, Seat
from recorders.screens import asked_for
from recorders.sources.base import EncodedFrame, Kind

# No source delivers further ahead of time than this, unless its clock mapping has gone wrong.
_FUTURE_S = 5.0

_Change = Literal["joined", "left", "renamed", "camera_off", "camera_on"]


@dataclass(slots=True)
class Coming:
    """A picture to be seen at `t` (monotonic seconds of capture), and what is drawn of it, if that is another one."""

    t: float
    picture: av.VideoFrame
    drawn: av.VideoFrame | None


class Participant:
    """One stay of one participant; another one begins when it comes back."""

    def __init__(self, seat: Seat, place: tuple[int, int], video: VideoFeed, audio: AudioFeed) -> None:
        self.seat = seat
        self.place = place  # by first appearance of the name, then of this stay
        self.video = video
        self.audio = audio
        self.since = 0.0  # when it came (monotonic)
        self.camera_off = False
        self.leaving = False  # it has left, and is about to be back
        # Kept by the scene:
        self.coming: deque[Coming] = deque()  # decoded ahead, ...
        self.decoded = float("-inf")  # ... up to this time of capture
        self.picture: av.VideoFrame | None = None  # the newest one
        self.picture_at: float | None = None  # its output time (monotonic)
        self.tall: bool | None = None  # whether pictures are higher than wide
        self.shown = False  # its picture is seen; else a tile
        self.seated = False  # it has a place in the layout

    @property
    def uid(self) -> str:
        """Its id in the channel."""
        return self.seat.uid

    def is_one_with(self, other: Participant) -> bool:
        """Whether both are stays of one participant, by uid or by the name at its coming."""
        named_alike = self.place[0] == other.place[0] and bool(self.seat.sharers) == bool(other.seat.sharers)
        return self.uid == other.uid or named_alike

    def takes_over(self, before: Participant) -> None:
        """Its place is that of the stay before, and so is its picture until there is a new one."""
        self.place = before.place
        self.picture, self.picture_at = before.picture, before.picture_at
        self.seated, self.tall = before.seated, before.tall


class Stage:
    """Accepts `users` (by uid or by name, and their screens; empty: everyone) and delays their coming and going like
    their media. Who comes back within that delay has never been away."""

    def __init__(
        self,
        users: Sequence[str],
        keyframe: Callable[[str], None],
        want: Callable[[str, tuple[int, int] | None], None] = lambda uid, size: None,
    ) -> None:
        self.roster: list[Participant] = []  # who is there at the time last advanced to, first seen first
        self._users = frozenset(users)
        self._keyframe = keyframe
        self._want = want
        self._sizes: dict[str, tuple[int, int] | None] = {}
        self._lock = threading.Lock()
        self._open: dict[str, Participant] = {}
        self._muted: set[str] = set()
        self._changes: deque[tuple[float, _Change, Participant, str]] = deque()
        self._listening: list[Participant] = []
        self._places: dict[str, int] = {}
        self._stays = 0
        self._counters: dict[str, int] = {"participants": 0, "frames_dropped": 0}

    # The sink: any thread.

    def joined(self, uid: str, name: str = "") -> None:
        """See `Sink`; a second time for the same uid gives it another name."""
        name = name or uid
        if not asked_for(self._users, uid, name):
            return
        with self._lock:
            present = self._open.get(uid)
            if present is not None:
                self._note("renamed", present, name)
                return
            place = (self._places.setdefault(name, len(self._places)), self._stays)
            self._stays += 1
            participant = Participant(
                Seat(uid, name),
                place,
                VideoFeed(lambda: self._keyframe(uid), self._drop),
                AudioFeed(self._drop),
            )
            self._open[uid] = participant
            self._listening = [*self._listening, participant]
            self._muted.discard(uid)
            self._note("joined", participant)
        self.count("participants")

    def left(self, uid: str) -> None:
        """See `Sink`."""
        with self._lock:
            participant = self._open.pop(uid, None)
            if participant is not None:
                participant.video.end()
                self._note("left", participant)

    def muted(self, uid: str, kind: Kind, on: bool) -> None:
        """See `Sink`."""
        with self._lock:
            participant = self._open.get(uid)
            if participant is None:
                return
            if kind == "video":
                self._note("camera_off" if on else "camera_on", participant)
            elif on:
                self._muted.add(uid)
            else:
                self._muted.discard(uid)

    def encoded(self, uid: str, kind: Kind, frame: EncodedFrame) -> None:
        """See `Sink`."""
        participant = self._open.get(uid)
        if participant is None or self._absurd(frame.t):
            return
        if kind == "video":
            participant.video.push(frame)
        elif uid not in self._muted:
            participant.audio.push(frame)

    def video(self, uid: str, frame: av.VideoFrame, t: float) -> None:
        """See `Sink`."""
        participant = self._open.get(uid)
        if participant is not None and not self._absurd(t):
            participant.video.push(DecodedPicture(frame, t))

    def audio(self, uid: str, frame: av.AudioFrame, t: float) -> None:
        """See `Sink`."""
        participant = self._open.get(uid)
        if participant is not None and uid not in self._muted and not self._absurd(t):
            participant.audio.push(DecodedSound(frame, t))

    def count(self, counter: str, n: int = 1) -> None:
        """See `Sink`."""
        with self._lock:
            self._counters[counter] = self._counters.get(counter, 0) + n

    def counters(self) -> dict[str, int]:
        """A copy of all counters."""
        with self._lock:
            return dict(self._counters)

    # The render thread.

    def advance(self, t: float) -> bool:
        """Let all happen that happened until `t` (monotonic); tells whether anybody came, went or was renamed."""
        moved = False
        while self._changes and self._changes[0][0] <= t:
            at, change, participant, name = self._changes.popleft()
            if change == "joined":
                self._enter(participant, at)
            elif change == "left":
                with self._lock:
                    self._listening = [one for one in self._listening if one is not participant]
                participant.leaving = self._awaited(participant)
                if participant.leaving:
                    continue
                self.roster.remove(participant)
            elif change == "renamed":
                participant.seat = Seat(participant.uid, name)
            else:
                participant.camera_off = change == "camera_off"
                continue
            moved = True
        return moved

    def _enter(self, participant: Participant, at: float) -> None:
        participant.since = at
        left = [one for one in self.roster if one.leaving and one.is_one_with(participant)]
        if left:
            before = next((one for one in left if one.uid == participant.uid), left[0])
            participant.takes_over(before)
            # Who left under the same name and is not awaited by anybody else has gone for good.
            gone = [one for one in left if one is before or not self._awaited(one)]
            self.roster = [one for one in self.roster if one not in gone]
        self.roster.append(participant)
        self.roster.sort(key=lambda one: one.place)

    def _awaited(self, participant: Participant) -> bool:
        """Whether another stay of it is about to begin."""
        with self._lock:
            return any(change == "joined" and participant.is_one_with(who) for _, change, who, _ in self._changes)

    def arranged(self, cells: Sequence[Cell]) -> None:
        """Who is shown in which cells from now on; each one's largest is told to the source, or that it has none.

        Whoever has no place yet is waited for.
        """
        sizes: dict[str, tuple[int, int] | None] = {one.uid: None for one in self.roster if one.seated}
        for cell in sorted(cells, key=lambda cell: cell.width * cell.height):
            sizes[cell.uid] = (cell.width, cell.height)
        for uid, size in sizes.items():
            if uid not in self._sizes or self._sizes[uid] != size:
                self._want(uid, size)
        self._sizes = sizes

    def listening(self) -> Sequence[Participant]:
        """Everyone whose sound may still be due: those who are there, and those about to be."""
        return self._listening

    def _note(self, change: _Change, participant: Participant, name: str = "") -> None:
        self._changes.append((time.monotonic(), change, participant, name))

    def _absurd(self, t: float) -> bool:
        """Media of the far future would hold up everything behind it."""
        absurd = t > time.monotonic() + _FUTURE_S
        if absurd:
            self._drop(1)
        return absurd

    def _drop(self, n: int) -> None:
        if n:
            self.count("frames_dropped", n)
