"""The Agora source on a package with the names and signatures of Agora's SDK (`agora_fake`) that plays its callbacks.

The SDK itself has a native library that cannot be had here: nothing in this file tells whether Agora's cloud agrees.
"""

from __future__ import annotations

import asyncio
import importlib
import shutil
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recorders.config import AgoraConfig
from recorders.errors import InvalidSpec, Lost, RecorderError, Refused, Unreachable
from recorders.native.planes import planes_of
from recorders.sources import agora
from recorders.sources.agora import AgoraSource
from recorders.spec import ChannelSpec
from tests.unit.agora_sdk import Sdk, with_agora_sdk
from tests.unit.told import Told

TOKEN = "007-a-token-to-look-for"
Play = Callable[[Any, Sdk], None]


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The fake SDK with its native library; the folder that is on the import path."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with with_agora_sdk(tmp_path / "site"):
        yield tmp_path / "site"


def source(users: tuple[str, ...] = (), app_id: str = "app", **config: Any) -> AgoraSource:
    return AgoraSource(ChannelSpec(app_id, "meeting", 42, TOKEN, users), AgoraConfig(**config))


def played(of: AgoraSource, sink: Told, play: Play | None, answer: int = 0) -> Any:
    """Runs the source while `play` plays on a thread of the SDK's, then leaves; returns the connection."""

    sdk = Sdk()
    threads: list[threading.Thread] = []
    broken: list[BaseException] = []

    async def run() -> None:
        over = asyncio.Event()
        loop = asyncio.get_running_loop()

        def body(connection: Any) -> None:
            threads.append(threading.current_thread())
            try:
                assert play is not None
                sdk.call(connection.observer.on_connected, connection, None, 1)
                play(connection, sdk)
            except BaseException as error:
                broken.append(error)
            if not sdk.ended.is_set():
                loop.call_soon_threadsafe(over.set)

        sdk.service.ON_CONNECT[:] = [body] if play is not None else []
        sdk.service.ANSWER[0] = answer
        running = asyncio.create_task(of.run(sink))
        ended = asyncio.create_task(over.wait())
        await asyncio.wait({running, ended}, return_when=asyncio.FIRST_COMPLETED, timeout=30)
        ended.cancel()
        if not running.done():
            running.cancel()
        await asyncio.wait({running}, timeout=30)
        assert running.done()
        sdk.ended.set()
        for thread in threads:
            await asyncio.to_thread(thread.join, 30)
        if broken:
            raise broken[0]
        if not running.cancelled():
            running.result()

    asyncio.run(run())
    return sdk.service.SERVICES[-1]


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.002)


def test_users_come_send_mute_and_go(installed: Path) -> None:
    sink = Told()

    def play(connection: Any, sdk: Sdk) -> None:
        user = connection.local_user
        for uid in ("7", "8"):
            sdk.call(connection.observer.on_user_joined, connection, uid)
        until(lambda: len(user.video) == 2)
        sdk.call(connection.video_observer.on_frame, "meeting", "7", sdk.picture())
        deliver = connection.audio_observer.on_playback_audio_frame_before_mixing
        heard = sdk.sound(np.full(960, 5, np.int16))
        told = sdk.call(deliver, user, "meeting", "7", heard, 0, None)
        assert told == 1
        changed = connection.user_observer
        for reason in (5, 6, 0):
            sdk.call(changed.on_user_video_track_state_changed, user, "8", None, 2, reason, 0)
            sdk.call(changed.on_user_audio_track_state_changed, user, "8", None, 2, reason, 0)
        sdk.call(connection.observer.on_user_left, connection, "7", 0)
        sdk.call(connection.observer.on_user_joined, connection, "7")
        until(lambda: len(user.video) == 3)

    before = time.monotonic()
    service = played(source(), sink, play)
    assert sink.calls == [
        ("joined", "7", "7"),
        ("joined", "8", "8"),
        ("muted", "8", "video", True),
        ("muted", "8", "audio", True),
        ("muted", "8", "video", False),
        ("muted", "8", "audio", False),
        ("left", "7"),
        ("joined", "7", "7"),
    ]
    ((_, picture, seen),) = sink.pictures
    ((_, heard, begun),) = sink.sounds
    luma = planes_of(picture)[0]
    assert (luma[:, :32] == 50).all()
    assert (luma[:, 32:] == 200).all()
    assert luma.shape == (48, 64)
    assert (heard.samples, heard.sample_rate) == (480, 48000)
    assert (heard.to_ndarray() == 5).all()
    assert before < seen < time.monotonic()
    assert 0 < begun + 0.010 - seen < 1
    assert sink.threads == {"agora-callback"}, "no event loop between the SDK and the sink"
    connection = service.connection
    assert connection.local_user.sound == (2, 48000)
    assert sorted(connection.local_user.audio) == ["7", "7", "8"]
    assert not connection.local_user.video[0][1].encodedFrameOnly


def test_the_recorder_joins_unseen_and_leaves_cleanly(installed: Path, tmp_path: Path) -> None:
    service = played(source(string_uids=True), Told(), lambda connection, sdk: None)
    connection, base = service.connection, Sdk().base
    assert connection.joined == (TOKEN, "meeting", "42")
    assert connection.config.client_role_type == base.ClientRoleType.CLIENT_ROLE_AUDIENCE
    assert not connection.config.auto_subscribe_audio
    assert not connection.config.auto_subscribe_video
    assert not connection.publishing.is_publish_audio
    assert (service.config.appid, service.config.enable_video, service.config.use_string_uid) == ("app", 1, 1)
    assert connection.ended == ["disconnect", "release"]
    assert service.released
    assert Path(service.config.log_path).parent == Path(service.config.data_dir)
    assert not Path(service.config.data_dir).exists(), "what the SDK wrote is gone"


def test_only_those_who_are_asked_for_are_received(installed: Path) -> None:
    sink = Told()

    def play(connection: Any, sdk: Sdk) -> None:
        for uid in ("7", "8", "9"):
            sdk.call(connection.observer.on_user_joined, connection, uid)
        until(lambda: len(connection.local_user.video) == 1)

    service = played(source(("8",)), sink, play)
    assert sink.calls == [("joined", "8", "8")]
    assert service.connection.local_user.audio == ["8"]


@pytest.mark.parametrize(
    ("rotation", "size", "first"), [(90, (48, 64), 50), (180, (64, 48), 200), (270, (48, 64), 200)]
)
def test_a_picture_is_turned_upright(installed: Path, rotation: int, size: tuple[int, int], first: int) -> None:
    sink = Told()

    def play(connection: Any, sdk: Sdk) -> None:
        sdk.call(connection.video_observer.on_frame, "meeting", "7", sdk.picture(rotation))

    played(source(), sink, play)
    ((_, picture, _),) = sink.pictures
    assert (picture.width, picture.height) == size
    assert planes_of(picture)[0][0, 0] == first


def test_what_is_no_media_is_counted_and_never_raises_into_the_sdk(installed: Path) -> None:
    sink = Told()

    def play(connection: Any, sdk: Sdk) -> None:
        for frame in (sdk.picture(y_buffer=None), sdk.picture(height=480), sdk.picture(45), sdk.picture(width=0)):
            sdk.call(connection.video_observer.on_frame, "meeting", "7", frame)

    played(source(), sink, play)
    assert sink.calls == [("count", "frames_dropped", 1)] * 4
    assert sink.pictures == []


FAILURES: dict[str, tuple[Callable[[Any, Sdk], object], type[RecorderError], str]] = {
    "token expires": (
        lambda c, sdk: (
            sdk.call(c.observer.on_token_privilege_will_expire, c, TOKEN),
            sdk.call(c.observer.on_token_privilege_did_expire, c),
        ),
        Refused,
        "Agora does not accept the access token: it has expired.",
    ),
    "token refused": (
        lambda c, sdk: sdk.call(c.observer.on_connection_failure, c, None, 8),
        Refused,
        "Agora does not accept the access token.",
    ),
    "unknown app": (
        lambda c, sdk: sdk.call(c.observer.on_disconnected, c, None, 6),
        Refused,
        "Agora does not know app id app.",
    ),
    "removed": (
        lambda c, sdk: sdk.call(c.observer.on_disconnected, c, None, 3),
        Refused,
        "Agora has removed the recorder from channel meeting.",
    ),
    "banned": (
        lambda c, sdk: sdk.call(c.observer.on_connection_failure, c, None, 10),
        Refused,
        "Agora has banned the recorder from channel meeting.",
    ),
    "same uid": (
        lambda c, sdk: sdk.call(c.observer.on_disconnected, c, None, 19),
        Lost,
        "Somebody else has come into Agora's channel meeting under the recorder's workerUid.",
    ),
    "failed": (
        lambda c, sdk: sdk.call(c.observer.on_connection_failure, c, None, 4),
        Lost,
        "The connection to Agora's channel meeting was lost, reason 4.",
    ),
    "not back in time": (
        lambda c, sdk: sdk.call(c.observer.on_reconnecting, c, None, 2),
        Lost,
        "The connection to Agora's channel meeting was lost.",
    ),
    "lost, not back in time": (
        lambda c, sdk: sdk.call(c.observer.on_connection_lost, c, None),
        Lost,
        "The connection to Agora's channel meeting was lost.",
    ),
}


@pytest.mark.parametrize(("failure", "kind", "why"), FAILURES.values(), ids=FAILURES)
def test_how_a_connection_ends(
    installed: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    failure: Callable[[Any, Sdk], object],
    kind: type[RecorderError],
    why: str,
) -> None:
    monkeypatch.setattr(agora, "_RECONNECT_S", 0.05)

    def play(connection: Any, sdk: Sdk) -> None:
        failure(connection, sdk)
        assert sdk.ended.wait(60)

    with pytest.raises(kind) as ended:
        played(source(), Told(), play)
    assert str(ended.value) == why
    service = Sdk().service.SERVICES[-1]
    assert service.connection.ended == ["disconnect", "release"]
    assert TOKEN not in caplog.text


def test_a_connection_that_comes_back_goes_on(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sink = Told()

    def play(connection: Any, sdk: Sdk) -> None:
        sdk.call(connection.observer.on_reconnecting, connection, None, 2)
        sdk.call(connection.observer.on_reconnected, connection, None, 1)
        monkeypatch.setattr(agora, "_RECONNECT_S", 0.0)
        for n, uid in enumerate(("7", "8")):  # and each wakes the source, which would give up
            sdk.call(connection.observer.on_user_joined, connection, uid)
            until(lambda n=n: len(connection.local_user.video) == n + 1)  # type: ignore[misc]

    played(source(), sink, play)
    assert sink.calls == [("joined", "7", "7"), ("joined", "8", "8")]


def test_what_does_not_even_begin(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Unreachable, match=r"^Agora's SDK does not join channel meeting, error -2\.$"):
        played(source(), Told(), None, answer=-2)
    with pytest.raises(Refused, match=r"^Agora's SDK does not take app id unknown\.$"):
        played(source(app_id="unknown"), Told(), None)
    # On a machine that is slow enough, the SDK is not even there by then.
    late = r"^(Agora's channel meeting was not joined in|The Agora SDK did not start within) 0\.4 s\.$"
    with pytest.raises(Unreachable, match=late):
        played(source(connect_timeout_s=0.4), Told(), None)


def test_an_sdk_that_is_not_there_is_one_clear_error(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    verifying = ssl._create_default_https_context

    def why() -> str:
        with pytest.raises(InvalidSpec) as missing:
            asyncio.run(source().run(Told()))
        sentence = str(missing.value)
        assert "pip install '.[agora]'" in sentence
        assert ssl._create_default_https_context is verifying, "certificates are verified still"
        return sentence.partition(":")[0]

    monkeypatch.setenv("AGORA_FAKE", "broken")
    assert why() == "The Agora SDK cannot be loaded on this node (SystemExit)"
    (installed / "agora" / "agora_sdk" / "libagora_rtc_sdk.so").unlink()
    assert why() == "The Agora SDK's native library is not installed on this node"
    shutil.rmtree(installed / "agora")
    importlib.invalidate_caches()
    assert why() == "The Agora SDK is not installed on this node"
