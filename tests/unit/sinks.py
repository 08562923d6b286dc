"""A sink for encoded media alone."""

from __future__ import annotations

import av

from recorders.sources.base import EncodedFrame, Kind


class EncodedSink:
    """Counts, and leaves what is encoded to those who inherit."""

    def __init__(self) -> None:
        self.counters: dict[str, int] = {}

    def encoded(self, uid: str, kind: Kind, frame: EncodedFrame) -> None:
        raise NotImplementedError

    def count(self, counter: str, n: int = 1) -> None:
        self.counters[counter] = self.counters.get(counter, 0) + n

    def joined(self, uid: str, name: str = "") -> None: ...
    def left(self, uid: str) -> None: ...
    def muted(self, uid: str, kind: Kind, on: bool) -> None: ...
    def video(self, uid: str, frame: av.VideoFrame, t: float) -> None: ...
    def audio(self, uid: str, frame: av.AudioFrame, t: float) -> None: ...
