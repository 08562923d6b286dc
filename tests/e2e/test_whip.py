"""Publishers of their own processes push by WHIP into the native recorder, over real WebRTC."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx
import pytest

from recorders.config import RecorderConfig
from recorders.errors import RecorderError
from recorders.log.finish import finish
from recorders.native.recorder import NativeRecorder
from recorders.sources.whip import WhipSource
from recorders.spec import ChannelSpec, RecordingSpec, VideoSpec
from tests.e2e.acceptance import check_file, check_phases, until
from tests.e2e.network import Proxy
from tests.e2e.publish import publishing
from tests.e2e.whip_front import whip_front
from tests.oracle.analyse import analyse
from tests.oracle.clips import cached_clips
from tests.oracle.participants import Box

pytestmark = pytest.mark.paired

VIDEO = VideoSpec(640, 360, 30, 600)


def recorder(folder: Path, *users: str, **whip: object) -> NativeRecorder:
    subject = ChannelSpec("app", "room", 42, "token", users)
    config = RecorderConfig.model_validate({"sources": {"rules": [{"source": "whip"}], "whip": whip}})
    return NativeRecorder(RecordingSpec("task", str(folder), subject, "rec", video=VIDEO), config)


@asynccontextmanager
async def serving(recording: NativeRecorder, networks: Mapping[str, Proxy] | None = None) -> AsyncIterator[str]:
    """Record until the context ends; yields the URL to publish to."""
    task = asyncio.create_task(recording.run())
    source = recording.source
    assert isinstance(source, WhipSource)
    try:
        async with whip_front(source, networks) as url:
            yield url
    finally:
        recording.stop()
        begun = time.monotonic()
        assert await asyncio.wait_for(task, 20) == "user_stop"
        assert time.monotonic() - begun < 5


@asynccontextmanager
async def publisher(url: str, clip: Path) -> AsyncIterator[subprocess.Popen[bytes]]:
    """`publishing` beside the event loop, which has to answer the publisher that leaves."""
    process = publishing(url, "token", clip)
    child = await asyncio.to_thread(process.__enter__)
    try:
        yield child
    finally:
        await asyncio.to_thread(process.__exit__, None, None, None)


def test_three_users_come_and_go(tmp_path: Path) -> None:
    clips = cached_clips(3)
    recording = recorder(tmp_path, "user1", "user2", "user3")  # at all addresses of this machine

    async def record() -> None:
        def there(n: int) -> bool:
            return recording.progress().counters["participants"] == n

        async with serving(recording) as url, AsyncExitStack() as all_the_time, AsyncExitStack() as for_a_while:
            await all_the_time.enter_async_context(publisher(f"{url}user1", clips[0]))
            await for_a_while.enter_async_context(publisher(f"{url}user2", clips[1]))
            await until(lambda: there(2))
            await asyncio.sleep(4)
            await all_the_time.enter_async_context(publisher(f"{url}user3", clips[2]))
            await until(lambda: there(3))
            await asyncio.sleep(4.5)
            await for_a_while.aclose()
            await asyncio.sleep(4)
            recording.stop()
            await until(lambda: recording.progress().phase == "closed")

    asyncio.run(record())
    finish(tmp_path, "rec", "hls")
    report = analyse(tmp_path / "rec.m3u8", frame_rate=30)
    left, right = Box(0, 0, 320, 360), Box(320, 0, 320, 360)
    corners = [Box(0, 0, 320, 180), Box(320, 0, 320, 180), Box(0, 180, 320, 180)]
    check_phases(
        report,
        [
            {"user1": left, "user2": right},
            dict(zip(("user1", "user2", "user3"), corners, strict=True)),
            {"user1": left, "user3": right},
        ],
        recording.progress().counters,
    )
    check_file(report)
    assert "packets_lost" not in recording.progress().counters


def test_a_second_publisher_takes_the_place_of_the_first(tmp_path: Path) -> None:
    clips = cached_clips(2)
    recording = recorder(tmp_path, ice_address="127.0.0.1")

    async def record() -> None:
        async with serving(recording) as url, publisher(f"{url}guest", clips[0]) as first:
            await until(lambda: recording.progress().counters["participants"] == 1)
            await asyncio.sleep(4)
            async with publisher(f"{url}guest", clips[1]):
                await until(lambda: recording.progress().counters["participants"] == 2)
                await asyncio.sleep(4)
                assert first.poll() != 0, "its session is over, whether it has seen that or not"
                recording.stop()

    asyncio.run(record())
    finish(tmp_path, "rec", "hls")
    report = analyse(tmp_path / "rec.m3u8", frame_rate=30)
    everything = Box(0, 0, 640, 360)
    check_phases(report, [{"user1": everything}, {"user2": everything}], recording.progress().counters)
    check_file(report)


def test_who_is_not_let_in(tmp_path: Path) -> None:
    recording = recorder(tmp_path, "user1", "user2", ice_address="127.0.0.1", max_publishers=1)
    offer = Path(__file__).with_name("offer.sdp").read_text()

    async def record() -> dict[str, str]:
        async with serving(recording) as url, httpx.AsyncClient() as client:

            async def said(user: str, sdp: str) -> str:
                reply = await client.post(url + user, content=sdp)
                assert reply.status_code == 400
                return reply.text

            refusals = {
                "stranger": await said("stranger", offer),
                "no SDP": await said("user1", "hello"),
                "empty": await said("user1", ""),
                "no media": await said("user1", offer[: offer.index("m=audio")]),
                "no codec": await said("user1", offer.replace("opus/48000/2", "L16/44100/2")),
                "no ICE": await said("user1", offer.replace("a=ice-", "a=x-")),
                "two": await said("user1", offer + offer[offer.index("m=audio") :].replace("mid:0", "mid:1")),
            }
            # None of those has taken the one place.
            reply = await client.post(url + "user1", content=offer)
            assert reply.status_code == 201
            assert "typ host" in reply.text
            refusals["full"] = await said("user2", offer)
            assert (await client.delete(httpx.URL(url).join(reply.headers["Location"]))).status_code == 200
            assert (await client.delete(httpx.URL(url).join(reply.headers["Location"]))).status_code == 404
            assert (await client.post(url + "user2", content=offer)).status_code == 201
            return refusals

    refusals = asyncio.run(record())
    assert refusals["stranger"] == "stranger is not among the users of this recording."
    assert refusals["no media"] == "The SDP offer has neither sound nor picture."
    assert refusals["no codec"] == "The SDP offer has no audio codec that is taken: opus."
    assert refusals["two"] == "The SDP offer has 2 audio sections; one is taken."
    assert refusals["full"] == "Channel room has 1 publishers already, its limit."
    for sentence in refusals.values():
        assert sentence.endswith(".")
        assert "\n" not in sentence
    assert "participants" not in recording.progress().counters or not recording.progress().counters["participants"]


def test_nobody_is_let_in_before_or_after(tmp_path: Path) -> None:
    recording = recorder(tmp_path, ice_address="127.0.0.1")

    async def record() -> None:
        async with serving(recording):
            await until(lambda: recording.progress().phase == "recording")
        source = recording.source
        assert isinstance(source, WhipSource)
        with pytest.raises(RecorderError, match="The recording of channel room has ended"):
            await source.publish("user1", "")

    asyncio.run(record())
