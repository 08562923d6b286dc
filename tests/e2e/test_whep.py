"""Users played from a WHEP endpoint into the native recorder, over real WebRTC."""

from __future__ import annotations

import asyncio
import re
import socket
from pathlib import Path

import pytest

from recorders.config import RecorderConfig
from recorders.errors import InvalidSpec, Lost, RecorderError, Refused, Unreachable
from recorders.log.finish import finish
from recorders.native.recorder import NativeRecorder
from recorders.spec import ChannelSpec, RecordingSpec, VideoSpec
from tests.e2e.acceptance import check_file, until
from tests.e2e.whep_server import WhepServer
from tests.oracle.analyse import analyse
from tests.oracle.clips import cached_clips

pytestmark = pytest.mark.paired


def recorder(folder: Path, url: str, *users: str, token: str = "access-token", **more: object) -> NativeRecorder:
    subject = ChannelSpec("app", "room", 42, token, users)
    whep = {"url": url, "ice_address": "127.0.0.1", **more}
    config = RecorderConfig.model_validate({"sources": {"rules": [{"source": "whep"}], "whep": whep}})
    return NativeRecorder(
        RecordingSpec("task", str(folder), subject, "rec", video=VideoSpec(640, 360, 30, 600)), config
    )


async def failure(recording: NativeRecorder) -> RecorderError:
    with pytest.raises(RecorderError) as caught:
        await asyncio.wait_for(recording.run(), 15)
    return caught.value


def test_users_come_are_cut_off_and_come_again(tmp_path: Path) -> None:
    """One is there from the beginning and is cut off once, one comes later; the recorder leaves cleanly."""
    clips = cached_clips(2)
    server = WhepServer("access-token", {"user1": clips[0]})

    async def record() -> NativeRecorder:
        async with server.serving() as url:
            recording = recorder(tmp_path, url, "user1", "user2")
            task = asyncio.create_task(recording.run())

            async def there(n: int) -> None:
                await until(lambda: recording.progress().counters["participants"] == n)

            await there(1)
            await asyncio.sleep(3.5)
            server.clips["user2"] = clips[1]
            await there(2)
            await asyncio.sleep(3.5)
            await server.hang_up(next(number for number in server.sessions if number.startswith("user1-")))
            await there(3)
            await asyncio.sleep(3.5)
            recording.stop()
            assert await asyncio.wait_for(task, 20) == "user_stop"
            await until(lambda: not server.sessions)  # ended by DELETE
            return recording

    recording = asyncio.run(record())
    finish(tmp_path, "rec", "hls")
    report = analyse(tmp_path / "rec.m3u8", frame_rate=30)
    check_file(report)
    what = f"\n{report}\n{recording.progress().counters}"
    there = ["".join(sorted(second.seen)).replace("user", "") for second in report.seconds]
    heard = ["".join(sorted(second.heard)).replace("user", "") for second in report.seconds]
    for found in (there, heard):
        assert found.count("1") >= 2, what
        assert found.index("1") < found.index("12"), what
        assert found[-3:-1] == ["12", "12"], what
    for user in ("user1", "user2"):
        assert report.users[user].offsets, what
        assert abs(report.users[user].offset_median) <= 40, what
    assert ("user2", 404) in server.asked
    assert [status for user, status in server.asked if user == "user1"].count(201) == 2


def test_who_is_refused_later_ends_nothing(tmp_path: Path) -> None:
    clips = cached_clips(2)
    server = WhepServer("access-token", {"user1": clips[0]})

    async def record() -> None:
        async with server.serving() as url:
            recording = recorder(tmp_path, url, "user1", "user2")
            task = asyncio.create_task(recording.run())

            def counted(counter: str) -> int:
                return recording.progress().counters.get(counter, 0)

            await until(lambda: counted("participants") == 1 and ("user2", 404) in server.asked)
            server.refusals["user2"] = 406
            await until(lambda: server.asked.count(("user2", 406)) == 2)
            assert counted("sources_failed") == 1
            server.clips["user2"] = clips[1]
            await until(lambda: counted("participants") == 2)
            recording.stop()
            assert await asyncio.wait_for(task, 20) == "user_stop"

    asyncio.run(record())


def test_who_has_no_port_left_is_asked_for_again(tmp_path: Path) -> None:
    server = WhepServer("access-token", dict(zip(("user1", "user2"), cached_clips(2), strict=True)))

    async def record() -> RecorderError:
        with socket.socket(type=socket.SOCK_DGRAM) as one:
            one.bind(("127.0.0.1", 0))
            port = one.getsockname()[1]
            async with server.serving() as url:
                error = await failure(recorder(tmp_path / "1", url, "user1", udp_ports=(port, port)))
                one.close()
                recording = recorder(tmp_path / "2", url, "user1", "user2", udp_ports=(port, port))
                task = asyncio.create_task(recording.run())
                await until(lambda: recording.progress().counters["participants"] == 1)
                await asyncio.sleep(0.6)  # the other has been asked for twice
                (session,) = server.sessions
                del server.clips[session.partition("-")[0]]
                await server.hang_up(session)
                await until(lambda: recording.progress().counters["participants"] == 2)
                recording.stop()
                assert await asyncio.wait_for(task, 20) == "user_stop"
        return error

    error = asyncio.run(record())
    assert isinstance(error, Lost)
    assert re.fullmatch(r"No UDP port from \d+ to \d+ is free at 127.0.0.1\.", str(error))


def test_what_cannot_be_played(tmp_path: Path) -> None:
    server = WhepServer("access-token", {})

    async def run() -> list[RecorderError]:
        async with server.serving() as url:
            errors = [await failure(recorder(tmp_path / "1", url, "user1", "user2", token="another-token"))]
        errors.append(await failure(recorder(tmp_path / "2", url, "user1", "user2")))
        errors.append(await failure(recorder(tmp_path / "3", url)))
        return errors

    token, nobody, users = asyncio.run(run())
    assert isinstance(token, Refused)
    assert "does not accept the access token (HTTP 401)" in str(token)
    assert isinstance(nobody, Unreachable)
    assert "cannot be reached: Connection refused" in str(nobody)
    assert isinstance(users, InvalidSpec)
    assert str(users) == "Channel room is played by WHEP, which needs users to be named."
    for error in (token, nobody):
        assert str(error).count(".") == 4, "an address, and the end of the sentence"
        assert "token" not in str(error).replace("access token", "")
