"""The stage: membership in time, filters, mutes, and which picture is due."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorders.native.feed import DecodedPicture, VideoFeed
from recorders.native.layout import Cell
from recorders.native.stage import Stage
from recorders.sources.base import EncodedFrame

FOREVER = float("inf")


def names(stage: Stage) -> list[str]:
    return [participant.seat.name for participant in stage.roster]


@pytest.fixture
def stage() -> Stage:
    return Stage((), lambda uid: None)


def test_coming_and_going_take_their_time(stage: Stage) -> None:
    stage.joined("1", "ann")
    before = time.monotonic() - 1
    assert not stage.advance(before)
    assert stage.roster == []
    assert stage.advance(FOREVER)
    assert names(stage) == ["ann"]
    stage.left("1")
    assert not stage.advance(before)
    assert names(stage) == ["ann"]
    assert stage.advance(FOREVER)
    assert stage.roster == []
    assert not stage.listening()


def test_who_comes_back_takes_its_old_place(stage: Stage) -> None:
    for uid, name in (("1", "ann"), ("2", "bob"), ("3", "cat")):
        stage.joined(uid, name)
    stage.left("1")
    stage.advance(FOREVER)
    assert names(stage) == ["bob", "cat"]
    stage.joined("4", "ann")  # another uid, as some back ends give
    stage.advance(FOREVER)
    assert names(stage) == ["ann", "bob", "cat"]


@pytest.mark.parametrize(("uid", "name"), [("1", "ann"), ("4", "ann"), ("1", "anna")])
def test_who_is_back_at_once_has_never_been_away(stage: Stage, uid: str, name: str) -> None:
    """As when a publisher's new session takes the place of its old one."""
    stage.joined("1", "ann")
    stage.joined("2", "bob")
    stage.advance(FOREVER)
    before = stage.roster[0]
    before.picture, before.seated = av.VideoFrame(2, 2, "yuv420p"), True
    stage.left("1")
    between = time.monotonic()
    time.sleep(0.001)
    stage.joined(uid, name)
    stage.advance(between)
    assert stage.roster[0] is before, "still there, for it will be back"
    stage.advance(FOREVER)
    after = stage.roster[0]
    assert after is not before
    assert (after.picture, after.seated) == (before.picture, True)
    assert names(stage) == [name, "bob"]
    assert [one.uid for one in stage.listening()] == ["2", uid]
    stage.left(uid)
    stage.advance(FOREVER)
    assert names(stage) == ["bob"]


def test_another_of_the_same_name_takes_no_place_of_somebody_who_stays(stage: Stage) -> None:
    stage.joined("1", "guest")
    stage.joined("2", "guest")
    stage.advance(FOREVER)
    assert [one.uid for one in stage.roster] == ["1", "2"]
    stage.joined("3", "guest")
    stage.left("2")
    stage.advance(FOREVER)
    assert [one.uid for one in stage.roster] == ["1", "3"]


@pytest.mark.parametrize("back", [["4"], ["2"], ["4", "5"], ["1", "4"]])
def test_of_several_of_one_name_who_left_only_those_who_are_back_are_there(stage: Stage, back: list[str]) -> None:
    for uid in ("1", "2", "3"):
        stage.joined(uid, "guest")
    stage.joined("9", "ann")
    stage.advance(FOREVER)
    places = {one.uid: one.place for one in stage.roster}
    for uid in ("1", "2", "3"):
        stage.left(uid)
    for uid in back:
        stage.joined(uid, "guest")
    stage.advance(FOREVER)
    assert sorted(one.uid for one in stage.roster) == sorted([*back, "9"])
    assert not any(one.leaving for one in stage.roster)
    assert all(one.place == places.get(one.uid, one.place) for one in stage.roster), "their own place, if they had one"
    for uid in back:
        stage.left(uid)
    stage.advance(FOREVER)
    assert names(stage) == ["ann"]


def test_a_screen_that_ends_is_not_taken_for_its_sharer(stage: Stage) -> None:
    stage.joined("7/screen", "ann")
    stage.advance(FOREVER)
    stage.left("7/screen")
    between = time.monotonic()
    time.sleep(0.001)
    stage.joined("7", "ann")
    stage.advance(between)
    assert stage.roster == []
    stage.advance(FOREVER)
    assert [one.uid for one in stage.roster] == ["7"]


def test_who_shares_a_screen_brings_it_along() -> None:
    stage = Stage(("ann",), lambda uid: None)
    for uid in ("ann", "ann-screen", "ben-screen", "ben"):
        stage.joined(uid)
    stage.advance(FOREVER)
    assert names(stage) == ["ann", "ann-screen"]


def test_the_source_is_told_the_largest_cell_of_each_participant_when_it_changes() -> None:
    told: list[tuple[str, tuple[int, int] | None]] = []
    stage = Stage((), lambda uid: None, lambda uid, size: told.append((uid, size)))

    def seated() -> None:
        stage.advance(FOREVER)
        for one in stage.roster:
            one.seated = True

    for uid in ("1", "2"):
        stage.joined(uid)
    seated()
    stage.joined("3")
    stage.advance(FOREVER)
    small, large = Cell("1", "1", 0, 0, 100, 50), Cell("1", "1", 0, 0, 300, 200)
    stage.arranged((large, small))
    assert told == [("1", (300, 200)), ("2", None)], "whoever has no place yet is waited for"
    told.clear()
    stage.arranged((large, small))
    assert not told
    stage.arranged((small, Cell("2", "2", 0, 0, 2, 2)))
    assert sorted(told) == [("1", (100, 50)), ("2", (2, 2))]
    told.clear()
    stage.left("2")
    stage.advance(FOREVER)
    stage.arranged((small,))
    assert not told
    stage.joined("2")
    seated()
    stage.arranged((small, Cell("3", "3", 0, 0, 4, 4)))
    assert told == [("3", (4, 4)), ("2", None)] or told == [("2", None), ("3", (4, 4))]


def test_users_are_matched_by_uid_or_name() -> None:
    stage = Stage(("ann", "7"), lambda uid: None)
    stage.joined("1", "ann")
    stage.joined("7", "seven")
    stage.joined("9", "else")
    stage.advance(FOREVER)
    assert names(stage) == ["ann", "seven"]
    assert stage.counters()["participants"] == 2


def test_a_second_join_renames(stage: Stage) -> None:
    stage.joined("1")
    stage.advance(FOREVER)
    assert names(stage) == ["1"]
    stage.joined("1", "ann")
    assert stage.advance(FOREVER)
    assert names(stage) == ["ann"]


def test_strangers_and_muted_microphones_are_not_heard(stage: Stage) -> None:
    frame = av.AudioFrame.from_ndarray(np.zeros((1, 480), np.int16), "s16", "mono")
    stage.audio("1", frame, 1.0)
    stage.joined("1")
    stage.audio("1", frame, 2.0)
    stage.muted("1", "audio", True)
    stage.audio("1", frame, 3.0)
    stage.muted("1", "audio", False)
    stage.audio("1", frame, 4.0)
    (participant,) = stage.listening()
    assert [t for _, t in participant.audio.until(FOREVER)] == [2.0, 4.0]
    stage.left("1")
    stage.muted("1", "video", True)
    stage.video("1", av.VideoFrame(2, 2, "yuv420p"), 5.0)


class Counted:
    """A feed and what it asked for."""

    def __init__(self) -> None:
        self.asked = 0
        self.dropped = 0
        self.feed = VideoFeed(self._ask, self._drop)

    def _ask(self) -> None:
        self.asked += 1

    def _drop(self, n: int) -> None:
        self.dropped += n


def test_the_newest_due_picture_once() -> None:
    counted = Counted()
    pictures = [av.VideoFrame(2, 2, "yuv420p") for _ in range(5)]
    for i, picture in enumerate(pictures):
        counted.feed.push(DecodedPicture(picture, float(i)))
    assert counted.feed.due(-1.0) is None
    assert counted.feed.due(2.5) is pictures[2]
    assert counted.feed.due(2.6) is None
    assert counted.feed.due(9.0) is pictures[4]
    for i in range(100):
        counted.feed.push(DecodedPicture(pictures[0], 10.0 + i))
    assert counted.dropped == 70


@given(
    phase=st.floats(0, 1 / 30),
    jitter=st.lists(st.floats(-0.002, 0.002), min_size=60, max_size=60),
)
def test_at_equal_rates_every_picture_is_shown_once_whatever_the_phase(phase: float, jitter: list[float]) -> None:
    feed = Counted().feed
    pictures = [av.VideoFrame(2, 2, "yuv420p") for _ in jitter]
    number = {id(picture): k for k, picture in enumerate(pictures)}
    seen = []
    for k, (picture, late) in enumerate(zip(pictures, jitter, strict=True)):
        feed.push(DecodedPicture(picture, k / 30 + late))
        shown = feed.due(phase + (k - 1) / 30)  # all that is due then has been pushed
        if shown is not None:
            seen.append(number[id(shown)])
    assert seen == list(range(len(seen)))
    assert len(seen) >= len(jitter) - 3


def encoded(codec: str, n: int, **options: str) -> Iterator[EncodedFrame]:
    """A real stream, one picture each 1/30 s, keyframes each 10, brightness 20 + n * 5."""
    encoder = av.CodecContext.create(codec, "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = 64, 48, "yuv420p"
    encoder.framerate, encoder.gop_size = 30, 10  # type: ignore[assignment]
    encoder.options = options
    for i in range(n):
        frame = av.VideoFrame.from_ndarray(np.full((72, 64), 20 + i * 5, np.uint8), "yuv420p")
        frame.pts = i
        for packet in encoder.encode(frame):
            yield EncodedFrame("h264", bytes(packet), float(packet.pts or 0) / 30, packet.is_keyframe)
    for packet in encoder.encode(None):
        yield EncodedFrame("h264", bytes(packet), float(packet.pts or 0) / 30, packet.is_keyframe)


def brightness(picture: av.VideoFrame | None) -> int:
    assert picture is not None
    return round((memoryview(picture.planes[0])[picture.planes[0].line_size * 32 + 32] - 20) / 5)


@pytest.mark.parametrize("b_frames", ["0", "3"])
def test_encoded_pictures_are_shown_at_their_time(b_frames: str) -> None:
    counted = Counted()
    for frame in encoded("libx264", 30, preset="ultrafast", bf=b_frames, tune="psnr"):
        counted.feed.push(frame)
    counted.feed.end()
    shown = [brightness(counted.feed.due((i + 0.5) / 30)) for i in range(30)]
    assert shown == list(range(30))
    assert counted.feed.due(FOREVER) is None
    assert counted.dropped == 0


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_pictures_that_are_to_be_turned_wait_encoded(rotation: int) -> None:
    counted = Counted()
    for frame in encoded("libx264", 40, preset="ultrafast", tune="zerolatency"):
        counted.feed.push(replace(frame, rotation=rotation))
    assert counted.feed.encoded("h264", 40.0) is None, "nobody passes them on as they are"
    for i in range(40):
        picture = counted.feed.due((i + 0.5) / 30)
        assert brightness(picture) == i
        assert picture is not None
        assert (picture.width, picture.height) == ((64, 48) if rotation == 180 else (48, 64))
    assert counted.dropped == 0


def test_before_a_keyframe_nothing_is_decoded_and_one_is_asked_for() -> None:
    counted = Counted()
    frames = list(encoded("libx264", 14, preset="ultrafast", tune="zerolatency"))
    for frame in frames[3:]:
        counted.feed.push(frame)
    assert counted.feed.due(9.5 / 30) is None
    assert (counted.asked, counted.dropped) == (1, 7)
    assert brightness(counted.feed.due(10.5 / 30)) == 10


def test_damage_waits_for_the_next_keyframe() -> None:
    counted = Counted()
    frames = list(encoded("libx264", 12, preset="ultrafast", tune="zerolatency"))
    frames[4] = EncodedFrame("h264", b"\0\0\0\1\x41garbage", frames[4].t, False)
    for frame in frames:
        counted.feed.push(frame)
    assert brightness(counted.feed.due(3.5 / 30)) == 3
    assert counted.feed.due(9.5 / 30) is None
    assert counted.asked == 1
    assert brightness(counted.feed.due(11.5 / 30)) == 11


def test_a_full_queue_begins_again_at_a_keyframe() -> None:
    counted = Counted()
    frames = list(encoded("libx264", 20, preset="ultrafast", tune="zerolatency"))
    filler = EncodedFrame("h264", b"", 0.0, False)
    for frame in (*frames[:5], *[filler] * 595, *frames[5:]):
        counted.feed.push(frame)
    assert counted.dropped == 600
    assert brightness(counted.feed.due(FOREVER)) == 19


def test_an_unknown_codec_is_no_catastrophe() -> None:
    counted = Counted()
    counted.feed.push(EncodedFrame("no such codec", b"x", 0.0))
    assert counted.feed.due(1.0) is None
    assert counted.dropped == 1
