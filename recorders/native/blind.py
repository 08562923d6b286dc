"""A sink for recordings of sound alone: pictures end here, before they are queued for nobody."""

from __future__ import annotations

from collections.abc import Callable

import av

from recorders.sources.base import EncodedFrame, Kind, Sink


class Blind:
    """`sink` without its pictures; `unseen` is told of each participant, whose pictures need not come at all."""

    def __init__(self, sink: Sink, unseen: Callable[[str], None]) -> None:
        self.left = sink.left
        self.audio = sink.audio
        self.count = sink.count
        self._sink = sink
        self._unseen = unseen

    def joined(self, uid: str, name: str = "") -> None:
        """See `Sink`."""
        self._unseen(uid)
        self._sink.joined(uid, name)

    def muted(self, uid: str, kind: Kind, on: bool) -> None:
        """See `Sink`."""
        if kind == "audio":
            self._sink.muted(uid, kind, on)

    def encoded(self, uid: str, kind: Kind, frame: EncodedFrame) -> None:
        """See `Sink`."""
        if kind == "audio":
            self._sink.encoded(uid, kind, frame)

    def video(self, uid: str, frame: av.VideoFrame, t: float) -> None:
        """See `Sink`."""
