"""The scene: what of the stage is seen and heard at a moment, playout delay included."""

from __future__ import annotations

import time

import av
import numpy as np

from recorders.native.planes import planes_of
from recorders.native.scene import Picture, Sound
from recorders.native.stage import Stage
from recorders.spec import AudioSpec, ChannelSpec, VideoSpec

DELAY = 0.3
GREY = 200


class Scene:
    """A stage of two and its picture; moments are seconds after `zero`."""

    def __init__(self, *users: str) -> None:
        self.zero = time.monotonic() - 10  # in the past: nothing is held back as not captured yet
        self.stage = Stage(users, lambda uid: None)
        subject = ChannelSpec("app", "demo", 1, "secret-token", users)
        self.picture = Picture(self.stage, subject, VideoSpec(320, 180, 30), delay=DELAY, absent_after=1.0)

    def luma(self, seconds: float, x: int, y: int = 90) -> int:
        return int(planes_of(self.picture.at(self.zero + seconds))[0][y, x])

    def send(self, uid: str, seconds: float, luma: int = GREY) -> None:
        frame = av.VideoFrame(320, 180, "yuv420p")
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
