"""What of a recording is in an object store when nodes, processes and the store itself come and go."""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.responses import StreamingResponse

from egress_ray.api.stored import stored as served
from recorders.errors import RecorderError, StorageAway
from recorders.log import index as index_module
from recorders.log.index import Attempt, Part, line, parse
from recorders.log.segment_log import SegmentLog, read_index
from recorders.spec import Format
from recorders.storage import remote as remote_module
from recorders.storage import spool as spool_module
from recorders.storage.place import Place
from recorders.storage.remote import Remote
from recorders.storage.spool import Spool, _name, spool_of
from recorders.storage.uploader import Uploader
from tests.media.log_maker import content, write
from tests.oracle.hls import probe_quiet, validate
from tests.s3 import BUCKET, S3, environment, s3_server


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    with s3_server(tmp_path_factory.mktemp("s3") / "s3.log") as server, environment(server.environment):
        yield server


@pytest.fixture
def place(s3: S3, request: pytest.FixtureRequest) -> Place:
    return _place(request.node.name)


def _place(name: str, format: Format = "hls") -> Place:
    return Place(f"s3://{BUCKET}/kept", "app/" + name.replace("[", "-").replace("]", ""), "rec", format)


def _objects(s3: S3, place: Place) -> dict[str, bytes]:
    return s3.objects(f"kept/{place.path}/")


def _download(s3: S3, place: Place, folder: Path) -> Path:
    for name, body in _objects(s3, place).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(body)
    return folder


def _settle(folder: Path, place: Place) -> tuple[str, ...]:
    spool = Spool(folder, place)
    with spool.held(1):
        return spool.settle().files


@pytest.mark.parametrize("format", ["hls", "mp4", "webm"])
def test_a_recording_ends_whole_in_its_place_and_nothing_is_left_here(s3: S3, tmp_path: Path, format: Format) -> None:
    place, folder = _place(f"whole-{format}", format), tmp_path / "task"
    write(folder, format)
    files = _settle(folder, place)
    assert not folder.exists()
    kept = _download(s3, place, tmp_path / "kept")
    assert set(files) <= set(_objects(s3, place))
    manifest = json.loads((kept / "rec.json").read_text())
    for entry in manifest["files"]:
        assert hashlib.sha256((kept / entry["name"]).read_bytes()).hexdigest() == entry["sha256"]
    for name in files[:-1]:
        assert probe_quiet(kept / name) == ""
        if format != "webm":
            assert content(kept / name).numbers == list(range(135))
    assert _settle(folder, place) == files, "a second time changes nothing"
    assert not folder.exists()


def test_what_lies_beside_the_logs_of_all_nodes_is_kept_and_listed(s3: S3, tmp_path: Path, place: Place) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    write(here)
    for folder, name in ((here, "rec_1_report.json"), (there, "rec_2_report.json"), (there, "rec_2_screenshot.jpg")):
        folder.mkdir(exist_ok=True)
        (folder / name).write_text(name)
    beside = ("rec_2_report.json", "rec_2_screenshot.jpg")
    assert _settle(there, place) == beside, "nothing was recorded there"
    files = ("rec.m3u8", "rec.json", "rec_1_report.json", *beside)
    assert _settle(here, place) == files
    assert _settle(here, place) == files, "a second time changes nothing"
    assert [_objects(s3, place)[name] for name in beside] == [name.encode() for name in beside]


def test_closed_parts_go_at_once_and_leave_the_disk_when_nobody_needs_them(
    s3: S3, tmp_path: Path, place: Place
) -> None:
    spool = Spool(tmp_path, place)
    with spool.held(1):
        write(tmp_path)
        assert spool.backlog > 0
        spool.advance()
        assert spool.backlog == 0
        parts = [part.name for part in read_index(tmp_path).parts]
        assert set(parts) < set(_objects(s3, place))
        assert [name for name in parts if (tmp_path / name).exists()] == parts[-1:]
        write(tmp_path, attempt=2, first=150)
        spool.advance()
    _settle(tmp_path, place)
    kept = _download(s3, place, tmp_path / "kept")
    assert validate(kept / "rec.m3u8") == []
    assert content(kept / "rec.m3u8").numbers == [*range(135), *range(150, 285)]


def test_the_next_attempt_on_another_node_goes_on_with_what_is_in_the_store(
    s3: S3, tmp_path: Path, place: Place
) -> None:
    place = _place("other-node", "mp4")
    here, there = Spool(tmp_path / "here", place), Spool(tmp_path / "there", place)
    with here.held(1):
        write(here.folder)
        here.advance()
    with there.held(1):
        there.adopt()
        assert read_index(there.folder).newest_attempt == 1
        write(there.folder, attempt=2, first=150)
        files = there.settle().files
    assert files == ("rec.m3u8", "rec.mp4", "rec.json")
    kept = _download(s3, place, tmp_path / "kept")
    for name in ("rec.m3u8", "rec.mp4"):
        assert content(kept / name).numbers == [*range(135), *range(150, 285)]


def test_the_finished_playlist_outlives_what_other_nodes_still_have_of_the_recording(
    s3: S3, tmp_path: Path, place: Place
) -> None:
    place = _place("left-behind", "hls")
    left = Spool(tmp_path / "left", place)
    with left.held(1):
        write(left.folder)
        left.advance(live=True)
        live = _objects(s3, place)["rec.m3u8"]
        assert b"#EXT-X-ENDLIST" not in live
    finished = Spool(tmp_path / "finished", place)
    with finished.held(1):
        finished.settle()
    done = _objects(s3, place)["rec.m3u8"]
    assert b"#EXT-X-ENDLIST" in done
    again = Spool(left.folder, place)
    with again.held(1):
        again.advance()
        assert _objects(s3, place)["rec.m3u8"] == done
        again.advance(live=True)
        again._remote.put(left.folder / "rec.m3u8", "rec.m3u8")  # as one that was frozen in the middle of it
        assert _objects(s3, place)["rec.m3u8"] == live
        again.settle()
    assert _objects(s3, place)["rec.m3u8"] == done


@pytest.mark.parametrize("format", ["hls", "mp4"])
def test_a_log_of_each_user_goes_the_same_way(s3: S3, tmp_path: Path, format: Format) -> None:
    place = Place(f"s3://{BUCKET}/kept", f"app/each-{format}", "rec_{user}", format)
    here, there = Spool(tmp_path / "here", place), Spool(tmp_path / "there", place)
    with here.held(1):
        for user in ("ada", "a_1"):
            write(here.folder, format, user=user, quality="economy")
        assert here.backlog > 0
        here.advance()
        assert here.backlog == 0
    with there.held(1):
        there.adopt()
        write(there.folder, format, user="ada", attempt=2, first=150, quality="economy")
        write(there.folder, format, user="ben", attempt=2, first=150, pictures=40, quality="economy", dies=True)
        done = there.settle()
    single = (f".{format}",) if format == "mp4" else ()
    ends = (".m3u8", *single, ".json")
    assert done.files == tuple(f"rec_{user}{end}" for user in ("a_1", "ada", "ben") for end in ends)
    assert not there.folder.exists()
    kept = _download(s3, place, tmp_path / "kept")
    whole = {"a_1": range(135), "ada": [*range(135), *range(150, 285)], "ben": range(150, 190)}
    for user, numbers in whole.items():
        assert validate(kept / f"rec_{user}.m3u8") == []
        for end in ends[:-1]:
            assert content(kept / f"rec_{user}{end}").numbers == list(numbers)
    with there.held(1):
        assert there.settle() == done, "a second time changes nothing"


def test_what_a_lost_node_still_had_is_added_when_it_comes_back(s3: S3, tmp_path: Path, place: Place) -> None:
    lost, second = Spool(tmp_path / "lost", place), Spool(tmp_path / "second", place)
    with lost.held(1):
        write(lost.folder, pictures=60)
        lost.advance()
    write(tmp_path / "more")
    for entry in (tmp_path / "more").iterdir():
        shutil.copy(entry, lost.folder / entry.name)
    with second.held(1):
        second.adopt()
        write(second.folder, attempt=2, first=150)
        second.settle()
    early = _download(s3, place, tmp_path / "early")
    assert content(early / "rec.m3u8").numbers == [*range(60), *range(150, 285)]
    back = spool_of(lost.folder)
    assert back is not None
    with back.held(1):
        back.settle()
    assert not lost.folder.exists()
    late = _download(s3, place, tmp_path / "late")
    assert validate(late / "rec.m3u8") == []
    assert content(late / "rec.m3u8").numbers == [*range(135), *range(150, 285)]


def test_while_the_store_is_away_recording_goes_on_and_nothing_is_lost(s3: S3, tmp_path: Path, place: Place) -> None:
    write(tmp_path, pictures=60)
    first = Uploader(Spool(tmp_path, place))
    _until(lambda: "rec_1_00000.m4s" in _objects(s3, place))
    s3.cut()
    try:
        write(tmp_path, attempt=2, first=70)
        _until(lambda: first.backlog > 0)
        assert "The storage does not" in first.problem
        assert "127.0.0.1" not in first.problem
        first.stop(20)  # the recorder is replaced meanwhile
        second = Uploader(Spool(tmp_path, place))
        write(tmp_path, attempt=3, first=210, pictures=60)
        with pytest.raises(StorageAway):
            _other(tmp_path / "elsewhere", place)
    finally:
        s3.mend()
    _until(lambda: second.problem == "" and second.backlog == 0)
    second.stop(20)
    log = read_index(tmp_path)
    _settle(tmp_path, place)
    objects = _objects(s3, place)
    for part in log.parts:
        assert hashlib.sha256(objects[part.name]).hexdigest() == part.sha256
    assert not tmp_path.exists()
    kept = _download(s3, place, tmp_path)
    assert content(kept / "rec.m3u8").numbers == [*range(60), *range(70, 205), *range(210, 270)]


def test_what_is_stored_is_not_gone_through_again_for_each_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "task"
    place = Place(f"file://{tmp_path}/kept", "t", "rec", "mp4")
    log = SegmentLog(folder, "rec", 1)
    log.begin(0.0, b"init", 2.0)
    data, digest = b"part", hashlib.sha256(b"part").hexdigest()

    def close(first: int, last: int) -> None:
        parts = [Part(1, k, f"rec_1_{k:05d}.m4s", 2.0 * k, 2.0, len(data), digest) for k in range(first, last)]
        for part in parts:
            (folder / part.name).write_bytes(data)
        with (folder / "index.jsonl").open("ab") as file:
            file.writelines(map(line, parts))

    spool = Spool(folder, place)
    looked: list[str] = []

    def counted(entry: Attempt | Part) -> bytes:
        looked.append("line")
        return line(entry)

    def named(entry: Attempt | Part) -> str:
        looked.append("name")
        return _name(entry)

    with spool.held(1):
        close(0, 600)
        spool.advance(live=True)
        monkeypatch.setattr(index_module, "line", counted)
        monkeypatch.setattr(spool_module, "_name", named)
        for k in range(600, 610):
            close(k, k + 1)
            spool.advance(live=True)
            assert spool.backlog == 0
    assert looked.count("name") < 10 * 10, "the part that is new"
    assert looked.count("line") < 10 * 256, "the piece of the index that grows"
    kept = tmp_path / "kept" / "t"
    pieces = sorted(kept.glob("index_*.jsonl"))
    assert parse(b"".join(piece.read_bytes() for piece in pieces).splitlines()) == read_index(folder)
    assert len(list(kept.glob("*.m4s"))) == 610


def test_only_one_at_a_time_is_at_a_spool(s3: S3, tmp_path: Path, place: Place) -> None:
    with Spool(tmp_path, place).held(0), pytest.raises(TimeoutError), Spool(tmp_path, place).held(0):
        pass


def test_a_damaged_file_is_told_and_kept(s3: S3, tmp_path: Path, place: Place) -> None:
    write(tmp_path)
    (tmp_path / "rec_1_00000.m4s").write_bytes(b"damaged")
    with pytest.raises(RecorderError, match=r"rec_1_00000\.m4s is not what was written to it"):
        _settle(tmp_path, place)
    assert (tmp_path / "rec_1_00000.m4s").exists()


def test_objects_larger_than_a_piece_are_verified_by_their_pieces(s3: S3, tmp_path: Path, place: Place) -> None:
    big = tmp_path / "big"
    big.write_bytes(bytes(range(256)) * 40 * 2048)  # 20 MiB
    stored = Remote(place.url, place.path).put(big, "sub folder/big")
    assert stored.bytes == big.stat().st_size
    assert _objects(s3, place)["sub folder/big"] == big.read_bytes()


def test_what_is_fetched_is_what_was_stored_or_an_error(s3: S3, tmp_path: Path, place: Place) -> None:
    remote = Remote(place.url, place.path)
    (tmp_path / "a").write_bytes(b"abc")
    stored = remote.put(tmp_path / "a", "a")
    remote.fetch("a", tmp_path / "b", stored)
    assert (tmp_path / "b").read_bytes() == b"abc"
    s3.corrupt(f"kept/{place.path}/a")
    with pytest.raises(StorageAway, match="something else"):
        remote.fetch("a", tmp_path / "c", stored)
    assert not (tmp_path / "c").exists()


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> int:
    """The time of a request, and what it moves, scaled down; the bytes of a file that takes several times as long at
    a third of a megabyte a second."""
    monkeypatch.setattr(remote_module, "_REQUEST_S", 2.5)
    monkeypatch.setattr(remote_module, "_AGAIN_S", 3.3)
    monkeypatch.setattr(remote_module, "_PIECE", 64 * 1024)  # a fifth of a second; a busy machine may take some
    return 28 * 64 * 1024 + 1000


_SLOW = 320 * 1024


def test_a_large_file_is_stored_over_a_slow_uplink(s3: S3, tmp_path: Path, place: Place, hasty: int) -> None:
    big = tmp_path / "big"
    big.write_bytes(bytes(hasty))
    begun = time.monotonic()
    with s3.limited(up=_SLOW):
        Remote(place.url, place.path).put(big, "big")
    assert time.monotonic() - begun > 2 * remote_module._REQUEST_S
    assert _objects(s3, place)["big"] == big.read_bytes()


def test_what_is_no_checksum_is_verified_by_reading_it_however_long_that_takes(
    s3: S3, tmp_path: Path, place: Place, hasty: int
) -> None:
    big = tmp_path / "big"
    big.write_bytes(bytes(hasty))
    begun = time.monotonic()
    with s3.limited(down=_SLOW, checksums=False):
        Remote(place.url, place.path).put(big, "big")
    assert time.monotonic() - begun > 2 * remote_module._REQUEST_S, "it was read"


def test_a_large_file_is_fetched_and_served_however_long_that_takes(
    s3: S3, tmp_path: Path, place: Place, hasty: int
) -> None:
    big, remote = tmp_path / "big", Remote(place.url, place.path)
    big.write_bytes(hashlib.shake_256(b"big").digest(hasty))
    stored = remote.put(big, "big")

    async def serve() -> bytes:
        response = await served(remote, "big", "bytes=100-", "video/mp4", {})
        assert isinstance(response, StreamingResponse)
        assert response.headers["content-range"] == f"bytes 100-{hasty - 1}/{hasty}"
        return b"".join([bytes(piece) async for piece in response.body_iterator])  # type: ignore[arg-type]

    with s3.limited(down=_SLOW):
        begun = time.monotonic()
        remote.fetch("big", tmp_path / "copy", stored)
        assert time.monotonic() - begun > 2 * remote_module._REQUEST_S
        assert asyncio.run(serve()) == big.read_bytes()[100:]
    assert (tmp_path / "copy").read_bytes() == big.read_bytes()


def test_an_object_that_is_replaced_while_it_is_served_is_not_mixed(
    s3: S3, tmp_path: Path, place: Place, hasty: int
) -> None:
    remote = Remote(place.url, place.path)
    (tmp_path / "a").write_bytes(bytes(hasty))
    remote.put(tmp_path / "a", "a")

    async def read() -> int:
        pieces = await remote.open("a", 0, hasty)
        length = len(bytes(await anext(pieces)))
        s3.corrupt(f"kept/{place.path}/a")
        with pytest.raises(StorageAway):
            await anext(pieces)
        return length

    assert asyncio.run(read()) < hasty


def test_a_bucket_that_does_not_exist_is_told_without_address(s3: S3, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    with pytest.raises(StorageAway, match=r"^The storage does not take: .*404") as raised:
        Remote("s3://nobody-has-this", "x").put(tmp_path / "a", "a")
    assert "127.0.0.1" not in str(raised.value)


def test_a_folder_is_a_store_too(tmp_path: Path) -> None:
    write(tmp_path / "task")
    place = Place(f"file://{tmp_path}/kept", "app/task", "rec", "hls")
    _settle(tmp_path / "task", place)
    assert content(tmp_path / "kept" / "app" / "task" / "rec.m3u8").numbers == list(range(135))


def _other(folder: Path, place: Place) -> None:
    spool = Spool(folder, place)
    with spool.held(1):
        spool.adopt()


def _until(condition, limit_s: float = 30) -> None:  # type: ignore[no-untyped-def]
    limit = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.05)
