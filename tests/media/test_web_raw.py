"""Pictures as they are: from the ring into packets that show them, and what is repeated while a page stands still."""

from __future__ import annotations

import struct
import time
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from recorders.config import LogConfig, RecorderConfig
from recorders.encoder import EncodedPicture
from recorders.errors import Lost
from recorders.log.finish import finish
from recorders.log.segment_log import SegmentLog, read_index
from recorders.log.window import Window
from recorders.spec import PageSpec, RecordingSpec, VideoSpec
from recorders.web.clock import Clock
from recorders.web.mail import MAIL_BYTES
from recorders.web.output import Output
from recorders.web.raw import Raw
from recorders.web.ring import CODEC, Ring, find, options
from recorders.web.session import Beginning

VIDEO = VideoSpec(320, 180, 10, 500)
SECRET = bytes(range(16))
AT = 4096 + MAIL_BYTES
GROUP = 5
I420, NV12 = 0, 1


class Browser:
    """Does what capture_worker.js does with the file."""

    def __init__(self, profile: Path) -> None:
        told = options(VIDEO, SECRET)
        self.slots, self._bytes = told["slots"], told["slotBytes"]
        place = profile / "Default" / "File System" / "000" / "t" / "00" / "00000000"
        place.parent.mkdir(parents=True)
        other = profile / "Default" / "File System" / "001" / "t" / "00" / "00000000"
        other.parent.mkdir(parents=True)
        for path, secret in ((place, SECRET), (other, bytes(16))):  # the page under record may have made one as large
            path.write_bytes(secret + bytes(AT - 16 + self.slots * self._bytes))
        self._file = place.open("r+b", buffering=0)
        self._used: list[int] = []
        self._put = 0

    def shows(self, level: int, format: int = I420, size: tuple[int, int] = (320, 180)) -> bytes:
        """A picture of one luma level; its place."""
        width, height = size
        self._used = self._used[len(self._used) - self.waiting :]
        slot = min(set(range(self.slots)) - set(self._used))
        self._file.seek(AT + slot * self._bytes)
        self._file.write(bytes([level]) * (width * height) + bytes([128]) * (width * height // 2))
        self._used.append(slot)
        self._put += 1
        return struct.pack("<IHHB", slot, width, height, format)

    @property
    def waiting(self) -> int:
        """Pictures that must stay as they are."""
        self._file.seek(64)
        return self._put - int(struct.unpack("<I", self._file.read(4))[0])


@pytest.fixture
def browser(tmp_path: Path) -> Browser:
    return Browser(tmp_path)


def ring(profile: Path) -> Ring:
    return Ring(find(profile, SECRET, VIDEO), VIDEO)


def pictures(browser: Browser, profile: Path, wanted: str = "h264") -> Raw:
    config = RecorderConfig(log=LogConfig(part_seconds=GROUP / VIDEO.frame_rate))
    return Raw("h264" if wanted == "h264" else "vp9", VIDEO, config, "bt601", ring(profile))


def levels(raw: Raw, encoded: list[EncodedPicture]) -> list[int]:
    """Luma of each picture, by a decoder that sees nothing else."""
    decoder = av.CodecContext.create(raw.track.codec, "r")
    decoder.extradata = raw.track.extradata or None
    shown = [picture for data, _, _ in encoded for picture in decoder.decode(av.Packet(data))]
    shown += decoder.decode(None)
    return [round(float(picture.to_ndarray()[:180].mean())) for picture in shown]


def test_pictures_come_out_as_they_were_and_what_is_missing_is_the_one_before(browser: Browser, tmp_path: Path) -> None:
    raw = pictures(browser, tmp_path)
    out = raw.add(7, True, browser.shows(40)) + raw.add(8, True, browser.shows(80))
    out += raw.add(10, False, b"") + raw.add(12, True, browser.shows(160, NV12))
    assert [n for _, n, _ in out] == list(range(7, 13))
    assert levels(raw, out) == pytest.approx([40, 80, 80, 80, 80, 160], abs=3)
    assert [key for _, _, key in out] == [True, False, False, False, False, True]
    assert browser.waiting == 1  # the last one, which may be shown again
    assert raw.track.matrix == 6


def test_what_comes_next_leaves_the_picture_that_is_shown_as_it_is(browser: Browser, tmp_path: Path) -> None:
    raw = pictures(browser, tmp_path)
    out = raw.add(0, True, browser.shows(40))
    places = [browser.shows(80), browser.shows(120)]
    out += raw.add(2, False, b"") + raw.add(3, True, places[0]) + raw.add(4, True, places[1])
    assert levels(raw, out) == pytest.approx([40, 40, 40, 80, 120], abs=3)


def test_a_page_that_stands_still_is_encoded_once_and_goes_on_from_a_key(browser: Browser, tmp_path: Path) -> None:
    raw = pictures(browser, tmp_path)
    out = raw.add(0, True, browser.shows(40)) + raw.add(2, True, browser.shows(90)) + raw.add(21, False, b"")
    out += raw.add(22, True, browser.shows(200)) + raw.add(24, False, b"")
    assert [n for _, n, _ in out] == list(range(25))
    assert levels(raw, out) == pytest.approx([40, 40, *[90] * 20, *[200] * 3], abs=3)
    data = [data for data, _, _ in out]
    assert data[5:10] != data[10:15] == data[15:20], "the second one is sent again"
    assert [n for _, n, key in out if key] == [0, 5, 10, 15, 20, 22]


def test_pictures_of_another_size_are_brought_to_ours(browser: Browser, tmp_path: Path) -> None:
    raw = pictures(browser, tmp_path)
    out = raw.add(0, True, browser.shows(60, size=(160, 90)))
    assert levels(raw, out + raw.add(1, True, browser.shows(120))) == pytest.approx([60, 120], abs=3)
    with pytest.raises(Lost, match="of 640 x 360 pixels has no place"):
        raw.add(2, True, struct.pack("<IHHB", 0, 640, 360, I420))


def test_after_a_first_picture_that_cannot_be_had_there_is_none(browser: Browser, tmp_path: Path) -> None:
    raw = pictures(browser, tmp_path)
    with pytest.raises(Lost, match="of a format that is not known here"):
        raw.add(0, True, struct.pack("<IHHB", 0, 320, 180, 9))
    assert (raw.next, raw.slate()) == (None, None)
    assert levels(raw, raw.add(4, True, browser.shows(40))) == pytest.approx([40], abs=3)


def test_the_slate_is_the_last_picture_and_another_browser_goes_on_after_it(browser: Browser, tmp_path: Path) -> None:
    raw = pictures(browser, tmp_path)
    assert raw.slate() is None
    out = raw.add(0, True, browser.shows(70))
    slate = raw.slate()
    assert slate is not None
    out += [slate.again(n, n == 1) for n in range(1, 4)]
    raw.ring = ring(tmp_path)
    out += raw.add(4, True, browser.shows(130)) + raw.add(5, False, b"")
    assert [n for _, n, _ in out] == list(range(6))
    assert levels(raw, out) == pytest.approx([70, 70, 70, 70, 130, 130], abs=3)


def test_what_there_was_no_time_for_is_left_out(browser: Browser, tmp_path: Path) -> None:
    raw = pictures(browser, tmp_path)
    out = raw.add(0, True, browser.shows(40)) + raw.add(12, False, b"")
    assert raw.skip(20) == 8
    assert raw.skip(20) == 0
    out += raw.add(20, False, b"") + raw.add(21, True, browser.shows(80)) + raw.add(40, False, b"")
    assert [n for _, n, _ in out] == [*range(13), *range(21, 41)]
    assert levels(raw, out) == pytest.approx([*[40] * 13, *[80] * 20], abs=3)
    assert [n for _, n, key in out if key] == [0, 5, 10, 21, 26, 31, 36]


class Recording:
    """Of pictures as they are, through the real output and log."""

    def __init__(self, folder: Path, attempt: int = 1, late: float = 0.0) -> None:
        self._folder = folder
        self._clock = Clock()
        self._browsers = 10 * attempt
        self.begun = self._clock.now() - late
        spec = RecordingSpec("t", str(folder), PageSpec("http://x"), video=VIDEO, audio=None, format="mp4")
        config = RecorderConfig(log=LogConfig(part_seconds=GROUP / VIDEO.frame_rate))
        self.browser, beginning = self.another(0)
        self.output = Output(spec, config, SegmentLog(folder, "recording", attempt), Window(), beginning, self._clock)

    def another(self, slot: int) -> tuple[Browser, Beginning]:
        """A browser that began then."""
        self._browsers += 1
        profile = self._folder / f"profile{self._browsers}"
        browser = Browser(profile)
        at = self.begun + slot / VIDEO.frame_rate
        return browser, Beginning(at, CODEC, "bt601", ring(profile))

    def shown(self) -> list[int]:
        """Luma of each picture that came of it."""
        self.output.close()
        finish(self._folder, "recording", "mp4")
        with av.open(str(self._folder / "recording.mp4")) as container:
            return [round(float(picture.to_ndarray()[:180].mean())) for picture in container.decode(video=0)]


def test_a_page_that_stands_still_after_its_browser_was_replaced_is_shown(tmp_path: Path) -> None:
    recording = Recording(tmp_path)
    output = recording.output
    output.picture(0, True, recording.browser.shows(40))
    output.picture(19, False, b"")
    browser, beginning = recording.another(17)
    output.go_on(beginning, "It crashed.")
    output.picture(0, True, browser.shows(90))
    output.picture(1, True, browser.shows(120))
    output.picture(22, False, b"")
    assert browser.waiting == 1  # the last one, which may be shown again
    assert output.left_out == 3
    output.picture(23, True, browser.shows(160))
    assert recording.shown() == pytest.approx([*[40] * 20, *[120] * 20, 160], abs=3)
    assert len(read_index(tmp_path).parts) > 6


def test_pictures_that_come_when_the_slate_is_there_keep_no_place_in_the_ring(tmp_path: Path) -> None:
    recording = Recording(tmp_path)
    output = recording.output
    output.picture(0, True, recording.browser.shows(40))
    output.slate(recording.begun + 5, "It crashed.")
    browser, beginning = recording.another(1)
    output.go_on(beginning, "It crashed.")
    for n in range(browser.slots + 5):
        output.picture(n, True, browser.shows(90))
        assert browser.waiting == 1  # the last one, which may be shown again
    output.picture(60, False, b"")
    assert (output.filled, output.left_out) == (49, 49)
    assert recording.shown() == pytest.approx([*[40] * 50, *[90] * 12], abs=3)


def test_a_browser_that_begins_after_the_slate_is_shown_from_then_on(tmp_path: Path) -> None:
    recording = Recording(tmp_path)
    output = recording.output
    output.picture(9, True, recording.browser.shows(40))
    browser, beginning = recording.another(15)
    output.go_on(beginning, "It crashed.")
    output.picture(2, True, browser.shows(90))
    output.picture(4, False, b"")
    assert (output.filled, output.left_out) == (7, 2)
    assert recording.shown() == pytest.approx([*[40] * 8, *[90] * 3], abs=3)


def test_a_step_of_the_machine_s_clock_leaves_no_picture_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recording = Recording(tmp_path)
    recording.output.picture(0, True, recording.browser.shows(40))
    wall = time.time
    monkeypatch.setattr(time, "time", lambda: wall() + 10)
    recording.output.picture(20, False, b"")
    assert recording.output.left_out == 0
    assert len(recording.shown()) == 21


@pytest.mark.parametrize("dear", [False, True])
def test_who_is_late_makes_up_for_it_where_that_is_cheap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dear: bool
) -> None:
    """A repeated picture of 320x180 takes far less than the 100 ms that it lasts, but on a machine that is busy."""
    recording = Recording(tmp_path, late=30)
    if dear:
        tick = iter(np.arange(0, 100, 0.1)).__next__  # each look at the clock takes 100 ms
        monkeypatch.setattr("recorders.web.raw.time.perf_counter", tick)
    output = recording.output
    output.picture(0, True, recording.browser.shows(40))
    output.picture(250, True, recording.browser.shows(90))
    output.picture(299, False, b"")
    n = output.left_out
    assert n == (239 if dear else 0)
    assert recording.shown() == pytest.approx([*[40] * (250 - n), *[90] * 50], abs=3)


@pytest.mark.parametrize("behind_s", [0.5, 3600])
def test_an_attempt_goes_on_at_the_log_s_end_when_the_clock_was_set_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, behind_s: float
) -> None:
    first = Recording(tmp_path)
    first.output.picture(0, True, first.browser.shows(40))
    first.output.picture(19, False, b"")
    first.output.close()
    wall = time.time
    monkeypatch.setattr(time, "time", lambda: wall() - behind_s)
    again = Recording(tmp_path, 2)
    again.output.picture(0, True, again.browser.shows(90))
    again.output.picture(9, False, b"")
    assert again.shown() == pytest.approx([*[40] * 20, *[90] * 10], abs=3)
    ends = [(part.start, part.start + part.duration) for part in read_index(tmp_path).parts]
    assert all(later[0] == pytest.approx(sooner[1], abs=0.001) for sooner, later in pairwise(ends))


def test_vp9(browser: Browser, tmp_path: Path) -> None:
    raw = pictures(browser, tmp_path, "vp9")
    out = raw.add(0, True, browser.shows(40)) + raw.add(19, False, b"") + raw.add(20, True, browser.shows(80))
    assert levels(raw, out) == pytest.approx([*[40] * 20, 80], abs=3)


def test_a_browser_whose_file_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(Lost, match="cannot be found"):
        ring(tmp_path)


def test_room_for_a_second_of_the_usual_sizes_and_a_bound_for_large_ones() -> None:
    assert options(VideoSpec(1280, 720, 30), SECRET)["slots"] == 30
    large = options(VideoSpec(3840, 2160, 30), SECRET)
    assert large["slots"] * large["slotBytes"] <= 50 * 2**20
    assert np.prod((3840, 2160)) * 3 / 2 <= large["slotBytes"]
