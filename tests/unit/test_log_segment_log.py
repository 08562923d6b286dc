"""The log on disk: who may write, and what a reader then finds."""

from __future__ import annotations

import math
import threading
from pathlib import Path

import pytest

from recorders.errors import Fenced, RecorderError
from recorders.log.files import listed_files
from recorders.log.index import Part, line
from recorders.log.segment_log import SegmentLog, read_index


def begun(folder: Path, attempt: int, epoch: float = 100.0) -> SegmentLog:
    log = SegmentLog(folder, "rec", attempt)
    log.begin(epoch, b"init", 2.0)
    return log


def test_a_part_is_on_the_disk_when_append_returns(tmp_path: Path) -> None:
    log = SegmentLog(tmp_path, "deep/rec", 1)
    assert (log.epoch, log.parts, log.total_bytes, log.media_seconds) == (None, (), 0, 0.0)
    log.begin(100.0, b"init", 2.0)
    part = log.append(b"media", start=0.0, duration=2.0)
    assert (tmp_path / part.name).read_bytes() == b"media"
    assert part.name == "deep/rec_1_00000.m4s"
    assert (tmp_path / "deep/rec_1_init.mp4").read_bytes() == b"init"
    assert read_index(tmp_path).parts == (part,) == log.parts
    assert (log.epoch, log.total_bytes, log.media_seconds) == (100.0, 5, 2.0)
    assert listed_files(tmp_path, "deep/rec") == ("deep/rec.m3u8",)
    assert (tmp_path / "deep/rec.m3u8").read_text().endswith("rec_1_00000.m4s\n")
    assert {path.name for path in (tmp_path / "deep").iterdir()} == {"rec.m3u8", "rec_1_00000.m4s", "rec_1_init.mp4"}


def test_a_later_attempt_keeps_the_epoch_and_all_parts(tmp_path: Path) -> None:
    begun(tmp_path, 1).append(b"a", start=0.0, duration=2.0)
    second = begun(tmp_path, 2, epoch=999.0)
    assert second.epoch == 100.0
    assert [attempt.epoch for attempt in read_index(tmp_path).attempts] == [100.0, 100.0]
    second.append(b"b", start=7.0, duration=2.0)
    assert [part.name for part in second.parts] == ["rec_1_00000.m4s", "rec_2_00000.m4s"]
    text = (tmp_path / "rec.m3u8").read_text()
    assert text.index("rec_1_00000.m4s") < text.index("#EXT-X-DISCONTINUITY") < text.index("rec_2_00000.m4s")


def test_an_older_attempt_is_fenced_off(tmp_path: Path) -> None:
    old = begun(tmp_path, 1)
    old.append(b"a", start=0.0, duration=2.0)
    waiting = SegmentLog(tmp_path, "rec", 3)
    old.append(b"b", start=2.0, duration=2.0)  # as long as the new one has not begun
    waiting.begin(100.0, b"init", 2.0)
    for _ in range(2):
        with pytest.raises(Fenced, match="Attempt 3 owns this recording; attempt 1 must stop"):
            old.append(b"c", start=4.0, duration=2.0)
    with pytest.raises(Fenced):
        SegmentLog(tmp_path, "rec", 2)
    waiting.append(b"d", start=8.0, duration=2.0)
    assert [(part.attempt, part.sequence) for part in read_index(tmp_path).parts] == [(1, 0), (1, 1), (3, 0)]
    assert not (tmp_path / "rec_1_00002.m4s").exists()


def test_an_attempt_begins_once(tmp_path: Path) -> None:
    begun(tmp_path, 1).append(b"a", start=0.0, duration=2.0)
    again = SegmentLog(tmp_path, "rec", 1)
    with pytest.raises(Fenced, match="Attempt 1 of this recording has begun before"):
        again.begin(100.0, b"other", 2.0)
    assert (tmp_path / "rec_1_init.mp4").read_bytes() == b"init"


def test_nothing_is_appended_to_an_index_that_is_gone(tmp_path: Path) -> None:
    log = begun(tmp_path, 1)
    (tmp_path / "index.jsonl").unlink()
    with pytest.raises(RecorderError, match=r"Attempt 1 is not in the recording's index index\.jsonl"):
        log.append(b"a", start=0.0, duration=2.0)


def test_a_late_line_of_an_older_attempt_counts_for_nobody(tmp_path: Path) -> None:
    """Frozen between its last look and its write, thawed after the next attempt began."""
    begun(tmp_path, 1)
    new = begun(tmp_path, 2)
    with (tmp_path / "index.jsonl").open("ab") as file:
        file.write(line(Part(1, 0, "rec_1_00000.m4s", 0.0, 2.0, 1, "")))
    part = new.append(b"b", start=7.0, duration=2.0)
    assert read_index(tmp_path).parts == (part,) == new.parts
    assert "rec_1_00000" not in (tmp_path / "rec.m3u8").read_text()


@pytest.mark.parametrize("start", [-0.001, 2.0**64 / 90000, math.nan])
def test_a_part_of_a_time_that_there_cannot_be_is_refused(tmp_path: Path, start: float) -> None:
    log = begun(tmp_path, 1)
    with pytest.raises(RecorderError, match="would begin"):
        log.append(b"a", start=start, duration=2.0)
    assert log.append(b"b", start=0.0, duration=2.0).sequence == 0
    assert len(log.parts) == len(read_index(tmp_path).parts) == 1


def test_a_line_cut_short_is_written_past(tmp_path: Path) -> None:
    begun(tmp_path, 1).append(b"a", start=0.0, duration=2.0)
    with (tmp_path / "index.jsonl").open("ab") as file:
        file.write(b'{"kind":"part","attempt":1,"seque')
    begun(tmp_path, 2).append(b"b", start=7.0, duration=2.0)
    assert [part.attempt for part in read_index(tmp_path).parts] == [1, 2]


def test_what_was_acknowledged_counts(tmp_path: Path) -> None:
    """Attempts take over from each other while they write: each part is either refused or in the index for good."""
    acknowledged: list[Part] = []
    fenced: list[int] = []

    def write(log: SegmentLog) -> None:
        try:
            for k in range(1000):
                part = log.append(b"x", start=2.0 * k, duration=2.0)
                acknowledged.append(part)
        except Fenced:
            fenced.append(log.attempt)

    threads = []
    for attempt in range(1, 9):
        log = begun(tmp_path, attempt)
        threads.append(threading.Thread(target=write, args=(log,)))
        threads[-1].start()
        while not any(part.attempt == attempt for part in log.parts):
            threads[-1].join(0.001)
    begun(tmp_path, 9)
    for thread in threads:
        thread.join(30)
    assert sorted(fenced) == list(range(1, 9))
    assert set(read_index(tmp_path).parts) == set(acknowledged)
    assert [part.attempt for part in read_index(tmp_path).parts] == sorted(part.attempt for part in acknowledged)


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RecorderError, match="Not a directory"):
        SegmentLog(tmp_path / "file", "rec", 1)
