"""What the Janus source tells the recorder while a room and its server change; no recording is made."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from recorders.errors import Lost, Refused
from recorders.sources.base import EncodedFrame, Kind
from recorders.sources.janus import JanusSource
from recorders.sources.janus_api import Session
from recorders.sources.picture_size import picture_size
from recorders.spec import ChannelSpec
from tests.e2e.acceptance import until
from tests.e2e.janus_server import Janus, running_janus
from tests.oracle.clips import cached_clips

pytestmark = pytest.mark.paired

PIN = "the-pin-of-the-room"
TOKENS = "the-secret-of-signed-tokens"


@pytest.fixture(scope="module")
def janus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Janus]:
    """A server that lets sessions be claimed, and ends those that are silent for 3 s."""
    folder = tmp_path_factory.mktemp("janus")
    with running_janus(folder, general="reclaim_session_timeout = 20  session_timeout = 3") as server:
        yield server


class Listener:
    """A sink that keeps what it is told."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        self.said: list[str] = []
        self.muted_now: set[tuple[str, Kind]] = set()
        self.frames: dict[tuple[str, Kind], list[EncodedFrame]] = {}
        self.counters: dict[str, int] = {}

    def joined(self, uid: str, name: str = "") -> None:
        self.said.append(f"{uid} joined")
        self.names[uid] = name

    def left(self, uid: str) -> None:
        self.said.append(f"{uid} left")
        self.names.pop(uid, None)
        self.muted_now = {one for one in self.muted_now if one[0] != uid}

    def muted(self, uid: str, kind: Kind, on: bool) -> None:
        self.muted_now.add((uid, kind)) if on else self.muted_now.discard((uid, kind))

    def encoded(self, uid: str, kind: Kind, frame: EncodedFrame) -> None:
        self.frames.setdefault((uid, kind), []).append(frame)

    def count(self, counter: str, n: int = 1) -> None:
        self.counters[counter] = self.counters.get(counter, 0) + n

    def video(self, uid: str, frame: av.VideoFrame, t: float) -> None: ...
    def audio(self, uid: str, frame: av.AudioFrame, t: float) -> None: ...

    def comes(self, uid: str, kind: Kind, n: int = 10) -> bool:
        """Whether n more have come since the last `forget`."""
        return len(self.frames.get((uid, kind), [])) >= n

    def gap(self, uid: str, kind: Kind) -> float:
        """The longest time between the captures of two consecutive frames, in seconds."""
        return float(np.diff([frame.t for frame in self.frames[uid, kind]]).max())

    def forget(self) -> None:
        self.frames.clear()


@asynccontextmanager
async def listening(janus: Janus, room: int, **changed: Any) -> AsyncIterator[tuple[JanusSource, Listener]]:
    """The source in a room, until the context ends; what it fails with is raised there."""
    source, sink = JanusSource(ChannelSpec("app", str(room), 42, PIN), janus.config(**changed)), Listener()
    task = asyncio.create_task(source.run(sink))
    try:
        yield source, sink
    finally:
        task.cancel()
        await asyncio.wait([task])
    if not task.cancelled() and (error := task.exception()):
        raise error


def clip(n: int = 0, **changed: Any) -> Path:
    return cached_clips(
        n + 1, **{"seconds": 4, "width": 160, "height": 90, "frame_rate": 15, "keyframes": 5, **changed}
    )[n]


def test_streams_come_and_go(janus: Janus) -> None:
    """First only sound; then a camera, off and on by negotiation and by a moderator; a screen; another name."""

    async def run() -> None:
        await janus.create_room(1, PIN)
        async with janus.publisher(1, PIN, 11, "ada", clip(), camera=False) as ada, listening(janus, 1) as (_, sink):
            await until(lambda: sink.comes("11", "audio"))
            assert ("11", "video") not in sink.frames
            assert await janus.participants(1) == {"ada", "recorder"}
            await ada.camera(True)
            await until(lambda: sink.comes("11", "video"))
            await ada.camera(False)
            await until(lambda: ("11", "video") in sink.muted_now)
            await ada.share(clip(1))
            await until(lambda: sink.names == {"11": "ada", "11-screen": "ada (screen)"})
            await until(lambda: sink.comes("11-screen", "video"))
            await ada.rename("Ada")
            await until(lambda: sink.names == {"11": "Ada", "11-screen": "Ada (screen)"})
            sink.frames.pop(("11", "video"))
            await ada.camera(True)
            await until(lambda: not sink.muted_now and sink.comes("11", "video"))
            await ada.moderate("0", True)
            await until(lambda: ("11", "audio") in sink.muted_now)
            await ada.moderate("0", False)
            await ada.unshare()
            await until(lambda: not sink.muted_now and set(sink.names) == {"11"})
            assert sink.said.count("11 left") == 0
        assert sink.said[-1] == "11 left"
        async with asyncio.timeout(10):
            while await janus.participants(1):  # noqa: ASYNC110
                await asyncio.sleep(0.05)

    asyncio.run(run())


def test_a_lost_connection_is_replaced_without_a_loss(janus: Janus) -> None:
    """The session is claimed on another connection, media goes on, and what happened meanwhile is known."""

    async def run() -> None:
        await janus.create_room(2, PIN)
        async with janus.publisher(2, PIN, 11, "ada", clip()), listening(janus, 2) as (source, sink):
            async with janus.publisher(2, PIN, 12, "ben", clip(1)):
                await until(lambda: sink.comes("11", "audio") and sink.comes("12", "audio"))
                handle = source._feeds["11"].handle
                connect = source._session._connect

                async def later() -> None:
                    """Not before somebody has left and somebody has come."""
                    await changed.wait()
                    await connect()

                changed = asyncio.Event()
                source._session._connect = later  # type: ignore[method-assign]
                assert source._session._socket is not None
                source._session._socket.transport.abort()
                await until(lambda: sink.counters.get("reconnects") == 1)
            async with janus.publisher(2, PIN, 13, "cem", clip(2)):
                changed.set()
                await until(lambda: set(sink.names) == {"11", "13"} and sink.comes("13", "audio"))
                assert sink.said.count("11 left") == 0
                assert source._feeds["11"].handle == handle, "its connection is the same"
                assert sink.gap("11", "audio") < 0.5
                # Nor does the session end for want of keepalives.
                await asyncio.sleep(4)
                assert sink.counters["reconnects"] == 1

    asyncio.run(run())


def test_connections_and_sessions_that_janus_ends(janus: Janus) -> None:
    """One participant's connection is made anew alone; with a session all are, and nobody leaves."""

    async def run() -> None:
        await janus.create_room(3, PIN)
        async with (
            janus.publisher(3, PIN, 11, "ada", clip()),
            janus.publisher(3, PIN, 12, "ben", clip(1)),
            listening(janus, 3) as (source, sink),
        ):
            await until(lambda: sink.comes("11", "video") and sink.comes("12", "video"))
            other = source._feeds["12"].handle

            def renewed(handle: int | None) -> bool:
                return source._feeds["11"].handle not in (None, handle)

            for request in ("hangup_webrtc", "detach_handle"):
                handle = source._feeds["11"].handle
                await janus.admin({"janus": request, "session_id": source._session._id, "handle_id": handle})
                await until(partial(renewed, handle))
                sink.frames.pop(("11", "video"))
                await until(lambda: sink.comes("11", "video"))
            assert source._feeds["12"].handle == other, "its connection is the same"
            assert sink.counters.get("reconnects") is None
            await janus.admin({"janus": "destroy_session", "session_id": source._session._id})
            await until(lambda: sink.counters.get("reconnects") == 1)
            sink.forget()
            await until(lambda: sink.comes("11", "video") and sink.comes("12", "video"))
            assert not [said for said in sink.said if said.endswith("left")]

    asyncio.run(run())


def test_what_is_asked_before_a_session_is_there_does_not_end_it(janus: Janus) -> None:
    """As by a participant whose connection is being let go while the session is made anew."""

    async def run() -> None:
        session = Session(janus.config(), lambda event: None)
        connect, asked = session._connect, []

        async def and_ask() -> None:
            await connect()
            asked.append(asyncio.create_task(session.detach(1)))

        session._connect = and_ask  # type: ignore[method-assign]
        await session.open()
        await asyncio.gather(*asked)
        assert not session.ended.is_set()
        await session.close()

    asyncio.run(run())


def test_a_room_that_ends_and_a_recorder_that_is_not_wanted(janus: Janus) -> None:
    async def run() -> None:
        await janus.create_room(4, PIN)
        source, sink = JanusSource(ChannelSpec("app", "4", 42, PIN), janus.config()), Listener()
        async with janus.publisher(4, PIN, 11, "ada", clip()), janus.handle() as (session, handle):
            task = asyncio.create_task(source.run(sink))
            await until(lambda: set(sink.names) == {"11"})
            await session.message(handle, {"request": "kick", "room": 4, "id": 42})
            with pytest.raises(Refused, match=r"^The recorder was removed from room 4\.$"):
                await asyncio.wait_for(task, 10)
            source, sink = JanusSource(ChannelSpec("app", "4", 42, PIN), janus.config()), Listener()
            task = asyncio.create_task(source.run(sink))
            await until(lambda: set(sink.names) == {"11"})
            await session.message(handle, {"request": "kick", "room": 4, "id": 11})
            await until(lambda: not sink.names)
            await session.message(handle, {"request": "destroy", "room": 4})
            await asyncio.wait_for(task, 10)

    asyncio.run(run())


def test_simulcast_the_picture_fits_its_cell(janus: Janus) -> None:
    """Three sizes of one picture are published; which one comes follows the cell."""
    sizes = [(160, 90), (320, 180), (640, 360)]

    async def run() -> None:
        await janus.create_room(5, PIN)
        layers = [clip(width=width, height=height) for width, height in sizes]

        def comes(size: tuple[int, int]) -> bool:
            frames = [frame for frame in sink.frames.get(("11", "video"), []) if frame.key]
            return bool(frames) and picture_size(frames[-1].codec, frames[-1].data) == size

        async with janus.publisher(5, PIN, 11, "ada", *layers), listening(janus, 5) as (source, sink):
            await until(lambda: comes(sizes[2]))
            for cell, size in (((300, 300), sizes[1]), ((80, 45), sizes[0]), ((640, 360), sizes[2])):
                source.want("11", cell)
                await until(partial(comes, size))
            source.want("11", None)
            await asyncio.sleep(1)
            sink.forget()
            await until(lambda: sink.comes("11", "audio", 25))
            assert not sink.comes("11", "video", 1)
            source.want("11", (160, 90))
            await until(lambda: comes(sizes[0]))
            assert sink.frames["11", "video"][0].key

    asyncio.run(run())


def test_a_room_with_a_list_of_allowed_tokens(janus: Janus) -> None:
    async def run() -> None:
        async with janus.handle() as (session, handle):
            await session.message(handle, {"request": "create", "room": 6, "allowed": [PIN, "another"]})
        async with listening(janus, 6) as (source, _):
            await until(lambda: source._room.private_id is not None)
        with pytest.raises(Refused, match=r"^Room 6 at Janus 127.0.0.1:\d+ does not accept the access token\.$"):
            await JanusSource(ChannelSpec("app", "6", 42, "wrong"), janus.config()).run(Listener())

    asyncio.run(run())


def test_a_server_that_asks_for_tokens(tmp_path: Path) -> None:
    realm = f"{int(time.time()) + 600},janus,janus.plugin.videoroom"
    signature = base64.b64encode(hmac.digest(TOKENS.encode(), realm.encode(), hashlib.sha1)).decode()
    general = f'token_auth = true  token_auth_secret = "{TOKENS}"'

    async def run(janus: Janus) -> None:
        async with janus.handle(f"{realm}:{signature}") as (session, handle):
            await session.message(handle, {"request": "create", "room": 1, "pin": PIN, "videocodec": "h264"})
        async with listening(janus, 1, token=f"{realm}:{signature}") as (source, _):
            await until(lambda: source._room.private_id is not None)
        with pytest.raises(Refused, match=r"^Janus at 127.0.0.1:\d+ does not accept the API secret and the token\.$"):
            await JanusSource(ChannelSpec("app", "1", 42, PIN), janus.config(token="wrong-token")).run(Listener())

    with running_janus(tmp_path, general=general) as janus:
        asyncio.run(run(janus))


def test_a_server_that_does_not_come_back(tmp_path: Path) -> None:
    async def run(janus: Janus) -> None:
        await janus.create_room(1, PIN)
        source = JanusSource(ChannelSpec("app", "1", 42, PIN), janus.config(return_timeout_s=0.5))
        task = asyncio.create_task(source.run(Listener()))
        await until(lambda: source._room.private_id is not None)
        janus.kill()
        with pytest.raises(
            Lost, match=r"^Janus at 127.0.0.1:\d+ did not come back in 0.5 s: Janus .* be reached: .*\.$"
        ):
            await asyncio.wait_for(task, 10)

    with running_janus(tmp_path) as janus:
        asyncio.run(run(janus))
