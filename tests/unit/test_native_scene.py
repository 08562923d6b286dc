"""The scene: what of the stage is seen and heard at a moment, playout delay included."""

from __future__ import annotations

import time
from types import SimpleNamespace

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorders.native import stage
from recorders.native.planes import planes_of
from recorders.native.scene import Picture, Sound
from recorders.native.speaker import Speakers
from recorders.native.stage import Stage
from recorders.spec import AudioSpec, ChannelSpec, Layout, VideoSpec

DELAY = 0.3
GREY = 200


NOW = time.monotonic()


@pytest.fixture(autouse=True)
def _one_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that is told to the stage is told in one moment, however long the machine takes."""
    monkeypatch.setattr(stage, "time", SimpleNamespace(monotonic=lambda: NOW))


class Scene:
    """A stage of two and its picture; moments are seconds after `zero`."""

    def __init__(self, *users: str, layout: Layout = "flat") -> None:
        self.zero = NOW - 10  # in the past: nothing is held back as not captured yet
        self.stage = Stage(users, lambda uid: None)
        subject = ChannelSpec("app", "demo", 1, "secret-token", users, layout)
        self.speakers = Speakers()
        self.picture = Picture(
            self.stage, subject, VideoSpec(320, 180, 30), delay=DELAY, absent_after=1.0, speakers=self.speakers
        )

    def luma(self, seconds: float, x: int, y: int = 90) -> int:
        return int(planes_of(self.picture.at(self.zero + seconds))[0][y, x])

    def send(self, uid: str, seconds: float, luma: int = GREY, size: tuple[int, int] = (320, 180)) -> None:
        frame = av.VideoFrame(*size, "yuv420p")
        frame.colorspace, frame.color_range = 1, 1
        for plane, value in zip(planes_of(frame), (luma, 128, 128), strict=True):
            plane[:] = value
        self.stage.video(uid, frame, self.zero + seconds)


def test_pictures_and_people_appear_after_the_playout_delay() -> None:
    scene = Scene()
    scene.stage.joined("a")  # now: 10 s after zero
    scene.send("a", 10.0)
    assert scene.luma(10.1, 5) == 16
    assert scene.luma(10.4, 5) == GREY
    scene.stage.left("a")
    assert scene.luma(10.45, 5) == 16


def test_the_newest_picture_within_half_a_frame() -> None:
    scene = Scene()
    scene.stage.joined("a")
    scene.luma(11.0, 5)
    for i, luma in enumerate((50, 100, 150)):
        scene.send("a", 11.0 + i / 30, luma)
    assert scene.luma(11.0 + DELAY + 0.7 / 30, 5) == 100
    assert scene.luma(11.0 + DELAY + 1.4 / 30, 5) == 100
    assert scene.luma(11.0 + DELAY + 1.7 / 30, 5) == 150


def test_a_camera_that_is_off_or_stands_still_becomes_a_tile() -> None:
    scene = Scene()
    scene.stage.joined("a")
    scene.luma(11.0, 5)
    tile = scene.luma(11.1, 5)
    scene.send("a", 11.0)
    assert scene.luma(11.4, 5) == GREY != tile
    assert scene.luma(12.3, 5) == GREY
    assert scene.luma(12.5, 5) == tile, "no picture for more than a second"
    scene.send("a", 12.3)
    assert scene.luma(12.7, 5) == GREY
    scene.stage.muted("a", "video", True)
    assert scene.luma(12.8, 5) == tile
    scene.stage.muted("a", "video", False)
    scene.luma(12.9, 5)
    scene.send("a", 12.7)
    assert scene.luma(13.1, 5) == GREY


def test_a_picture_that_cannot_be_converted_is_a_tile_and_is_counted() -> None:
    scene = Scene("a", "b")
    for uid in ("a", "b"):
        scene.stage.joined(uid)
    scene.luma(11.0, 5)
    tile = scene.luma(11.1, 5)
    scene.stage.video("a", av.VideoFrame(320, 180, "gray32le"), scene.zero + 11.0)
    scene.send("b", 11.0)
    assert scene.luma(11.4, 5) == tile
    assert scene.luma(11.5, 315) == GREY
    assert scene.stage.counters()["frames_undrawn"] == 1
    scene.send("a", 11.2, 80)
    assert scene.luma(11.6, 5) == 80


def test_cells_move_when_somebody_comes() -> None:
    scene = Scene("b", "a")
    scene.stage.joined("a")
    scene.luma(11.0, 5)
    scene.send("a", 11.0, 150)
    assert scene.luma(11.4, 5) == 150
    scene.stage.joined("b")
    scene.send("b", 11.2, 80)
    assert scene.luma(11.6, 5) == 80  # first as requested, so on the left
    assert scene.luma(11.6, 315) == 150


def test_sound_is_as_late_as_the_picture() -> None:
    scene = Scene()
    sound = Sound(scene.stage, AudioSpec(), zero=scene.zero, start=0, delay=DELAY)
    scene.stage.joined("a")
    frame = av.AudioFrame.from_ndarray(np.full((1, 480), 8192, np.int16), "s16", "mono")
    frame.sample_rate = 48000
    scene.stage.audio("a", frame, scene.zero + 1.0)
    heard = np.flatnonzero(sound.until(96000)[:, 0])
    assert heard[0] == round(1.3 * 48000)
    assert len(heard) == 480
    late = av.AudioFrame.from_ndarray(np.full((1, 480), 8192, np.int16), "s16", "mono")
    late.sample_rate = 48000
    scene.stage.audio("a", late, scene.zero + 1.2)
    assert not sound.until(100000).any()
    assert scene.stage.counters()["audio_late"] == 1


def test_media_of_the_far_future_is_dropped() -> None:
    scene = Scene()
    scene.stage.joined("a")
    scene.luma(11.0, 5)
    scene.send("a", 3600.0)
    scene.send("a", 11.0)
    assert scene.luma(11.4, 5) == GREY
    assert scene.stage.counters()["frames_dropped"] == 1


def test_who_comes_has_a_place_from_its_first_picture_on_or_after_a_while() -> None:
    scene = Scene()
    scene.stage.joined("a")  # at 10 s
    scene.send("a", 10.05, 150)
    scene.stage.joined("b")
    assert scene.luma(10.4, 5) == 150
    assert scene.luma(10.4, 315) == 150, "alone"
    assert scene.luma(10.75, 315) == 150
    tile = scene.luma(10.9, 315)
    assert tile not in (16, 150)
    assert scene.luma(10.9, 5) == 150
    scene.send("b", 10.8, 80)
    assert scene.luma(11.15, 315) == 80


def test_a_camera_that_is_off_from_the_start_is_a_tile_at_once() -> None:
    scene = Scene()
    scene.stage.joined("a")
    scene.stage.muted("a", "video", True)
    assert scene.luma(10.32, 5) > 16
    scene.stage.muted("a", "video", False)
    assert scene.luma(10.4, 5) > 16, "once it has its place it keeps it"


def test_a_session_that_takes_the_place_of_another_is_not_seen() -> None:
    scene = Scene()
    scene.stage.joined("a")
    scene.luma(11.0, 5)
    scene.send("a", 11.0)
    assert scene.luma(11.4, 5) == GREY
    scene.stage.left("a")
    scene.stage.joined("a")
    for i in range(10):
        assert scene.luma(11.5 + i / 30, 5) == GREY
    scene.send("a", 11.7, 80)
    assert scene.luma(12.1, 5) == 80


def test_a_picture_from_before_the_camera_went_off_does_not_come_back() -> None:
    scene = Scene()
    scene.stage.joined("a")
    scene.luma(11.0, 5)
    tile = scene.luma(11.1, 5)
    scene.send("a", 11.0)
    assert scene.luma(11.4, 5) == GREY
    scene.stage.muted("a", "video", True)
    scene.stage.muted("a", "video", False)
    scene.stage.muted("a", "video", True)
    assert scene.luma(11.5, 5) == tile
    scene.stage.muted("a", "video", False)
    assert scene.luma(11.55, 5) == tile
    scene.send("a", 11.3, 80)
    assert scene.luma(11.65, 5) == 80


def test_a_screen_may_stand_still_and_is_no_tile_when_it_is_off() -> None:
    scene = Scene(layout="spotlight")
    for uid in ("a", "a-screen"):
        scene.stage.joined(uid)
    scene.send("a", 10.0, 150)
    assert scene.luma(11.0, 5) == 150, "a screen that has not begun has no place"
    scene.send("a-screen", 11.0, 80)
    assert scene.luma(11.4, 5) == 80
    assert scene.picture.alive
    assert scene.luma(13.0, 5) == 80
    assert not scene.picture.alive, "a still is nobody"
    scene.stage.muted("a-screen", "video", True)
    assert scene.luma(13.1, 5) not in (80, 16)
    scene.stage.muted("a-screen", "video", False)
    scene.send("a-screen", 12.9, 100)
    assert scene.luma(13.3, 5) == 100


def test_who_speaks_is_large() -> None:
    scene = Scene("a", "b", layout="spotlight")
    sound = Sound(scene.stage, AudioSpec(), zero=scene.zero, start=0, delay=DELAY, speakers=scene.speakers)
    scene.stage.joined("a")
    scene.stage.joined("b")
    for i in range(100):
        frame = av.AudioFrame.from_ndarray(np.full((1, 960), 3000, np.int16), "s16", "mono")
        frame.sample_rate = 48000
        scene.stage.audio("b", frame, scene.zero + 10.5 + i * 0.02)
    seen = []
    for i in range(75):
        t = 10.4 + i / 30
        scene.send("a", t - DELAY - 0.01, 150)
        scene.send("b", t - DELAY - 0.01, 80)
        sound.until(round(t * 48000))
        seen.append(scene.luma(t, 5))
    change = seen.index(80)
    assert seen == [150] * change + [80] * (75 - change)
    assert 0.8 <= 10.4 + change / 30 - (10.5 + DELAY) <= 1.1


def test_phones_are_stacked_as_phones() -> None:
    scene = Scene()
    scene.stage.joined("a")
    scene.stage.joined("b")
    scene.stage.joined("c")
    for uid, luma in (("a", 60), ("b", 120), ("c", 180)):
        scene.send(uid, 10.0, luma, size=(180, 320))
    assert [scene.luma(10.4, x) for x in (53, 160, 266)] == [60, 120, 180], "three in a row, not two and one"
    for uid, luma in (("a", 60), ("b", 120), ("c", 180)):
        scene.send(uid, 10.2, luma)
    assert [scene.luma(10.6, x, 45) for x in (80, 240)] == [60, 120]
    assert scene.luma(10.6, 80, 135) == 180


SENT = st.lists(st.tuples(st.sampled_from("ab"), st.floats(11, 11.8), st.sampled_from([90, 180, 360])), max_size=30)


def _made_ahead(sent: list[tuple[str, float, int]], skipped: set[int], at_once: int) -> list[tuple[int, ...]]:
    """Which of the pictures of each of two is seen at each of 27 ticks; sizes of some make them be shrunk."""
    scene = Scene()
    for uid in "ab":
        scene.stage.joined(uid)
    scene.luma(11.0, 5)
    for uid in "ab":
        scene.send(uid, 11.0 - 2 / 30, 20 if uid == "a" else 140)
    assert (scene.luma(11 + DELAY - 1 / 30, 80), scene.luma(11 + DELAY - 1 / 30, 240)) == (20, 140)
    for i, (uid, t, height) in enumerate(sorted(sent, key=lambda item: item[1])):
        scene.send(uid, t, (23 if uid == "a" else 143) + 3 * i, (16 * height // 9, height))
    seen: list[tuple[int, ...]] = []
    decoded = -1
    for n in sorted(set(range(27)) - skipped):
        if n > decoded and at_once > 1:
            decoded = n + -n % at_once
            scene.picture.ahead([scene.zero + 11 + DELAY + m / 30 for m in range(n, decoded + 1)])
        luma = planes_of(scene.picture.at(scene.zero + 11 + DELAY + n / 30))[0]
        seen.append((int(luma[90, 80]), int(luma[90, 240])))
    return seen


@given(sent=SENT, at_once=st.integers(2, 7))
def test_what_is_decoded_ahead_is_shown_when_it_is_due(sent: list[tuple[str, float, int]], at_once: int) -> None:
    assert _made_ahead(sent, set(), at_once) == _made_ahead(sent, set(), 1)


@given(sent=SENT, skipped=st.sets(st.integers(0, 25)), at_once=st.integers(2, 7))
def test_ticks_there_was_no_time_for_bring_no_older_picture_back(
    sent: list[tuple[str, float, int]], skipped: set[int], at_once: int
) -> None:
    seen = _made_ahead(sent, skipped, at_once)
    assert all(list(pictures) == sorted(pictures) for pictures in zip(*seen, strict=True))
    assert seen[-1] == _made_ahead(sent, set(), 1)[-1]


def test_a_picture_that_stands_still_is_sharp_in_its_new_cell() -> None:
    scene = Scene("a", "b")
    for uid in "ab":
        scene.stage.joined(uid)
    scene.luma(11.0, 5)
    for i in range(6):
        scene.send("b", 11.0 + i / 30, 80)
        striped = av.VideoFrame(320, 180, "yuv420p")
        striped.colorspace, striped.color_range = 1, 1
        luma, u, v = planes_of(striped)
        luma[:, ::2], luma[:, 1::2], u[:], v[:] = 60, 180, 128, 128
        scene.stage.video("a", striped, scene.zero + 11.0 + i / 30)
    moments = [11 + DELAY + i / 30 for i in range(6)]
    scene.picture.ahead([scene.zero + moment for moment in moments])
    assert [scene.luma(moment, 80) for moment in moments] == [120] * 6, "halved"
    scene.stage.left("b")
    assert [scene.luma(11.6, x) for x in (80, 81)] == [60, 180]
