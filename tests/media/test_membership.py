"""People come, go, mute, share a screen, change size and codec: each decoded picture of it all is looked at.

What is seen goes from one arrangement to the next in one step: a cell that blinks for a single picture fails. Time is
made here, one tick a picture, so that a busy machine changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import groupby
from types import SimpleNamespace
from typing import Any, cast

import av
import numpy as np
import pytest

from recorders.config import EncoderConfig
from recorders.encoder import VideoEncoder
from recorders.native.planes import Colour, colour_of, plain_planes, planes_of
from recorders.native.scene import Picture
from recorders.native.stage import Stage
from recorders.native.tile import named_tile
from recorders.sources.base import EncodedFrame
from recorders.spec import ChannelSpec, Layout, VideoSpec

WIDTH, HEIGHT, RATE = 320, 180, 30
DELAY, ABSENT_AFTER = 0.3, 3.0
NETWORK_S = 0.05  # from capture to the sink
COLOURS = {"R": colour_of("#d02020"), "G": colour_of("#20b040"), "B": colour_of("#2040e0"), ".": colour_of("#c8b478")}
# A point in each quarter: inside of a picture alone, of one of two side by side (the upper points), of one of four.
POINTS = [(80, 60), (240, 60), (80, 150), (240, 150)]
AT_ONCE = pytest.mark.parametrize("at_once", [1, 6])
PAPER = tuple(int(plane[4, 4]) for plane in named_tile("", 64, 64))


class Publisher:
    """A session: a picture of its colour each tick, decoded or encoded, from when its connection stands."""

    def __init__(self, colour: str, size: tuple[int, int] = (320, 180), codec: str = "") -> None:
        self.colour, self.size, self.codec, self.on = COLOURS[colour], size, codec, True
        self._encode: Callable[[av.VideoFrame, float], Iterator[EncodedFrame]] | None = None
        self._encoded: Any = None

    def send(self, stage: Stage, uid: str, t: float) -> None:
        if not self.on:
            return
        picture = _picture(self.colour, self.size)
        if not self.codec:
            stage.video(uid, picture, t)
            return
        if self._encode is None or self._encoded != (self.size, self.codec):
            self._encoded = (self.size, self.codec)
            self._encode = _encoder(self.codec, self.size)
        for frame in self._encode(picture, t):
            stage.encoded(uid, "video", frame)


def _picture(colour: Colour, size: tuple[int, int]) -> av.VideoFrame:
    frame = av.VideoFrame(*size, "yuv420p")
    frame.colorspace, frame.color_range = 1, 1
    for plane, value in zip(planes_of(frame), colour, strict=True):
        plane[:] = value
    return frame


def _encoder(codec: str, size: tuple[int, int]) -> Callable[[av.VideoFrame, float], Iterator[EncodedFrame]]:
    context = cast(Any, av.CodecContext.create({"h264": "libx264", "vp8": "libvpx"}[codec], "w"))
    context.width, context.height, context.pix_fmt = *size, "yuv420p"
    context.framerate, context.bit_rate, context.color_range, context.colorspace = RATE, 500_000, 1, 1
    context.thread_count = 1
    context.options = (
        {"preset": "ultrafast", "tune": "zerolatency"}
        if codec == "h264"
        else {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"}
    )

    def encode(picture: av.VideoFrame, t: float) -> Iterator[EncodedFrame]:
        for packet in context.encode(picture):
            yield EncodedFrame(codec, bytes(packet), t, packet.is_keyframe)

    return encode


class Play:
    """A recording in which time passes in `go_on`; `frames` are its pictures as a player decodes them, so many of them
    made at once."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, at_once: int, layout: Layout = "flat") -> None:
        self.now = 100.0
        self._at_once = at_once
        self._moments: list[float] = []
        monkeypatch.setattr("recorders.native.stage.time", SimpleNamespace(monotonic=lambda: self.now))
        self.stage = Stage((), lambda uid: None)
        self.live: dict[str, Publisher] = {}
        self.frames: list[av.VideoFrame] = []
        subject = ChannelSpec("app", "room", 1, "secret-token", layout=layout)
        video = VideoSpec(WIDTH, HEIGHT, RATE, 2000)
        background = plain_planes(COLOURS["."], WIDTH, HEIGHT)
        self._picture = Picture(
            self.stage, subject, video, delay=DELAY, absent_after=ABSENT_AFTER, background=background
        )
        self._encoder = VideoEncoder(video, EncoderConfig(), 2.0)
        self._decoder = cast(Any, av.CodecContext.create("h264", "r"))
        self._decoder.extradata = self._encoder.track.extradata
        self._decoder.thread_count = 1
        self._n = 0

    def go_on(self, seconds: float) -> None:
        for _ in range(round(seconds * RATE)):
            self.now += 1 / RATE
            for uid, publisher in self.live.items():
                publisher.send(self.stage, uid, self.now - NETWORK_S)
            self._moments.append(self.now)
            if len(self._moments) == self._at_once:
                self._make()

    def _make(self) -> None:
        self._picture.ahead(self._moments)
        for moment in self._moments:
            for data, _, _ in self._encoder.encode(self._picture.at(moment), self._n):
                self.frames += self._decoder.decode(av.Packet(data))
            self._n += 1
        self._moments = []

    def come(self, uid: str, *what: Any, **more: Any) -> None:
        self.stage.joined(uid)
        self.go_on(0.1)  # as long as a connection takes
        self.live[uid] = Publisher(*what, **more)

    def go(self, uid: str) -> None:
        del self.live[uid]
        self.stage.left(uid)

    def camera(self, uid: str, *, on: bool) -> None:
        self.live[uid].on = on
        self.stage.muted(uid, "video", not on)

    def seen(self) -> list[str]:
        """Of each picture, one sign for each point: a colour, T for a tile, ? for anything else."""
        if self._moments:
            self._make()
        self.frames += self._decoder.decode(None)
        assert len(self.frames) == self._n
        return [_signs(frame) for frame in self.frames]


def _signs(frame: av.VideoFrame) -> str:
    y, u, v = planes_of(frame)
    signs = ""
    for across, down in POINTS:
        box = slice(down - 3, down + 3), slice(across - 3, across + 3)
        half = slice(down // 2 - 1, down // 2 + 2), slice(across // 2 - 1, across // 2 + 2)
        mean = y[box].mean(), u[half].mean(), v[half].mean()
        off = {
            sign: sum(abs(a - b) for a, b in zip(colour, mean, strict=True))
            for sign, colour in {**COLOURS, "T": PAPER}.items()
        }
        nearest = min(off, key=lambda sign: off[sign])
        signs += nearest if off[nearest] < 30 else "?"
    return signs


def _steps(signs: list[str]) -> list[tuple[str, int]]:
    return [(seen, len(list(run))) for seen, run in groupby(signs)]


@AT_ONCE
def test_nothing_flickers_whoever_comes_and_goes(monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    play = Play(monkeypatch, at_once)
    play.go_on(0.3)
    play.come("ann", "R")
    play.go_on(0.5)
    play.come("ben", "G", codec="h264")
    play.go_on(0.5)
    play.live["ben"].size = (160, 90)
    play.go_on(0.3)
    play.live["ben"].codec = "vp8"
    play.go_on(0.5)
    play.go("ann")  # a new session takes the place of the old one, a moment later, and its pictures take a while
    play.go_on(0.1)
    play.stage.joined("ann")
    play.go_on(0.4)
    play.live["ann"] = Publisher("R", (640, 360))
    play.go_on(0.5)
    play.camera("ann", on=False)
    play.go_on(0.5)
    play.camera("ann", on=True)
    play.go_on(0.5)
    play.live["ben"].on = False  # ben's network is away for two seconds
    play.go_on(2.0)
    play.live["ben"].on = True
    play.go_on(0.5)
    play.come("ann-screen", "B", codec="h264")
    play.go_on(0.5)
    play.live["ann-screen"].on = False  # it stands still, for longer than a camera may
    play.go_on(ABSENT_AFTER + 0.5)
    play.go("ann-screen")
    play.go_on(0.4)
    play.live["ben"].size = (90, 160)
    play.go_on(0.4)
    play.go("ben")
    play.go_on(0.5)
    play.go("ann")
    play.go_on(0.5)
    signs = play.seen()
    steps = _steps(signs)
    assert [seen for seen, _ in steps] == [
        "....",  # nobody
        "RRRR",  # ann
        "RG..",  # and ben, who changes size and codec; ann's session is replaced
        "TGT.",  # her camera is off
        "RG..",
        "RGB.",  # her screen, which then stands still
        "RG..",
        "RG.G",  # ben turns his telephone
        "RRRR",
        "....",
    ], steps
    assert all(length >= 6 for _, length in steps), steps
    assert dict(steps)["RGB."] >= (0.4 + ABSENT_AFTER + 0.5) * RATE, "a screen may stand still"

    tile = play.frames[signs.index("TGT.")]
    shown = planes_of(tile)[0][70:110, 10:150].astype(float)
    likeness = {
        name: float(np.corrcoef(shown.reshape(-1), named_tile(name, 156, 176)[0][68:108, 8:148].reshape(-1))[0, 1])
        for name in ("ann", "ben", "anna", "amm", "ann-screen")
    }
    assert max(likeness, key=lambda name: likeness[name]) == "ann", likeness
    assert likeness["ann"] > 0.95, "the name is as sharp as it was drawn"


@AT_ONCE
def test_a_camera_that_stands_still_becomes_a_tile_once(monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    play = Play(monkeypatch, at_once)
    play.come("ann", "R")
    play.go_on(0.5)
    play.live["ann"].on = False
    play.go_on(ABSENT_AFTER + 0.5)
    play.live["ann"].on = True
    play.go_on(0.5)
    steps = _steps(play.seen())
    assert [seen for seen, _ in steps] == ["....", "RRRR", "TTTT", "RRRR"], steps


@AT_ONCE
def test_in_spotlight_a_screen_takes_over_and_gives_back(monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    """The points on the left are in the large cell, the upper one on the right is in the strip beside it."""
    play = Play(monkeypatch, at_once, "spotlight")
    play.come("ann", "R")
    play.come("ben", "G")
    play.go_on(0.5)
    play.come("ben-screen", "B")
    play.go_on(0.5)
    play.go("ben-screen")
    play.go_on(0.5)
    steps = _steps(["".join(signs[i] for i in (0, 2)) for signs in play.seen()])
    assert [seen for seen, _ in steps] == ["..", "RR", "BB", "RR"], steps
