"""The native recorder in rooms of a real Janus."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from recorders.config import RecorderConfig
from recorders.errors import Lost, Refused
from recorders.log.finish import finish
from recorders.native.recorder import NativeRecorder
from recorders.spec import ChannelSpec, RecordingSpec, VideoSpec
from tests.e2e.acceptance import check_file, until
from tests.e2e.janus_server import Janus, running_janus
from tests.oracle.analyse import analyse
from tests.oracle.clips import cached_clips
from tests.ports import free_port

pytestmark = pytest.mark.paired

PIN = "the-pin-of-the-room"
VIDEO = VideoSpec(640, 360, 30, 600)


@pytest.fixture(scope="module")
def janus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Janus]:
    """A server with numbers for ids, as Janus has by default."""
    with running_janus(tmp_path_factory.mktemp("janus")) as server:
        yield server


def recorder(folder: Path, janus: Janus, room: str, *users: str, pin: str = PIN, **changed: object) -> NativeRecorder:
    subject = ChannelSpec("app", room, 42, pin, users)
    settings = {"url": janus.url, "api_secret": janus.api_secret, **changed}
    config = RecorderConfig.model_validate({"sources": {"rules": [{"source": "janus"}], "janus": settings}})
    return NativeRecorder(RecordingSpec("task", str(folder), subject, "rec", video=VIDEO), config)


def test_who_is_not_let_in(tmp_path: Path, janus: Janus) -> None:
    async def record() -> None:
        await janus.create_room(1002, PIN)
        with pytest.raises(Refused, match=r"^Room 1002 at Janus 127.0.0.1:\d+ does not accept the access token\.$"):
            await recorder(tmp_path / "pin", janus, "1002", pin="wrong-pin").run()
        with pytest.raises(Refused, match=r"^There is no room 1003 at Janus 127.0.0.1:\d+\.$"):
            await recorder(tmp_path / "room", janus, "1003").run()
        with pytest.raises(Refused, match=r"^Room meeting is not a name that Janus .* its rooms are numbers\.$"):
            await recorder(tmp_path / "name", janus, "meeting").run()
        with pytest.raises(Refused, match=r"^Janus at 127.0.0.1:\d+ does not accept the API secret\.$"):
            await recorder(tmp_path / "secret", janus, "1002", api_secret="wrong-secret").run()
        url = f"ws://127.0.0.1:{free_port()}/path"
        with pytest.raises(Lost, match=r"^Janus at 127.0.0.1:\d+ cannot be reached: .*\.$"):
            await recorder(tmp_path / "host", janus, "1002", url=url).run()

    asyncio.run(record())


def test_a_server_that_does_not_answer(tmp_path: Path, janus: Janus) -> None:
    async def record() -> None:
        async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            writer.close()

        async with await asyncio.start_server(listen, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            silent = recorder(tmp_path, janus, "1002", url=f"ws://127.0.0.1:{port}", connect_timeout_s=0.5)
            begun = time.monotonic()
            with pytest.raises(Lost, match=rf"^Janus at 127.0.0.1:{port} did not answer in 0.5 s\.$"):
                await silent.run()
            assert time.monotonic() - begun < 5

    asyncio.run(record())


def test_names_for_ids_and_a_server_that_is_killed_and_starts_again(tmp_path: Path) -> None:
    """A room whose name is a number is found where ids are names; the recording goes on, in one log."""
    clip = cached_clips(1, keyframes=5)[0]
    folder = tmp_path / "janus"
    folder.mkdir()

    async def record(janus: Janus, recording: NativeRecorder) -> tuple[float, float]:
        def there(n: int) -> bool:
            return recording.progress().counters["participants"] == n

        await janus.create_room("1004", PIN)
        task = asyncio.create_task(recording.run())
        async with janus.publisher("1004", PIN, "feed-a", "user1", clip):
            await until(lambda: there(1))
            await asyncio.sleep(3)
            janus.kill()
            gone = time.time()
        await asyncio.sleep(0.5)
        await asyncio.to_thread(janus.start)
        back = time.time()
        await janus.create_room("1004", PIN)
        async with janus.publisher("1004", PIN, "feed-b", "user1", clip):
            await until(lambda: there(2))
            await asyncio.sleep(3)
            recording.stop()
            assert await asyncio.wait_for(task, 20) == "user_stop"
        began = recording.progress().began_at
        assert began is not None
        return gone - began, back - began

    with running_janus(folder, string_ids=True) as janus:
        recording = recorder(tmp_path, janus, "1004")
        gone, back = asyncio.run(record(janus, recording))
    finish(tmp_path, "rec", "hls")
    assert "DISCONTINUITY" not in (tmp_path / "rec.m3u8").read_text()
    report = analyse(tmp_path / "rec.m3u8", frame_rate=30)
    check_file(report)
    there = [second.t for second in report.seconds if "user1" in second.seen and "user1" in second.heard]
    assert [t for t in there if t + 1 < gone], report
    again = [t for t in there if t > back]
    assert again, report
    assert again[0] - back <= 5, report
    assert report.users["user1"].offset_p95 <= 60, report
    assert recording.progress().counters["reconnects"] == 1
