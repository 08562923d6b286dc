"""The kinds of runs: pictures passed through, pictures made by us, sound alone. Times are media seconds.

A run is written by one thread at a time, and closed where the next one begins. Keyframes of H.264 bring their parameter
sets with them, for players that keep to the first init section they have seen.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Protocol

import av

from recorders.encoder import EncodedPicture, VideoEncoder
from recorders.individual.h264 import TICKS, parameter_sets
from recorders.log.cmaf import CmafWriter
from recorders.log.tracks import VideoTrack, key_interval
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


class _Pictures:
    """Encoded pictures with times in `TICKS`: each is written when the next one has come, for only then it is known how
    long it stands."""

    def __init__(self, writer: CmafWriter) -> None:
        self._writer = writer
        self._held: tuple[bytes, int, bool] | None = None

    @property
    def next(self) -> int:
        """The earliest time of another one."""
        return self._held[1] + 1 if self._held is not None else 0

    def put(self, data: bytes, ticks: int, key: bool) -> None:
        ticks = max(ticks, self.next)
        self.flush(ticks)
        self._held = data, ticks, key

    def flush(self, until: int) -> None:
        """The last one stands until then."""
        if self._held is not None:
            data, ticks, key = self._held
            self._held = None
            self._writer.video(data, ticks, key, max(1, until - ticks))


class Passed:
    """H.264 as its publisher encoded it, each picture at its capture time; the first one stands from `begin` on."""

    def __init__(self, writer: CmafWriter, sets: bytes, begin: float) -> None:
        self.writer = writer
        self.sets = sets
        self._pictures = _Pictures(writer)
        self._begin: int | None = round(begin * TICKS)

    @property
    def reached(self) -> float:
        """See `Run`."""
        return self._pictures.next / TICKS

    def put(self, frame: EncodedFrame, at: float) -> None:
        """The next picture, of a capture time; the first one must be a keyframe."""
        data = frame.data
        if frame.key and not parameter_sets(data):
            data = self.sets + data
        ticks, self._begin = round(at * TICKS) if self._begin is None else self._begin, None
        self._pictures.put(data, ticks, frame.key)

    def close(self, end: float) -> None:
        """See `Run`."""
        self._pictures.flush(round(end * TICKS))
        self.writer.close()


class Made:
    """A composite of one, at the recording's own size and rate: what cannot be passed through is decoded and encoded
    again, who has no picture has a tile. Where nothing changes, next to nothing is done.

    `writer` takes `track_of(encoder)`. `zero` is the monotonic time of media time 0.
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
        self._key_every = key_interval(part_seconds, rate)
        self._zero = zero
        self._begin = round(begin * TICKS)
        self._next = math.floor(begin * rate)
        self._key = self._written = -math.inf
        self._alive = False
        self._pictures = _Pictures(writer)
        self._sets = encoder.track.extradata if encoder.track.codec == "h264" else b""

    @staticmethod
    def track_of(encoder: VideoEncoder) -> VideoTrack:
        """What is written: its pictures with their times in `TICKS`."""
        return replace(encoder.track, frame_rate=TICKS)

    @property
    def reached(self) -> float:
        """See `Run`."""
        return max(0.0, (self._written * TICKS / self._rate + 1) / TICKS)

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
        self._put(self._encoder.flush())
        self._pictures.flush(round(end * TICKS))
        self.writer.close()

    def _encode(self, frame: av.VideoFrame, n: int) -> None:
        key = n - self._key >= self._key_every
        self._key = n if key else self._key
        self._written = n
        self._put(self._encoder.encode(frame, n, key))

    def _put(self, packets: list[EncodedPicture]) -> None:
        for data, n, key in packets:
            ticks = max(round(n * TICKS / self._rate), self._begin)
            self._pictures.put(self._sets + data if key else data, ticks, key)
