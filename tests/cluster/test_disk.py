"""A disk that fills up: recordings end cleanly with the fact, none is begun, and older ones stay as they are."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from recorders.config import RecorderConfig
from recorders.errors import Unwritable
from recorders.log.finish import finish
from recorders.log.segment_log import read_index
from recorders.recorder import build
from recorders.spec import ChannelSpec, RecordingSpec, VideoSpec
from tests.cluster.conftest import Elsewhere
from tests.cluster.service import native, until
from tests.oracle.hls import probe_quiet, validate
from tests.small_disk import fill, small_disk


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk") as why_not:
        if why_not:
            pytest.skip(why_not)
        yield tmp_path / "disk"


def test_a_disk_that_fills_up_ends_a_recording_cleanly_and_nothing_new_begins(elsewhere: Elsewhere) -> None:
    if elsewhere.why_not:
        pytest.skip(elsewhere.why_not)
    app = elsewhere.service.app("disk")
    old = app.record(native(format="mp4"))
    app.stop(old)
    app.wait(old, "STOPPED")
    before = _contents(app.folder(old))
    task = app.record(native())
    filler = fill(elsewhere.service.data, leave_mb=10)
    end = app.wait(task, "FAILED", limit_s=20)
    assert end["error"].startswith("The disk of its node was nearly full: ")
    assert end["payload"]["files"] == ["out.m3u8", "out.json"]
    assert validate(app.folder(task) / "out.m3u8") == []
    assert probe_quiet(app.file(task, "out.m3u8")) == ""
    body = {"request_id": "another", "cmd": "record", "payload": native()}
    until(lambda: app.post("", body).status_code == 503, 5, lambda: "it is not refused")
    refused = app.post("", body).json()
    assert refused["code"] == "unavailable"
    assert refused["error"].startswith("No node has 25 MB free on its disk to begin another recording: the most is ")
    assert _contents(app.folder(old)) == before
    filler.unlink()
    until(lambda: app.post("", body).status_code == 200, 40, lambda: "it is still refused")
    app.stop(app.post("", body).json()["task_id"])


def test_a_disk_that_is_full_at_once_fails_with_the_fact(disk: Path) -> None:
    """Faster than anybody could see it coming."""
    old, new = disk / "old", disk / "new"
    _record(old, 3.0)
    finish(old, "recording", "mp4")
    before = _contents(old)

    async def record() -> None:
        recorder = build(_spec(new), RecorderConfig())
        running = asyncio.create_task(recorder.run())
        await asyncio.to_thread(until, lambda: len(read_index(new).parts) > 0, 15, lambda: "no part")
        await asyncio.to_thread(fill, disk, 0)
        await running

    with pytest.raises(Unwritable, match="No space left on device"):
        asyncio.run(asyncio.wait_for(record(), 30))
    index = read_index(new)
    assert len(index.parts) > 0
    assert all((new / part.name).stat().st_size == part.bytes for part in index.parts)
    assert _contents(old) == before
    assert probe_quiet(old / "recording.mp4") == ""
    (disk / "filler").unlink()
    finish(new, "recording", "mp4")
    assert probe_quiet(new / "recording.mp4") == ""


def _spec(folder: Path) -> RecordingSpec:
    channel = ChannelSpec("app", "demo", 1, "a-token-0123456789")
    return RecordingSpec("t", str(folder), channel, format="mp4", video=VideoSpec(320, 180, 15, 200))


def _record(folder: Path, seconds: float) -> None:
    async def record() -> None:
        recorder = build(_spec(folder), RecorderConfig())
        asyncio.get_running_loop().call_later(seconds, recorder.stop)
        await recorder.run()

    asyncio.run(record())


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
