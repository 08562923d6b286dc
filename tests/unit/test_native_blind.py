"""What a recording of sound alone takes of a channel."""

from __future__ import annotations

import av

from recorders.native.blind import Blind
from recorders.sources.base import EncodedFrame
from tests.unit.sinks import EncodedSink


class Told(EncodedSink):
    """Writes down what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def joined(self, uid: str, name: str = "") -> None:
        self.said.append(f"{uid} joined as {name}")

    def left(self, uid: str) -> None:
        self.said.append(f"{uid} left")

    def muted(self, uid: str, kind: str, on: bool) -> None:
        self.said.append(f"{kind} of {uid} {'off' if on else 'on'}")

    def encoded(self, uid: str, kind: str, frame: EncodedFrame) -> None:
        self.said.append(f"{kind} of {uid}")

    def video(self, uid: str, frame: av.VideoFrame, t: float) -> None:
        self.said.append(f"a picture of {uid}")


def test_it_is_sound_and_the_source_is_told_so_before_anything_else() -> None:
    told = Told()
    blind = Blind(told, lambda uid: told.said.append(f"{uid} is not seen"))
    blind.joined("7", "ada")
    for kind in ("video", "audio"):
        blind.muted("7", kind, True)
        blind.encoded("7", kind, EncodedFrame("h264" if kind == "video" else "opus", b"x", 0.0, True))
    blind.video("7", av.VideoFrame(64, 48, "yuv420p"), 0.0)
    blind.left("7")
    assert told.said == ["7 is not seen", "7 joined as ada", "audio of 7 off", "audio of 7", "7 left"]
