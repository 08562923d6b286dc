"""What LiveKit's and Agora's libraries deliver, recorded: two participants seen in their cells, heard and in step.

There is no server behind either: LiveKit's own tracks and streams carry what its own local sources are given, and a
package with the names of Agora's SDK calls back as that does.
"""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from livekit import rtc
from livekit.rtc._proto import room_pb2

from recorders.config import RecorderConfig
from recorders.errors import Lost
from recorders.log.finish import finish
from recorders.native.planes import planes_of
from recorders.native.recorder import NativeRecorder
from recorders.spec import ChannelSpec, RecordingSpec, VideoSpec
from tests.oracle.analyse import analyse
from tests.oracle.clips import Painter, pcm
from tests.oracle.participants import everyone
from tests.unit.agora_sdk import Sdk, with_agora_sdk
from tests.unit.test_livekit import CAMERA, MICROPHONE, Reported

SECONDS, RATE = 4, 15
WIDTH, HEIGHT = 320, 180
PEOPLE = everyone()[:2]
SOUND = {each.name: (pcm(each, SECONDS) * 32767).astype(np.int16) for each in PEOPLE}
PAINTERS = {each.name: Painter(each, WIDTH, HEIGHT, RATE) for each in PEOPLE}


def recorder(folder: Path, source: str, **settings: Any) -> NativeRecorder:
    config = RecorderConfig.model_validate({"sources": {"rules": [{"source": source}], source: settings}})
    subject = ChannelSpec("app", "meeting", 42, "secret-token", ("user1", "user2"))
    return NativeRecorder(
        RecordingSpec("task", str(folder), subject, "rec", video=VideoSpec(320, 180, 15, 300)), config
    )


class Pace:
    """Real time since now, and by how much it was missed."""

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self.worst = 0.0

    def until(self, n: int, rate: float) -> float:
        """Seconds until number `n` at that rate."""
        left = self._begun + n / rate - time.monotonic()
        self.worst = max(self.worst, -left)
        return max(0.0, left)


def planes(user: str, n: int) -> list[bytes]:
    return [np.ascontiguousarray(plane).tobytes() for plane in planes_of(PAINTERS[user].paint(n))]


def check(folder: Path, recording: NativeRecorder, pace: Pace) -> None:
    finish(folder, "rec", "hls")
    report = analyse(folder / "rec.m3u8", frame_rate=RATE)
    assert not report.damage
    counters = recording.progress().counters
    both = {"user1", "user2"}
    good = [set(second.seen) == both and set(second.heard) == both for second in report.seconds[:-1]]
    assert any(good), str(report)
    # Where this machine itself let nobody play in time, nothing more can be asked.
    if pace.worst < 0.1 and counters.get("frames_late", 0) < 0.1 * counters["frames"]:
        assert len(good) >= 3, str(report)
        assert all(good[1:]), str(report)
        # A picture lasts 67 ms here, and dates a flash by up to that much too late.
        assert all(abs(user.offset_median) <= 110 for user in report.users.values()), str(report)


def test_an_agora_channel(tmp_path: Path) -> None:
    with with_agora_sdk(tmp_path / "site"):
        sdk = Sdk()

        def play(connection: Any) -> None:
            sdk.call(connection.observer.on_connected, connection, None, 1)
            for user in SOUND:
                sdk.call(connection.observer.on_user_joined, connection, user)
            pace.append(Pace())
            threads = [
                threading.Thread(target=sdk.call, args=(body, connection, pace[0]), daemon=True)
                for body in (pictures, sounds)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            sdk.call(connection.observer.on_disconnected, connection, None, 4)

        def pictures(connection: Any, pace: Pace) -> None:
            for n in range(SECONDS * RATE):
                time.sleep(pace.until(n, RATE))
                for user in SOUND:
                    y, u, v = planes(user, n)
                    frame = sdk.base.VideoFrame(
                        width=WIDTH, height=HEIGHT, y_stride=WIDTH, u_stride=WIDTH // 2, v_stride=WIDTH // 2,
                        y_buffer=y, u_buffer=u, v_buffer=v,
                    )  # fmt: skip
                    connection.video_observer.on_frame("meeting", user, frame)

        def sounds(connection: Any, pace: Pace) -> None:
            deliver = connection.audio_observer.on_playback_audio_frame_before_mixing
            for n in range(SECONDS * 100):
                time.sleep(pace.until(n + 1, 100))
                for user, samples in SOUND.items():
                    stereo = np.repeat(samples[480 * n : 480 * (n + 1)], 2)
                    deliver(connection.local_user, "meeting", user, sdk.sound(stereo), 0, None)

        pace: list[Pace] = []
        sdk.service.ON_CONNECT[:] = [play]
        recording = recorder(tmp_path, "agora", string_uids=True)
        with pytest.raises(Lost, match="reason 4"):
            asyncio.run(asyncio.wait_for(recording.run(), 60))
        (service,) = sdk.service.SERVICES
        assert sorted(uid for uid, _ in service.connection.local_user.video) == ["user1", "user2"]
    check(tmp_path, recording, pace[0])


def test_a_livekit_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def connect(room: rtc.Room, url: str, token: str, options: rtc.RoomOptions) -> None:
        assert (url, token, options.auto_subscribe) == ("ws://127.0.0.1:7880", "secret-token", False)
        playing.append(asyncio.create_task(play(Reported(room))))

    async def play(reported: Reported) -> None:
        pace.append(Pace())
        await asyncio.gather(*(perform(reported, user, pace[0]) for user in SOUND))
        reported.report(disconnected=room_pb2.Disconnected(reason=rtc.DisconnectReason.ROOM_CLOSED))

    async def perform(reported: Reported, user: str, pace: Pace) -> None:
        camera, microphone = rtc.VideoSource(WIDTH, HEIGHT), rtc.AudioSource(48000, 1)
        reported.came(f"id-{user}", user)
        reported.published(f"id-{user}", f"{user}-camera", CAMERA)
        reported.published(f"id-{user}", f"{user}-microphone", MICROPHONE)
        reported.subscribed(f"id-{user}", f"{user}-camera", rtc.LocalVideoTrack.create_video_track("camera", camera))
        voice = rtc.LocalAudioTrack.create_audio_track("microphone", microphone)
        reported.subscribed(f"id-{user}", f"{user}-microphone", voice)

        async def sounds() -> None:
            for n in range(SECONDS * 100):
                await asyncio.sleep(pace.until(n, 100))
                samples = SOUND[user][480 * n : 480 * (n + 1)].tobytes()
                await microphone.capture_frame(rtc.AudioFrame(samples, 48000, 1, 480))

        speaking = asyncio.create_task(sounds())
        for n in range(SECONDS * RATE):
            await asyncio.sleep(pace.until(n, RATE))
            data = b"".join(planes(user, n))
            camera.capture_frame(rtc.VideoFrame(WIDTH, HEIGHT, rtc.VideoBufferType.I420, data))
        await speaking
        await microphone.aclose()

    playing: list[asyncio.Task[None]] = []
    pace: list[Pace] = []
    monkeypatch.setattr(rtc.Room, "connect", connect)
    monkeypatch.setattr(rtc.RemoteTrackPublication, "set_subscribed", lambda track, subscribed: None)
    recording = recorder(tmp_path, "livekit")

    async def record() -> str:
        reason = await asyncio.wait_for(recording.run(), 60)
        await playing[0]
        return reason

    assert asyncio.run(record()) == "completed"
    check(tmp_path, recording, pace[0])
