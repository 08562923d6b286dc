"""The oracle passes a clean recording and finds every fault that is planted in one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.oracle.analyse import analyse
from tests.oracle.clips import cached_clips
from tests.oracle.participants import PARTICIPANTS, everyone
from tests.oracle.planted import Faults, cells, record
from tests.oracle.report import Report

USERS = ("user1", "user2")


def judge(path: Path, faults: Faults, seconds: float = 8) -> Report:
    return analyse(record(path / "x.mp4", faults, seconds=seconds), users=USERS, cells=cells(2), frame_rate=30)


def only(report: Report, *parts: str) -> None:
    """Every problem holds one of `parts`, and each of `parts` is in one."""
    assert all(any(part in problem for part in parts) for problem in report.problems), report
    assert all(any(part in problem for problem in report.problems) for part in parts), report


def test_a_clean_recording_has_no_problem(tmp_path: Path) -> None:
    report = judge(tmp_path, Faults())
    assert report.problems == ()
    assert (report.frames, report.frames_expected, len(report.seconds)) == (240, 240, 8)
    for second in report.seconds:
        assert second.cells == USERS
        assert set(second.seen) == set(second.heard) == set(USERS)
        assert second.seen["user2"].x == pytest.approx(160, abs=4)
        assert all(abs(level) < 1 for level in second.heard.values())
    for user in report.users.values():
        assert len(user.flashes) == len(user.offsets) == 7  # the one at 0 has no picture before it
        assert [round(t, 3) for t in user.flashes] == list(range(1, 8))
        assert all(abs(offset) < 3 for _, offset in user.offsets)
        assert abs(user.drift_total) < 1
    assert "no problems" in str(report)


def test_clips_pass_themselves() -> None:
    for number, clip in enumerate(cached_clips(2, seconds=4, width=320, height=180), 1):
        report = analyse(clip, users=[f"user{number}"], frame_rate=30)
        assert report.problems == ()
        assert list(report.users) == [f"user{number}"]


def test_nine_in_one_picture_are_told_apart(tmp_path: Path) -> None:
    nine = [who.name for who in everyone()[:9]]
    path = record(tmp_path / "x.mp4", Faults(tones=[True] * 9), users=9, seconds=4)
    report = analyse(path, users=nine)
    assert report.problems == ()
    for user in report.users.values():
        assert len(user.offsets) == 3
        assert user.offset_p95 < 3


def test_colours_and_beeps_are_unique() -> None:
    assert len({who.yuv() for who in everyone()}) == len({who.beep for who in everyone()}) == PARTICIPANTS


@pytest.mark.parametrize("shift", [0.12, -0.12])
def test_shifted_sound(tmp_path: Path, shift: float) -> None:
    report = judge(tmp_path, Faults(shift=shift))
    only(report, *(f"The sound of {user} is {1000 * shift:+.0f} ms after the picture" for user in USERS))
    assert all(user.offset_median == pytest.approx(1000 * shift, abs=3) for user in report.users.values())


def test_drift(tmp_path: Path) -> None:
    report = judge(tmp_path, Faults(stretch=1.005, shift=-0.03), seconds=14)  # 5 ms a second
    only(report, "Sound and picture of user1 drift by +60 ms", "Sound and picture of user2 drift by +60 ms")
    assert all(user.drift == pytest.approx(300, abs=12) for user in report.users.values())


def test_missing_frames(tmp_path: Path) -> None:
    report = judge(tmp_path, Faults(keep=lambda n: not 100 <= n < 103 and n != 170))
    only(report, "There are 236 frames where 240 belong", "2 gaps in the video, the first at 3.333 s of 100 ms")


def test_frozen_span_of_one_user(tmp_path: Path) -> None:
    report = judge(tmp_path, Faults(paint=lambda place, n: (place, 100 if place == 1 and 100 <= n < 125 else n)))
    only(report, "user2 is frozen from 3.37 to 4.17 s")


def test_black_span(tmp_path: Path) -> None:
    report = judge(tmp_path, Faults(paint=lambda place, n: None if 100 <= n < 112 else (place, n)))
    only(report, "The picture is black from 3.33 to 3.73 s")


def test_wrong_colour_is_someone_else(tmp_path: Path) -> None:
    report = judge(tmp_path, Faults(paint=lambda place, n: (4 if place == 1 and 60 <= n < 120 else place, n)))
    only(report, "user2 is not seen in second 2, 3.", "The cells do not hold user1, user2 in second 2, 3.")
    assert report.seconds[2].cells == ("user1", "user5")


def test_swapped_cells(tmp_path: Path) -> None:
    report = judge(tmp_path, Faults(paint=lambda place, n: (1 - place if 60 <= n < 90 else place, n)))
    only(report, "The cells do not hold user1, user2 in second 2.")
    assert report.seconds[2].cells == ("user2", "user1")


def test_missing_tone(tmp_path: Path) -> None:
    report = judge(tmp_path, Faults(tones=(True, False)))
    only(report, "user2 is not heard in second 0, 1, 2, 3, 4, 5, 6, 7.")
    assert report.users["user2"].beeps == ()


def test_short_dropout_of_the_sound(tmp_path: Path) -> None:
    report = judge(tmp_path, Faults(mute=(4.5, 4.56)))
    only(report, "The tone of user1 drops out from 4.5", "The tone of user2 drops out from 4.5")
