"""Logs of real media: what was put in comes out of the playlist and of the single file, complete and in sync."""

from __future__ import annotations

import fcntl
import hashlib
import itertools
import json
import re
import resource
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import av
import m3u8  # type: ignore[import-untyped]
import pytest

from recorders.config import EncoderConfig
from recorders.encoder import EncodedPicture, VideoEncoder
from recorders.errors import RecorderError
from recorders.log.boxes import boxes
from recorders.log.cmaf import CmafWriter
from recorders.log.finish import Finished, finish
from recorders.log.index import Part, line
from recorders.log.segment_log import SegmentLog, read_index
from recorders.spec import Format, VideoSpec
from tests.media.log_maker import EPOCH, HEIGHT, PART_SECONDS, RATE, WIDTH, Content, content, picture, write
from tests.oracle.hls import probe_quiet, validate

ALL = list(range(135))


def in_sync(found: Content, moments: list[float], within: float = 0.003) -> None:
    """Flash and click at each of these seconds of the recording, nowhere else."""
    assert found.flashes == pytest.approx(moments, abs=within)
    assert found.clicks == pytest.approx(moments, abs=within)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished MP4 recording of one attempt; not to be written to."""
    folder = tmp_path_factory.mktemp("plain")
    write(folder, "mp4")
    finish(folder, "rec", "mp4")
    return folder


def test_the_playlist_plays(plain: Path) -> None:
    assert validate(plain / "rec.m3u8") == []
    assert probe_quiet(plain / "rec.m3u8") == ""
    playlist = m3u8.load(str(plain / "rec.m3u8"))
    assert [segment.duration for segment in playlist.segments] == pytest.approx([2.0, 2.0, 0.5])
    assert (playlist.target_duration, playlist.playlist_type, playlist.is_endlist) == (2, "vod", True)
    assert playlist.segments[1].program_date_time.timestamp() == pytest.approx(EPOCH + 2.0, abs=0.001)
    found = content(plain / "rec.m3u8")
    assert found.numbers == ALL
    assert found.times == pytest.approx([n / RATE for n in ALL], abs=0.001)
    in_sync(found, [0.5, 1.5, 2.5, 3.5])


def test_every_part_stands_alone(plain: Path) -> None:
    """Begins with its keyframe, holds exactly its pictures and, to a packet, its sound."""
    init = (plain / "rec_1_init.mp4").read_bytes()
    assert [kind for kind, _ in boxes(init)] == [b"ftyp", b"moov"]
    for part in read_index(plain).parts:
        data = (plain / part.name).read_bytes()
        assert {kind for kind, _ in boxes(data)} <= {b"styp", b"moof", b"mdat"}
        found = content(init + data)
        begin, end = round(part.start * RATE), round((part.start + part.duration) * RATE)
        assert found.numbers == list(range(begin, end))
        assert found.keyframes == [begin]
        assert found.sound_packets[0][0] == pytest.approx(part.start, abs=0.022)
        assert found.sound_packets[-1][1] == pytest.approx(part.start + part.duration, abs=0.022)


def test_sound_goes_on_from_part_to_part(plain: Path) -> None:
    packets = content(plain / "rec.m3u8").sound_packets
    assert packets[0][0] == 0
    assert 4.5 <= packets[-1][1] < 4.5 + 1024 / 48000
    for before, after in itertools.pairwise(packets):
        assert after[0] == pytest.approx(before[1], abs=1e-4)


def test_the_mp4_is_ordinary(plain: Path) -> None:
    kinds = [kind for kind, _ in boxes((plain / "rec.mp4").read_bytes())]
    assert kinds.index(b"moov") < kinds.index(b"mdat")
    assert b"moof" not in kinds
    assert probe_quiet(plain / "rec.mp4") == ""
    found = content(plain / "rec.mp4")
    assert found.numbers == ALL
    in_sync(found, [0.5, 1.5, 2.5, 3.5])


def test_the_manifest_tells_the_truth(plain: Path) -> None:
    told = json.loads((plain / "rec.json").read_text())
    assert told["epoch"] == "2023-11-14T22:13:20.250Z"
    assert told["media_seconds"] == 4.5
    assert told["attempts"] == [{"attempt": 1, "parts": 3, "start": 0.0, "end": 4.5}]
    assert told["gaps"] == []
    assert [track["codec"] for track in told["tracks"]] == ["h264", "aac"]
    there = {path.name for path in plain.iterdir()} - {"rec.json", "index.jsonl"}
    assert {file["name"] for file in told["files"]} == there
    for file in told["files"]:
        data = (plain / file["name"]).read_bytes()
        assert (file["bytes"], file["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())


@pytest.mark.parametrize("format", ["webm", "m4a", "ogg"])
def test_other_formats(tmp_path: Path, format: Format) -> None:
    write(tmp_path, format)
    assert finish(tmp_path, "rec", format).files == ("rec.m3u8", f"rec.{format}", "rec.json")
    for name in ("rec.m3u8", f"rec.{format}"):
        assert probe_quiet(tmp_path / name) == ""
        found = content(tmp_path / name)
        # An Opus log begins 13.5 ms late, for its first packet holds nothing but delay; a file of sound alone begins
        # with its sound.
        shift = 0.0135 if name == "rec.ogg" else 0.0
        assert found.clicks == pytest.approx([k + 0.5 - shift for k in range(4)], abs=0.004)
        if format == "webm":
            assert found.numbers == ALL
            assert found.flashes == pytest.approx([k + 0.5 for k in range(4)], abs=0.001)
    assert validate(tmp_path / "rec.m3u8") == []
    durations = [part.duration for part in read_index(tmp_path).parts]
    assert sum(durations) == pytest.approx(4.5, abs=0.022)
    assert max(durations) < 2.1


def test_pictures_alone(tmp_path: Path) -> None:
    write(tmp_path, "mp4", tracks="pictures")
    finish(tmp_path, "rec", "mp4")
    for name in ("rec.m3u8", "rec.mp4"):
        assert probe_quiet(tmp_path / name) == ""
        assert content(tmp_path / name).numbers == ALL


def test_a_later_attempt_goes_on_after_a_gap(tmp_path: Path) -> None:
    write(tmp_path, "mp4")
    write(tmp_path, "mp4", attempt=2, first=200, pictures=100)
    assert finish(tmp_path, "rec", "mp4").seconds == pytest.approx(235 / RATE)
    assert validate(tmp_path / "rec.m3u8") == []
    playlist = m3u8.load(str(tmp_path / "rec.m3u8"))
    assert [segment.discontinuity for segment in playlist.segments] == [False, False, False, True, False]
    assert playlist.segments[3].program_date_time.timestamp() == pytest.approx(EPOCH + 200 / RATE, abs=0.001)
    for name in ("rec.m3u8", "rec.mp4"):
        assert probe_quiet(tmp_path / name) == ""
        found = content(tmp_path / name)
        assert found.numbers == [*ALL, *range(200, 300)]
        assert found.times == pytest.approx([n / RATE for n in found.numbers], abs=0.001)
        in_sync(found, [0.5, 1.5, 2.5, 3.5, 7.5, 8.5, 9.5])
    gaps = json.loads((tmp_path / "rec.json").read_text())["gaps"]
    assert gaps == [{"start": 4.5, "end": pytest.approx(200 / RATE)}]


def test_attempts_whose_pictures_are_described_differently(tmp_path: Path) -> None:
    """As after an update of the encoder: other parameter sets."""
    write(tmp_path, "mp4")
    write(tmp_path, "mp4", attempt=2, first=150, pictures=90, quality="economy")
    finish(tmp_path, "rec", "mp4")
    assert validate(tmp_path / "rec.m3u8") == []
    assert (tmp_path / "rec.m3u8").read_text().count("#EXT-X-MAP") == 2
    assert probe_quiet(tmp_path / "rec.mp4") == ""
    found = content(tmp_path / "rec.mp4")
    assert found.numbers == [*ALL, *range(150, 240)]
    in_sync(found, [0.5, 1.5, 2.5, 3.5, 5.5, 6.5, 7.5])
    with av.open(str(tmp_path / "rec.mp4")) as source:  # back from the one to the other
        list(source.decode(video=0))
        source.seek(0)
        assert not any(frame.is_corrupt for frame in source.decode(video=0))


def test_an_attempt_that_begins_before_the_last_one_ended(tmp_path: Path) -> None:
    """Its node's clock is behind: nothing of it is left out, and sound stays with picture."""
    write(tmp_path, "mp4")
    write(tmp_path, "mp4", attempt=2, first=120, pictures=90)
    finish(tmp_path, "rec", "mp4")
    assert probe_quiet(tmp_path / "rec.mp4") == ""
    found = content(tmp_path / "rec.mp4")
    assert found.numbers == [*ALL, *range(120, 210)]
    in_sync(found, [0.5, 1.5, 2.5, 3.5, 5.0, 6.0, 7.0])


def test_a_first_attempt_that_recorded_nothing(tmp_path: Path) -> None:
    """The single file begins with the first picture there is."""
    write(tmp_path, "mp4", pictures=0)
    write(tmp_path, "mp4", attempt=2, first=150, pictures=60)
    finish(tmp_path, "rec", "mp4")
    found = content(tmp_path / "rec.mp4")
    assert found.numbers == list(range(150, 210))
    in_sync(found, [0.5, 1.5])
    assert validate(tmp_path / "rec.m3u8") == []


def test_durations_are_true_where_pictures_are_left_out(tmp_path: Path) -> None:
    log = write(tmp_path, pictures=150, left_out=range(58, 65))
    assert sum(part.duration for part in log.parts) == pytest.approx(5.0)
    for before, after in itertools.pairwise(log.parts):
        assert after.start == pytest.approx(before.start + before.duration)
    finish(tmp_path, "rec", "hls")
    assert validate(tmp_path / "rec.m3u8") == []


def test_finishing_again_changes_nothing(tmp_path: Path) -> None:
    write(tmp_path, "mp4")
    first = finish(tmp_path, "rec", "mp4")
    before = {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in tmp_path.iterdir()}
    assert finish(tmp_path, "rec", "mp4") == first
    assert {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in tmp_path.iterdir()} == before


def test_finishing_a_log_that_has_grown(tmp_path: Path) -> None:
    write(tmp_path, "mp4")
    finish(tmp_path, "rec", "mp4")
    write(tmp_path, "mp4", attempt=2, first=150, pictures=60)
    assert "#EXT-X-ENDLIST" not in (tmp_path / "rec.m3u8").read_text()
    finish(tmp_path, "rec", "mp4")
    for name in ("rec.m3u8", "rec.mp4"):
        assert content(tmp_path / name).numbers == [*ALL, *range(150, 210)]


def test_two_finish_at_once(tmp_path: Path) -> None:
    write(tmp_path, "mp4")
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: finish(tmp_path, "rec", "mp4"), range(4)))
    assert len(set(done)) == 1
    assert content(tmp_path / "rec.mp4").numbers == ALL
    assert not list(tmp_path.glob(".*"))


def test_who_finishes_waits_for_another(tmp_path: Path) -> None:
    write(tmp_path, "mp4")
    with ThreadPoolExecutor(1) as pool:
        with (tmp_path / "index.jsonl").open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            done = pool.submit(finish, tmp_path, "rec", "mp4")
            with pytest.raises(TimeoutError):
                done.result(0.5)
            assert not (tmp_path / "rec.mp4").exists()
        assert done.result(30).parts == 3


def test_finishing_after_a_recorder_died_between_index_and_playlist(tmp_path: Path) -> None:
    write(tmp_path, "mp4")
    finish(tmp_path, "rec", "mp4")
    playlist = (tmp_path / "rec.m3u8").read_bytes()
    write(tmp_path, "mp4", attempt=2, first=150, pictures=60)
    (tmp_path / "rec.m3u8").write_bytes(playlist)
    assert finish(tmp_path, "rec", "mp4").parts == 4
    for name in ("rec.m3u8", "rec.mp4"):
        assert content(tmp_path / name).numbers == [*ALL, *range(150, 210)]


def test_what_a_crash_leaves_does_not_count(tmp_path: Path) -> None:
    """A part without its line, a line cut short, a temporary file, half a single file."""
    write(tmp_path, "mp4")
    (tmp_path / "rec_1_00003.m4s").write_bytes(b"not in the index")
    (tmp_path / ".0123456789abcdef.tmp").write_bytes(b"half")
    (tmp_path / "rec.mp4").write_bytes(b"of an earlier finish")
    with (tmp_path / "index.jsonl").open("ab") as file:
        file.write(b'{"kind":"part","attempt":1,"sequ')
    assert finish(tmp_path, "rec", "mp4").parts == 3
    assert not list(tmp_path.glob(".*"))
    assert (tmp_path / "rec_1_00003.m4s").exists()  # media is not ours to delete
    write(tmp_path, "mp4", attempt=2, first=150, pictures=60)
    finish(tmp_path, "rec", "mp4")
    assert content(tmp_path / "rec.mp4").numbers == [*ALL, *range(150, 210)]


def test_media_of_before_the_beginning_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecorderError, match=r"would begin -2\.000 s after"):
        write(tmp_path, "mp4", first=-60)
    assert read_index(tmp_path).parts == ()
    write(tmp_path, "mp4", attempt=2)
    assert finish(tmp_path, "rec", "mp4").parts == 3
    assert content(tmp_path / "rec.mp4").numbers == ALL


def test_an_impossible_line_in_the_index_is_passed_over(tmp_path: Path) -> None:
    write(tmp_path, "mp4")
    with (tmp_path / "index.jsonl").open("ab") as file:
        file.write(line(Part(1, 9, "rec_1_00009.m4s", 2.0**64 / 90000, 2.0, 1, "")))
    assert finish(tmp_path, "rec", "mp4").parts == 3
    assert content(tmp_path / "rec.mp4").numbers == ALL


def test_nothing_recorded(tmp_path: Path) -> None:
    nothing = Finished((), 0.0, 0, 0)
    assert finish(tmp_path / "never made", "rec", "mp4") == nothing
    assert finish(tmp_path, "rec", "mp4") == nothing
    assert list(tmp_path.iterdir()) == []
    write(tmp_path, "mp4", pictures=0)
    assert finish(tmp_path, "rec", "mp4") == nothing
    assert not (tmp_path / "rec.mp4").exists()


def test_a_part_that_is_gone_is_told(tmp_path: Path) -> None:
    write(tmp_path, "mp4")
    (tmp_path / "rec_1_00001.m4s").unlink()
    with pytest.raises(RecorderError, match="rec_1_00001"):
        finish(tmp_path, "rec", "mp4")
    assert not (tmp_path / "rec.mp4").exists()


def test_a_disk_that_takes_no_more(tmp_path: Path) -> None:
    """What was closed before stays; nothing is written behind the hole."""
    encoder = VideoEncoder(VideoSpec(WIDTH, HEIGHT, RATE, 300), EncoderConfig(), PART_SECONDS)
    log = SegmentLog(tmp_path, "rec", 1)
    writer = CmafWriter(log, video=encoder.track, audio=None, part_seconds=PART_SECONDS, epoch=EPOCH)
    packets = [packet for n in range(200) for packet in encoder.encode(picture(n), n)]

    def put(some: list[EncodedPicture]) -> None:
        for packet in some:
            writer.video(*packet)

    put(packets[:90])
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, before[1]))
    try:
        with pytest.raises(RecorderError, match=r"rec_1_00001\.m4s cannot be written: File too large"):
            put(packets[90:130])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    with pytest.raises(RecorderError, match="The recording's log is closed"):
        put(packets[130:])
    writer.close()
    assert not list(tmp_path.glob(".*"))
    assert finish(tmp_path, "rec", "mp4").parts == 2, "what the journal took is salvaged"
    assert content(tmp_path / "rec.mp4").numbers == list(range(90))


def test_kill_9_while_writing(tmp_path: Path) -> None:
    """Every closed part is there and plays, whenever the writer was killed."""
    code = (
        "import pathlib, sys; from tests.media.log_maker import write;"
        "write(pathlib.Path(sys.argv[1]), 'mp4', pictures=1000)"
    )
    for parts in (1, 4):
        folder = tmp_path / str(parts)
        process = subprocess.Popen([sys.executable, "-c", code, str(folder)])
        try:
            deadline = time.monotonic() + 30
            while len(read_index(folder).parts) < parts and time.monotonic() < deadline:
                assert process.poll() is None
                time.sleep(0.002)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait(10)
        closed = len(read_index(folder).parts)
        assert closed >= parts
        assert finish(folder, "rec", "mp4").parts in (closed, closed + 1), "what was open is salvaged"
        assert validate(folder / "rec.m3u8") == []
        for name in ("rec.m3u8", "rec.mp4"):
            assert probe_quiet(folder / name) == ""
            found = content(folder / name)
            assert found.numbers == list(range(len(found.numbers)))
            assert len(found.numbers) >= 60 * closed - 59


def test_the_live_playlist_plays_up_to_now(tmp_path: Path) -> None:
    write(tmp_path)
    text = (tmp_path / "rec.m3u8").read_text()
    assert "#EXT-X-PLAYLIST-TYPE:EVENT" in text
    assert validate(tmp_path / "rec.m3u8", finished=False) == []
    finish(tmp_path, "rec", "hls")
    ended = (tmp_path / "rec.m3u8").read_text()
    assert re.sub("EVENT", "VOD", text) + "#EXT-X-ENDLIST\n" == ended
