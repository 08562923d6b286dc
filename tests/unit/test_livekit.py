"""The LiveKit source, as far as it goes without a server.

Events are fed to the library's own `Room` in the form in which its native part reports them, media comes from the
library's own local sources through its own streams, and what a refusal looks like is answered over real HTTP. What
there is not, is a server that relays anybody's media.
"""

from __future__ import annotations

import asyncio
import functools
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import jwt
import numpy as np
import pytest
import uvicorn
from livekit import api, rtc
from livekit.rtc._proto import handle_pb2, participant_pb2, room_pb2, track_pb2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from egress_ray.tokens.claims import Claim
from egress_ray.tokens.livekit import check
from recorders.config import LiveKitConfig
from recorders.errors import Lost, RecorderError, Refused, Unreachable
from recorders.native.planes import planes_of
from recorders.sources.livekit import LiveKitSource, recorder_token
from recorders.sources.livekit_members import Members
from recorders.spec import ChannelSpec
from tests.unit.told import Told

KEY, SECRET, TOKEN = "APIkey12345", "a-secret-of-thirty-two-characters", "a-token-to-look-for"
ROOT = Path(__file__).parents[2]
CAMERA, MICROPHONE = rtc.TrackSource.SOURCE_CAMERA, rtc.TrackSource.SOURCE_MICROPHONE
SCREEN, SCREEN_SOUND = rtc.TrackSource.SOURCE_SCREENSHARE, rtc.TrackSource.SOURCE_SCREENSHARE_AUDIO
_SOUNDS = (MICROPHONE, SCREEN_SOUND)


def channel(*users: str, rejoining: bool = False) -> ChannelSpec:
    return ChannelSpec("app", "meeting", 42, TOKEN, users, rejoining=rejoining)


class Reported:
    """What the library's native part reports of a room, fed to the library's `Room`."""

    def __init__(self, room: rtc.Room) -> None:
        self.room = room
        self.wanted: list[tuple[str, bool]] = []

    def report(self, **event: Any) -> None:
        self.room._on_room_event(room_pb2.RoomEvent(**event))

    def came(self, identity: str, name: str = "") -> None:
        info = participant_pb2.ParticipantInfo(identity=identity, name=name, sid=f"PA_{identity}")
        owned = participant_pb2.OwnedParticipant(handle=handle_pb2.FfiOwnedHandle(id=0), info=info)
        self.report(participant_connected=room_pb2.ParticipantConnected(info=owned))

    def left(self, identity: str) -> None:
        self.report(participant_disconnected=room_pb2.ParticipantDisconnected(participant_identity=identity))

    def published(self, identity: str, sid: str, source: int, *, muted: bool = False) -> None:
        kind = rtc.TrackKind.KIND_AUDIO if source in _SOUNDS else rtc.TrackKind.KIND_VIDEO
        info = track_pb2.TrackPublicationInfo(sid=sid, kind=kind, source=source, muted=muted)  # type: ignore[arg-type]
        owned = track_pb2.OwnedTrackPublication(handle=handle_pb2.FfiOwnedHandle(id=0), info=info)
        self.report(track_published=room_pb2.TrackPublished(participant_identity=identity, publication=owned))

    def unpublished(self, identity: str, sid: str) -> None:
        self.report(track_unpublished=room_pb2.TrackUnpublished(participant_identity=identity, publication_sid=sid))

    def subscribed(self, identity: str, sid: str, local: rtc.LocalVideoTrack | rtc.LocalAudioTrack) -> None:
        """A local track stands in for the remote one: it is a track of the library's native part all the same."""
        handle = handle_pb2.FfiOwnedHandle(id=local._ffi_handle.handle)
        local._ffi_handle.mark_consumed()  # it is the remote track's to drop, from now on
        owned = track_pb2.OwnedTrack(handle=handle, info=track_pb2.TrackInfo(sid=sid, kind=local.kind))
        self.report(track_subscribed=room_pb2.TrackSubscribed(participant_identity=identity, track=owned))

    def unsubscribed(self, identity: str, sid: str) -> None:
        self.report(track_unsubscribed=room_pb2.TrackUnsubscribed(participant_identity=identity, track_sid=sid))

    def switched(self, identity: str, sid: str, off: bool) -> None:
        if off:
            self.report(track_muted=room_pb2.TrackMuted(participant_identity=identity, track_sid=sid))
        else:
            self.report(track_unmuted=room_pb2.TrackUnmuted(participant_identity=identity, track_sid=sid))


@pytest.fixture
def wanted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bool]]:
    """What the server would have been asked to send."""
    asked: list[tuple[str, bool]] = []
    monkeypatch.setattr(
        rtc.RemoteTrackPublication, "set_subscribed", lambda track, subscribed: asked.append((track.sid, subscribed))
    )
    return asked


@asynccontextmanager
async def in_room(sink: Told, *users: str) -> AsyncIterator[tuple[Reported, Members]]:
    room = rtc.Room()
    members = Members(channel(*users), sink)
    members.listen(room)
    try:
        yield Reported(room), members
    finally:
        await members.close()
        if members.over.done():
            members.over.exception()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110, a sink has no event to wait for
            await asyncio.sleep(0.005)


def test_participants_come_mute_share_and_go(wanted: list[tuple[str, bool]]) -> None:
    sink = Told()

    async def room() -> None:
        async with in_room(sink) as (reported, _):
            reported.came("alice", "Alice")
            reported.came("bob")
            reported.published("alice", "TR_camera", CAMERA)
            reported.published("alice", "TR_microphone", MICROPHONE)
            reported.published("alice", "TR_second", CAMERA)
            reported.switched("alice", "TR_camera", True)
            reported.switched("alice", "TR_second", True)
            reported.switched("alice", "TR_microphone", True)
            reported.switched("alice", "TR_camera", False)
            name = room_pb2.ParticipantNameChanged(participant_identity="bob", name="Bob")
            reported.report(participant_name_changed=name)
            assert wanted == [("TR_camera", True), ("TR_microphone", True)]
            reported.published("bob", "TR_screen", SCREEN)
            reported.published("bob", "TR_screen_sound", SCREEN_SOUND)
            reported.unpublished("bob", "TR_screen")
            reported.unpublished("bob", "TR_screen_sound")
            reported.unpublished("alice", "TR_camera")
            assert wanted[2:] == [("TR_screen", True), ("TR_screen_sound", True), ("TR_second", True)]
            reported.left("alice")

    asyncio.run(room())
    assert sink.calls == [
        ("joined", "alice", "Alice"),
        ("joined", "bob", "bob"),
        ("muted", "alice", "video", True),
        ("muted", "alice", "audio", True),
        ("muted", "alice", "video", False),
        ("joined", "bob", "Bob"),
        ("joined", "bob/screen", "Bob"),
        ("joined", "bob/screen", "Bob"),
        ("muted", "bob/screen", "video", True),
        ("muted", "bob/screen", "audio", True),
        ("left", "bob/screen"),
        ("muted", "alice", "video", True),
        ("left", "alice"),
        ("left", "alice/screen"),
    ]


def test_only_those_who_are_asked_for_are_received_by_identity_or_name(wanted: list[tuple[str, bool]]) -> None:
    sink = Told()

    async def room() -> None:
        async with in_room(sink, "alice", "Bob") as (reported, members):
            for identity, name in (("alice", "Alice"), ("b-17", "Bob"), ("carol", "Carol")):
                reported.came(identity, name)
                reported.published(identity, f"TR_{identity}", CAMERA)
                reported.published(identity, f"TR_{identity}_screen", SCREEN)
            members.meet(reported.room)
            reported.left("carol")

    asyncio.run(room())
    assert [call for call in dict.fromkeys(sink.calls) if call[0] == "joined"] == [
        ("joined", "alice", "alice"),
        ("joined", "alice/screen", "alice"),
        ("joined", "b-17", "Bob"),
        ("joined", "b-17/screen", "Bob"),
    ]
    assert {sid for sid, _ in wanted} == {"TR_alice", "TR_alice_screen", "TR_b-17", "TR_b-17_screen"}


def test_pictures_and_sounds_go_through_the_librarys_own_tracks_and_streams(wanted: list[tuple[str, bool]]) -> None:
    sink = Told()
    luma = np.full((48, 64), 200, np.uint8)
    luma[:, :32] = 50
    picture = rtc.VideoFrame(
        64, 48, rtc.VideoBufferType.I420, luma.tobytes() + np.full(2 * 24 * 32, 120, np.uint8).tobytes()
    )
    pcm = np.full(480, 1000, np.int16).tobytes()

    async def room() -> None:
        camera, microphone = rtc.VideoSource(64, 48), rtc.AudioSource(48000, 1)
        async with in_room(sink) as (reported, _):
            reported.came("alice")
            reported.published("alice", "TR_camera", CAMERA, muted=True)
            reported.published("alice", "TR_microphone", MICROPHONE)
            reported.subscribed("alice", "TR_camera", rtc.LocalVideoTrack.create_video_track("camera", camera))
            reported.subscribed(
                "alice", "TR_microphone", rtc.LocalAudioTrack.create_audio_track("microphone", microphone)
            )
            await asyncio.sleep(0)
            for rotation in range(4):
                camera.capture_frame(picture, rotation=rotation)  # type: ignore[arg-type]
                await until(functools.partial(arrived, sink, rotation + 1))
            before = time.monotonic()
            while not heard_at(1000, sink):  # the source itself fills gaps with silence
                await microphone.capture_frame(rtc.AudioFrame(pcm, 48000, 1, 480))
                assert time.monotonic() < before + 30
            reported.unsubscribed("alice", "TR_camera")
            reported.unpublished("alice", "TR_microphone")
        await microphone.aclose()

    begun = time.monotonic()
    asyncio.run(room())
    assert sink.calls == [
        ("joined", "alice", "alice"),
        ("muted", "alice", "video", True),
        ("muted", "alice", "audio", False),
        ("muted", "alice", "video", True),
        ("muted", "alice", "audio", True),
    ]
    sizes = [(frame.width, frame.height) for _, frame, _ in sink.pictures]
    assert sizes == [(64, 48), (48, 64), (64, 48), (48, 64)]
    for n, (_, frame, t) in enumerate(sink.pictures):
        y, u, _ = planes_of(frame)
        assert np.abs(y.astype(int) - np.rot90(luma, -n)).max() <= 1
        assert (u == 120).all()
        assert begun < t < time.monotonic()
    for _, heard, t in sink.sounds:
        assert (heard.sample_rate, heard.layout.name, heard.samples) == (48000, "stereo", 480)
        assert begun - 0.01 < t < time.monotonic()
    assert {int(np.abs(heard.to_ndarray()).max()) for _, heard, _ in sink.sounds} <= {0, 1000}


def arrived(sink: Told, pictures: int) -> bool:
    return len(sink.pictures) == pictures


def heard_at(level: int, sink: Told) -> bool:
    return any((heard.to_ndarray() == level).all() for _, heard, _ in sink.sounds)


ENDS: list[tuple[int, type[RecorderError] | None, str]] = [
    (rtc.DisconnectReason.ROOM_DELETED, None, ""),
    (rtc.DisconnectReason.ROOM_CLOSED, None, ""),
    (rtc.DisconnectReason.PARTICIPANT_REMOVED, Refused, "The recorder was removed from room meeting."),
    (
        rtc.DisconnectReason.DUPLICATE_IDENTITY,
        Lost,
        "Somebody else has come into room meeting under the recorder's identity, its workerUid.",
    ),
    (rtc.DisconnectReason.SERVER_SHUTDOWN, Lost, "The connection to room meeting was lost: server shutdown."),
    (rtc.DisconnectReason.CONNECTION_TIMEOUT, Lost, "The connection to room meeting was lost: connection timeout."),
]


@pytest.mark.parametrize(("reason", "kind", "why"), ENDS)
def test_how_a_room_ends(reason: int, kind: type[RecorderError] | None, why: str) -> None:
    async def room() -> None:
        async with in_room(Told()) as (reported, members):
            reported.report(disconnected=room_pb2.Disconnected(reason=reason))  # type: ignore[arg-type]
            reported.report(disconnected=room_pb2.Disconnected(reason=rtc.DisconnectReason.CLIENT_INITIATED))
            await members.over

    if kind is None:
        asyncio.run(room())
        return
    with pytest.raises(kind) as end:
        asyncio.run(room())
    assert str(end.value) == why


def test_a_token_of_our_own_is_one_of_livekits_and_hides_the_recorder() -> None:
    now = time.time()
    token = recorder_token(channel(), KEY, SECRET, now)
    claims = api.TokenVerifier(KEY, SECRET).verify(token)
    assert claims.identity == "42"
    assert claims.video is not None
    assert (claims.video.room, claims.video.room_join, claims.video.hidden) == ("meeting", True, True)
    assert (claims.video.can_subscribe, claims.video.can_publish, claims.video.can_publish_data) == (True, False, False)
    check(token, Claim("app", "meeting", "42", now), KEY, SECRET)
    taking_over = recorder_token(channel(rejoining=True), KEY, SECRET, now)
    assert api.TokenVerifier(KEY, SECRET).verify(taking_over).identity.startswith("42-"), "not to throw out the other"


@asynccontextmanager
async def answering(status: int, seen: list[str]) -> AsyncIterator[str]:
    """A server that says no, with the token in what it says."""

    async def no(request: Request) -> Response:
        seen.append(request.headers.get("authorization", ""))
        return PlainTextResponse(f"invalid token: {seen[-1]}", status)

    app = Starlette(routes=[Route("/{path:path}", no)])
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning", ws="none"))
    task = asyncio.create_task(server.serve())
    await until(lambda: server.started)
    try:
        yield f"ws://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        await task


@pytest.mark.parametrize(
    ("status", "kind", "why"),
    [
        (401, Refused, "LiveKit at {host} does not accept the access token."),
        (403, Refused, "LiveKit at {host} does not let the access token into room meeting."),
        (404, Refused, "LiveKit at {host} has no room meeting."),
        (503, Unreachable, "LiveKit at {host} answered with HTTP status 503."),
    ],
)
def test_a_server_that_says_no(
    status: int, kind: type[RecorderError], why: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    seen: list[str] = []

    async def join() -> str:
        async with answering(status, seen) as url:
            with pytest.raises(kind) as refusal:
                await LiveKitSource(channel(), LiveKitConfig(url=url, connect_timeout_s=60)).run(Told())
            assert str(refusal.value) == why.format(host=url.removeprefix("ws://"))
            assert TOKEN not in str(refusal.value)
            with_key = LiveKitSource(
                channel(), LiveKitConfig(url=url, connect_timeout_s=60, api_key=KEY, api_secret=SECRET)
            )
            with pytest.raises(kind):
                await with_key.run(Told())
            await until(lambda: caplog.text.count("error while connecting to a room") == 2)  # it logs when it likes to
        return url

    asyncio.run(join())
    assert seen[0] == f"Bearer {TOKEN}"
    assert TOKEN not in caplog.text
    assert seen[-1].removeprefix("Bearer ") not in caplog.text
    assert "(the access token)" in caplog.text
    minted = jwt.decode(seen[-1].removeprefix("Bearer "), SECRET, algorithms=["HS256"])
    assert (minted["iss"], minted["video"]["room"], minted["video"]["hidden"]) == (KEY, "meeting", True)


def test_a_server_that_is_not_there_or_says_nothing() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]

    async def join(url: str, within_s: float) -> None:
        await LiveKitSource(channel(), LiveKitConfig(url=url, connect_timeout_s=within_s)).run(Told())

    async def silent() -> None:
        server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
        host = "{}:{}".format(*server.sockets[0].getsockname()[:2])
        with pytest.raises(Unreachable) as late:
            await join(f"ws://{host}", 0.5)
        assert str(late.value) == f"LiveKit at {host} did not answer in 0.5 s."
        server.close()

    with pytest.raises(Unreachable, match=rf"^LiveKit at 127\.0\.0\.1:{port} cannot be reached: .+\.$"):
        asyncio.run(join(f"ws://127.0.0.1:{port}", 60))
    asyncio.run(silent())


def test_a_library_that_is_not_there_is_one_clear_error() -> None:
    """In a process of its own: the native part is loaded once in each."""
    for broken in ("import sys; sys.modules['livekit'] = None", "import os; os.environ['LIVEKIT_LIB_PATH'] = '/no.so'"):
        program = f"""{broken}
import asyncio
from recorders.config import LiveKitConfig
from recorders.errors import InvalidSpec
from recorders.sources.livekit import LiveKitSource
from recorders.spec import ChannelSpec
try:
    asyncio.run(LiveKitSource(ChannelSpec("app", "meeting", 42, "token"), LiveKitConfig()).run(None))
except InvalidSpec as error:
    print(error)
"""
        ran = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60)
        assert ran.stdout.count("\n") == 1, ran.stderr
        assert ran.stdout.startswith("LiveKit's library cannot be loaded on this node ("), ran.stdout
        assert ran.stdout.endswith("): `pip install '.[livekit]'` in egress-ray's folder there.\n")
