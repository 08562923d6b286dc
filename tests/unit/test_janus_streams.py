"""Publishers of a VideoRoom as participants, and which simulcast picture a cell takes."""

from __future__ import annotations

from typing import Any

from recorders.sources.janus_streams import Presence, Publisher, Stream, substream


def described(publisher: Publisher, *streams: dict[str, Any]) -> list[Presence]:
    kinds = {"opus": "audio"}
    publisher.described(
        {
            "id": 7,
            "display": "ada",
            "streams": [{"type": kinds.get(one.get("codec", ""), "video"), **one} for one in streams],
        }
    )
    return publisher.presences()


SOUND = {"mid": "0", "codec": "opus"}
CAMERA = {"mid": "1", "codec": "h264"}
CAMERA_OFF = {"mid": "1", "disabled": True}
SCREEN = {"mid": "2", "codec": "vp8"}


def test_a_publisher_with_one_sound_and_one_picture() -> None:
    (ada,) = described(Publisher(7), SOUND, CAMERA)
    assert ada == Presence("7", "ada", 7, {"audio": Stream("0", "opus"), "video": Stream("1", "h264")})
    assert ada.named(())
    assert ada.named(("7",))
    assert ada.named(("ben", "ada"))
    assert not ada.named(("ben",))


def test_a_publisher_without_anything_that_can_be_taken_is_there() -> None:
    publisher = Publisher(7)
    assert described(publisher, {"mid": "0", "codec": "av1"}) == [Presence("7", "ada", 7, {})]
    assert publisher.refused == {"av1"}


def test_a_second_picture_is_a_participant_of_its_own_while_it_is_on() -> None:
    publisher = Publisher(7)
    assert len(described(publisher, SOUND, CAMERA)) == 1
    ada, screen = described(publisher, SOUND, CAMERA, SCREEN)
    assert ada.streams["video"] == Stream("1", "h264")
    assert screen == Presence("7-screen", "ada (screen)", 7, {"video": Stream("2", "vp8")})
    # The screen stays where it is when the camera goes off and on.
    ada, screen = described(publisher, SOUND, CAMERA_OFF, SCREEN)
    assert ada.streams["video"] == Stream("1", "h264", off=True)
    assert screen.streams == {"video": Stream("2", "vp8")}
    assert len(described(publisher, SOUND, CAMERA, {"mid": "2", "disabled": True})) == 1
    # Another share, on another section, is the same participant again.
    _, screen = described(publisher, SOUND, CAMERA, {"mid": "2", "disabled": True}, {"mid": "3", "codec": "h264"})
    assert screen.uid == "7-screen"
    assert screen.streams == {"video": Stream("3", "h264")}
    assert [one.uid for one in described(publisher, SOUND, CAMERA, SCREEN, {"mid": "3", "codec": "h264"})] == [
        "7",
        "7-screen",
        "7-screen-2",
    ]


def test_a_camera_that_comes_back_with_another_codec_is_still_the_camera() -> None:
    publisher = Publisher(7)
    described(publisher, SOUND, CAMERA)
    (ada,) = described(publisher, SOUND, CAMERA_OFF, SCREEN)
    assert ada.streams["video"] == Stream("2", "vp8")


def test_a_picture_that_says_that_it_is_a_screen_never_takes_the_camera_s_place() -> None:
    publisher = Publisher(7)
    ada, screen = described(publisher, SOUND, {**SCREEN, "description": "Screen of ada"})
    assert list(ada.streams) == ["audio"]
    assert screen.uid == "7-screen"
    ada, screen = described(publisher, SOUND, {**SCREEN, "description": "Screen of ada"}, {**CAMERA, "mid": "3"})
    assert ada.streams["video"].mid == "3"
    assert screen.streams["video"].mid == "2"


def test_moderators_switch_streams_off_too() -> None:
    publisher = Publisher(7)
    described(publisher, SOUND, {**CAMERA, "moderated": True})
    publisher.moderated("0", True)
    (ada,) = publisher.presences()
    assert {kind: stream.off for kind, stream in ada.streams.items()} == {"audio": True, "video": True}
    publisher.moderated("1", False)
    (ada,) = publisher.presences()
    assert {kind: stream.off for kind, stream in ada.streams.items()} == {"audio": True, "video": False}


def test_the_smallest_simulcast_picture_that_looks_right_in_its_cell() -> None:
    hd = (1280, 720)
    assert substream((1280, 720), hd) == 2
    assert substream((960, 540), hd) == 2
    assert substream((736, 414), hd) == 1  # a little enlarged
    assert substream((640, 360), hd) == 1
    assert substream((426, 240), hd) == 1
    assert substream((320, 180), hd) == 0
    assert substream((2, 2), hd) == 0
    # What counts is the picture inside the cell: 405 pixels wide in the first, 640 high in the second.
    assert substream((1280, 228), hd) == 1
    assert substream((360, 640), (720, 1280)) == 1
    assert substream((1920, 1080), hd) == 2
