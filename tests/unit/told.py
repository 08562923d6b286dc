"""A sink that remembers what a source has told it."""

from __future__ import annotations

import threading
from typing import Any

import av

from recorders.sources.base import EncodedFrame, Kind


class Told:
    """See `Sink`. `calls` in order, media apart: `pictures` and `sounds` with their times."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.pictures: list[tuple[str, av.VideoFrame, float]] = []
        self.sounds: list[tuple[str, av.AudioFrame, float]] = []
        self.threads: set[str] = set()

    def joined(self, uid: str, name: str = "") -> None:
        self.calls.append(("joined", uid, name or uid))

    def left(self, uid: str) -> None:
        self.calls.append(("left", uid))

    def muted(self, uid: str, kind: Kind, on: bool) -> None:
        self.calls.append(("muted", uid, kind, on))

    def encoded(self, uid: str, kind: Kind, frame: EncodedFrame) -> None:
        self.calls.append(("encoded", uid, kind))

    def video(self, uid: str, frame: av.VideoFrame, t: float) -> None:
        self.threads.add(threading.current_thread().name)
        self.pictures.append((uid, frame, t))

    def audio(self, uid: str, frame: av.AudioFrame, t: float) -> None:
        self.threads.add(threading.current_thread().name)
        self.sounds.append((uid, frame, t))

    def count(self, counter: str, n: int = 1) -> None:
        self.calls.append(("count", counter, n))
