"""What a recorder had open when it died is in the log all the same."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorders.errors import Fenced
from recorders.log import files
from recorders.log.files import LogName
from recorders.log.finish import finish
from recorders.log.index import Slate
from recorders.log.journal import Heading, Journal, Packet, read
from recorders.log.salvage import open_log, salvage
from recorders.log.segment_log import SegmentLog, read_index
from recorders.log.tracks import AudioTrack
from recorders.spec import Format, PageSpec, RecordingSpec
from tests.media.log_maker import PART_SECONDS, RATE, content, write
from tests.oracle.hls import probe_quiet, validate

DIED_AT = 107  # pictures: one part and three quarters
_HEADING = Heading(1, 2.0, 5.0, None, AudioTrack("aac", 48000, 2, b"\x11\x90"))


@pytest.fixture(scope="module")
def died(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is left of a recorder that died in its second part."""
    folder = tmp_path_factory.mktemp("died")
    write(folder, pictures=DIED_AT, dies=True)
    return folder


@pytest.mark.parametrize("format", ["hls", "mp4", "webm", "m4a", "ogg"])
def test_everything_that_was_encoded_is_kept(tmp_path: Path, format: Format) -> None:
    write(tmp_path, format, pictures=DIED_AT, dies=True)
    before = read_index(tmp_path).seconds
    finish(tmp_path, "rec", format)
    index = read_index(tmp_path)
    assert before == pytest.approx(PART_SECONDS, abs=0.05)
    assert index.seconds == pytest.approx(DIED_AT / RATE, abs=0.08)
    assert probe_quiet(tmp_path / "rec.m3u8") == ""
    assert validate(tmp_path / "rec.m3u8") == []
    found = content(tmp_path / "rec.m3u8")
    assert found.clicks == pytest.approx([0.5, 1.5, 2.5, 3.5], abs=0.003)
    if format in ("hls", "mp4"):
        assert found.numbers == list(range(DIED_AT))
        assert found.flashes == pytest.approx([0.5, 1.5, 2.5, 3.5], abs=0.003)
    assert not list(tmp_path.glob("*.journal"))


@pytest.mark.parametrize(("begin", "end"), [(20, 50), (50, 95), (70, 95), (100, 200)])
def test_the_slate_in_it_is_told(tmp_path: Path, begin: int, end: int) -> None:
    """It may lie before the part that was open, reach into it, or go on beyond what there is."""
    write(tmp_path, pictures=DIED_AT, dies=True, slate=(begin, end))
    finish(tmp_path, "rec", "hls")
    (told,) = json.loads((tmp_path / "rec.json").read_text())["slates"]
    assert told["start"] == pytest.approx(begin / RATE, abs=1e-3)
    assert told["end"] == pytest.approx(min(end, DIED_AT) / RATE, abs=1e-3)
    assert told["why"] == "no browser"


def test_the_next_attempt_goes_on_behind_it(died: Path, tmp_path: Path) -> None:
    folder = tmp_path / "log"
    shutil.copytree(died, folder)
    assert open_log(RecordingSpec("task", str(folder), PageSpec(""), "rec", 2)).parts[-1].sequence == 1
    write(folder, attempt=2, first=150)
    finish(folder, "rec", "mp4")
    for name in ("rec.m3u8", "rec.mp4"):
        assert content(folder / name).numbers == [*range(DIED_AT), *range(150, 285)]
    assert validate(folder / "rec.m3u8") == []


def test_salvaging_twice_adds_nothing(died: Path, tmp_path: Path) -> None:
    folder = tmp_path / "log"
    shutil.copytree(died, folder)
    journal = (folder / "rec_1.journal").read_bytes()
    salvage(folder, LogName("rec"))
    index = read_index(folder)
    (folder / "rec_1.journal").write_bytes(journal)  # it died before it could remove this
    salvage(folder, LogName("rec"))
    assert read_index(folder) == index


def test_a_recorder_that_lives_after_all_changes_nothing(tmp_path: Path) -> None:
    late = write(tmp_path, pictures=DIED_AT, dies=True)
    salvage(tmp_path, LogName("rec"))
    salvaged = {path.name: path.read_bytes() for path in tmp_path.iterdir() if "_1_" in path.name}
    index = read_index(tmp_path)
    with pytest.raises(Fenced):
        late.append(b"late", start=2.0, duration=2.0)
    assert read_index(tmp_path) == index
    assert {name: (tmp_path / name).read_bytes() for name in salvaged} == salvaged


def test_a_closed_recording_leaves_no_journal(tmp_path: Path) -> None:
    write(tmp_path)
    assert not list(tmp_path.glob("*.journal"))


@given(st.data())
@settings(max_examples=60)
def test_a_journal_cut_anywhere_is_whole_up_to_there(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("journal") / "rec_1.journal"
    given_packets = st.builds(
        Packet,
        st.sampled_from(["video", "audio"]),
        st.integers(0, 2**40),
        st.integers(1, 2**20),
        st.booleans(),
        st.binary(),
    )
    packets = data.draw(st.lists(given_packets, max_size=8))
    journal = Journal(path, _HEADING)
    for end in range(1, data.draw(st.integers(0, 3)) + 1):
        journal.slate(Slate(1.0, float(end), "why"))
    slates = read(path).slates  # type: ignore[union-attr]
    for packet in packets:
        journal.add(packet)
    raw = path.read_bytes()
    at = data.draw(st.integers(0, len(raw)))
    damage = data.draw(st.binary(max_size=3))
    path.write_bytes(raw[:at] + damage)
    found = read(path)
    if found is None:
        assert at < raw.index(b"\n") + 1
    else:
        assert found[0] == _HEADING
        assert found[1] == packets[: len(found[1])] or damage
    ends = {"video": data.draw(st.integers(0, 2**40)), "audio": data.draw(st.integers(0, 2**40))}
    journal.cut(ends, slates)  # type: ignore[arg-type]
    assert len(slates) <= 1
    assert read(path) == (_HEADING, [packet for packet in packets if packet.time >= ends[packet.kind]], slates)


def test_no_journal_and_no_log(tmp_path: Path) -> None:
    salvage(tmp_path, LogName("rec"))
    assert read(tmp_path / files.journal_name("rec", 1)) is None
    assert SegmentLog(tmp_path, "rec", 1).parts == ()
