"""The kinds of runs: pictures passed through, pictures made by us, sound alone. Times are media seconds.

A run is written by one thread at a time, and closed where the next one begins.
"""

from __future__ import annotations

import math
from typing import Protocol

import av

from recorders.encoder import VideoEncoder
from recorders.individual.h264 import TICKS
from recorders.log.cmaf import CmafWriter
from recorders.native.scene import Picture
from recorders.native.stage import Participant
from recorders.sources.base import EncodedFrame

# A picture that stands still is encoded again this often, so that players find one wherever they begin.
_STILL_S = 1.0
# Pictures that are later than this are left out.
_LATE_S = 2


class Run(Protocol):
    """A stretch of a user's log; sound goes to its `writer` as it comes."""

    writer: CmafWriter

    @property
    def reached(self) -> float:
        """Before this, it cannot end."""
        ...

    def close(self, end: float) -> None:
        """Its last picture stands until `end`."""
        ...


class SoundOnly:
    """No pictures are wanted."""

    def __init__(self, writer: CmafWriter) -> None:
        self.writer = writer
        self.reached = 0.0

    def close(self, end: float) -> None:
        """See `Run`."""
        self.writer.close()


class Passed:
    """H.264 as its publisher encoded it, each picture at its capture time; the first one stands from `begin` on.

    A picture is written when the next one has come, for only then it is known how long it stands.
    """

    def __init__(self, writer: CmafWriter, sets: bytes, begin: float) -> None:
        self.writer = writer
        self.sets = sets
        self._held: tuple[EncodedFrame, int] | None = None
        self._begin = round(begin * TICKS)

    @property
    def reached(self) -> float:
        """See `Run`."""
        return (self._held[1] + 1 if self._held is not None else self._begin) / TICKS

    def put(self, frame: EncodedFrame, at: float) -> None:
        """The next picture, of a capture time; the first one must be a keyframe."""
        if self._held is None:
            self._held = frame, self._begin
            return
        ticks = max(round(at * TICKS), self._held[1] + 1)
        self._write(ticks)
        self._held = frame, ticks

    def close(self, end: float) -> None:
        """See `Run`."""
        if self._held is not None:
            self._write(max(round(end * TICKS), self._held[1] + 1))
            self._held = None
        self.writer.close()

    def _write(self, until: int) -> None:
        assert self._held is not None
        frame, ticks = self._held
        self.writer.video(frame.data, ticks, frame.key, until - ticks)


class Made:
    """A composite of one, at the recording's own size and rate: what cannot be passed through is decoded and encoded
    again, who has no picture has a tile. Where nothing changes, next to nothing is done.

    `zero` is the monotonic time of media time 0.
    """

    def __init__(
        self,
        writer: CmafWriter,
        encoder: VideoEncoder,
        picture: Picture,
        participant: Participant,
        *,
        rate: int,
        part_seconds: float,
        begin: float,
        zero: float,
    ) -> None:
        self.writer = writer
        self._encoder = encoder
        self._picture = picture
        self._participant = participant
        self._rate = rate
        self._key_every = max(1, round(part_seconds * rate))
        self._zero = zero
        self._next = math.ceil(begin * rate)
        self._key = self._written = -math.inf
        self._alive = False

    @property
    def reached(self) -> float:
        """See `Run`."""
        return max(0.0, (self._written + 1) / self._rate)

    @property
    def alive(self) -> bool:
        """Whether its camera is seen."""
        return self._alive

    def until(self, t: float) -> int:
        """All pictures up to then; how many were left out, because they come too late to be made."""
        last = math.floor(t * self._rate)
        late = max(0, last - _LATE_S * self._rate - self._next)
        self._next += late
        while self._next <= last:
            moment = self._zero + self._next / self._rate
            frame = self._picture.at(moment)
            changed = self._participant.picture_at == moment or self._picture.alive != self._alive
            self._alive = self._picture.alive
            if changed or self._next - self._written >= self._rate * _STILL_S:
                self._encode(frame, self._next)
            self._next += 1
        return late

    def close(self, end: float) -> None:
        """See `Run`."""
        last = math.ceil(end * self._rate) - 1
        if -math.inf < self._written < last:
            self._encode(self._picture.still, last)
        for data, n, key in self._encoder.flush():
            self.writer.video(data, n, key)
        self.writer.close()

    def _encode(self, frame: av.VideoFrame, n: int) -> None:
        key = n - self._key >= self._key_every
        self._key = n if key else self._key
        self._written = n
        for data, number, is_key in self._encoder.encode(frame, n, key):
            self.writer.video(data, number, is_key)
