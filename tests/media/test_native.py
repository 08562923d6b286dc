"""The native recorder end to end, without a cluster: real clips and synthetic participants into real files."""

from __future__ import annotations

import asyncio
import json
import math
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from recorders.config import NativeConfig, RecorderConfig
from recorders.errors import Lost, Refused
from recorders.log.finish import finish
from recorders.log.segment_log import SegmentLog, read_index
from recorders.native.recorder import NativeRecorder
from recorders.spec import AudioSpec, Background, ChannelSpec, Format, Layout, RecordingSpec, VideoSpec
from tests.oracle.analyse import analyse
from tests.oracle.clips import cached_clips
from tests.oracle.demo_clock import clock_errors
from tests.oracle.hls import validate

SMALL = VideoSpec(320, 180, 15, 300)


def spec(
    folder: Path,
    *users: str,
    channel: str = "demo",
    layout: Layout = "flat",
    format: Format = "hls",
    video: VideoSpec = SMALL,
    attempt: int = 1,
) -> RecordingSpec:
    subject = ChannelSpec("app", channel, 42, "secret-token", users, layout)
    return RecordingSpec("task", str(folder), subject, "rec", attempt, format, video, AudioSpec())


def media(urls: dict[str, str]) -> RecorderConfig:
    sources = {"rules": [{"source": "media"}], "media": {"urls": {"demo": urls}, "open_timeout_s": 3}}
    return RecorderConfig.model_validate({"sources": sources})


async def record(recorder: NativeRecorder, seconds: float) -> str:
    asyncio.get_running_loop().call_later(seconds, recorder.stop)
    return await asyncio.wait_for(recorder.run(), seconds + 20)


def pictures(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


@pytest.mark.paired
def test_three_clips_in_their_cells_in_sync(tmp_path: Path) -> None:
    clips = cached_clips(3)
    recorder = NativeRecorder(
        spec(tmp_path, "user1", "user2", "user3", video=VideoSpec()),
        media({f"user{i + 1}": str(clip) for i, clip in enumerate(clips)}),
    )
    assert asyncio.run(record(recorder, 6.0)) == "user_stop"
    progress = recorder.progress()
    assert progress.phase == "closed"
    assert progress.counters["participants"] == 3
    assert progress.counters["frames"] == round(progress.media_seconds * 30)
    finish(tmp_path, "rec", "hls")
    cells = [(0, 0, 640, 360), (640, 0, 640, 360), (0, 360, 640, 360)]
    report = analyse(tmp_path / "rec.m3u8", cells=cells, frame_rate=30)
    assert abs(report.frames - report.frames_expected) <= 1
    assert abs(report.duration - 6.0) < 0.25
    assert not report.damage
    assert [span for span in report.black if span[1] > 1.0] == []
    for second in report.seconds[1:-1]:
        assert second.cells == ("user1", "user2", "user3")
        assert set(second.heard) == {"user1", "user2", "user3"}
    for user in report.users.values():
        assert user.offset_p95 <= 60
        assert len(user.flashes) >= 5
        assert not user.frozen
    assert [part.starts_with_key for part in report.parts] == [True] * len(report.parts)


def test_a_channel_of_files_ends_with_them(tmp_path: Path) -> None:
    """Spotlight, an absent user, a URL that cannot be opened, and B-frames are in the same recording."""
    clips = cached_clips(2, seconds=3)
    urls = {"user1": str(clips[0]), "user2": str(clips[1]), "user3": str(tmp_path / "missing.mp4")}
    recorder = NativeRecorder(
        spec(tmp_path, "user2", "user1", "user3", "nobody", layout="spotlight", format="mp4"), media(urls)
    )
    assert asyncio.run(asyncio.wait_for(recorder.run(), 20)) == "completed"
    assert recorder.progress().counters["sources_failed"] == 1
    finish(tmp_path, "rec", "mp4")
    report = analyse(tmp_path / "rec.mp4", cells=[(0, 0, 240, 180), (240, 0, 80, 45)], frame_rate=15)
    assert 3.0 <= report.duration <= 4.5
    assert abs(report.frames - report.frames_expected) <= 1
    assert report.seconds[1].cells == ("user2", "user1")
    assert set(report.seconds[1].heard) == {"user1", "user2"}


def test_nothing_to_play_is_refused_and_nothing_to_open_is_lost(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="channel demo"):
        asyncio.run(NativeRecorder(spec(tmp_path / "a", "other"), media({"user1": "x.mp4"})).run())
    secret = "rtsp://user:hunter2@127.0.0.1:9/live?key=hunter2"
    with pytest.raises(
        Lost, match=re.escape("user1 at rtsp://127.0.0.1:9/live cannot be opened: Connection refused")
    ) as caught:
        asyncio.run(NativeRecorder(spec(tmp_path / "b"), media({"user1": secret})).run())
    assert "hunter2" not in str(caught.value)
    assert read_index(tmp_path / "b").parts, "what was recorded until then is in the log"


def test_demo_shows_each_in_its_own_colour_and_tone(tmp_path: Path) -> None:
    """The background's picture is not on this machine: its colour is seen, and the recording goes on."""
    asked = time.time()
    wanted = spec(tmp_path, "user1", "user2", format="mp4")
    assert isinstance(wanted.subject, ChannelSpec)
    subject = replace(wanted.subject, background=Background("#204060", "office"))
    config = RecorderConfig.model_validate({"native": {"backgrounds": {"office": str(tmp_path / "gone.png")}}})
    recorder = NativeRecorder(replace(wanted, subject=subject), config)
    assert asyncio.run(record(recorder, 2.5)) == "user_stop"
    first = recorder.progress().first_frame_at
    assert first is not None
    assert first - asked <= 1.0
    finish(tmp_path, "rec", "mp4")
    frames = pictures(tmp_path / "rec.mp4")
    seconds = recorder.progress().media_seconds
    assert abs(len(frames) - seconds * 15) <= 1
    last = frames[-1].astype(int)
    left, right = last[80, 10], last[80, 170]  # 160x90 each, in the middle of the height
    assert left[0] > left[1] + 60  # red
    assert right[1] > right[0] + 60  # green
    assert np.abs(last[10] - (0x20, 0x40, 0x60)).max() < 10, "letterboxed"
    assert recorder.progress().counters["background_missing"] == 1
    with av.open(str(tmp_path / "rec.mp4")) as container:
        sound = np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)[0]
    assert abs(sound.size / 48000 - seconds) < 0.05
    spectrum = np.abs(np.fft.rfft(sound[-48000:] * np.hanning(48000)))
    assert {round(hz / 10) for hz in np.argsort(spectrum)[-4:]} == {22, 28}  # 220 and 277 Hz
    assert 0.05 < np.abs(sound).max() < 0.3


@pytest.mark.parametrize("format", ["m4a", "ogg"])
def test_sound_alone(tmp_path: Path, format: Format) -> None:
    recorder = NativeRecorder(spec(tmp_path, format=format), RecorderConfig())
    assert asyncio.run(record(recorder, 1.5)) == "user_stop"
    finish(tmp_path, "rec", format)
    with av.open(str(tmp_path / f"rec.{format}")) as container:
        assert not container.streams.video
        sound = np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)
    assert 1.3 < sound.shape[1] / 48000 < 1.8
    assert np.abs(sound).max() > 0.02


def test_a_later_attempt_goes_on_at_the_wall_clock(tmp_path: Path) -> None:
    asyncio.run(record(NativeRecorder(spec(tmp_path), RecorderConfig()), 1.0))
    first = read_index(tmp_path)
    assert first.epoch is not None
    began = time.time() - first.epoch - NativeConfig().playout_delay_ms / 1000  # what was captured so long before
    asyncio.run(record(NativeRecorder(spec(tmp_path, attempt=2), RecorderConfig()), 1.0))
    parts = read_index(tmp_path).parts
    second = next(part for part in parts if part.attempt == 2)
    assert began <= second.start <= began + 1.0
    assert read_index(tmp_path).epoch == first.epoch


@pytest.mark.parametrize("back", [1.0, 3600.0])
def test_attempts_follow_each_other_when_the_clock_was_set_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, back: float
) -> None:
    asyncio.run(record(NativeRecorder(spec(tmp_path), RecorderConfig()), 1.5))
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() - back)
    for attempt in (2, 3):
        asyncio.run(record(NativeRecorder(spec(tmp_path, attempt=attempt), RecorderConfig()), 1.0))
    finish(tmp_path, "rec", "mp4")
    assert validate(tmp_path / "rec.m3u8") == []
    parts = read_index(tmp_path).parts
    assert [part.attempt for part in parts] == sorted(part.attempt for part in parts)
    assert {part.attempt for part in parts} == {1, 2, 3}
    for before, after in pairwise(parts):
        assert -0.001 <= after.start - (before.start + before.duration) <= (0.5 if back > 60 else 2.0)
    report = analyse(tmp_path / "rec.mp4", frame_rate=15)
    assert abs(report.frames - sum(part.duration for part in parts) * 15) <= 1


def test_times_are_true_in_every_attempt(tmp_path: Path) -> None:
    for attempt in (1, 2):
        recorder = NativeRecorder(spec(tmp_path, "ada", format="mp4", attempt=attempt), RecorderConfig())
        asyncio.run(record(recorder, 2.5))
    finish(tmp_path, "rec", "mp4")
    epoch = read_index(tmp_path).epoch
    assert epoch is not None
    errors = clock_errors(tmp_path / "rec.mp4", epoch)
    assert len(errors) > 30
    # Not the worst: a picture that a busy machine shows once more is late.
    assert np.quantile(np.abs(errors), 0.75) < 0.1


def test_stop_before_run_and_twice(tmp_path: Path) -> None:
    recorder = NativeRecorder(spec(tmp_path), RecorderConfig())
    recorder.stop()
    recorder.stop()
    assert asyncio.run(asyncio.wait_for(recorder.run(), 5)) == "user_stop"
    assert SegmentLog(tmp_path, "rec", 1).parts


def test_a_starved_process_leaves_no_picture_out(tmp_path: Path) -> None:
    """`python -m recorders` frozen for 1.5 s in the middle, then ended by Ctrl-C."""
    text = {
        "task_id": "t", "folder": str(tmp_path), "prefix": "rec",
        "subject": {"app_id": "a", "channel": "demo1", "worker_uid": 1, "users": ["ann"]},
        "video": {"width": 320, "height": 180, "frame_rate": 30, "bitrate": 300},
    }  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", "recorders", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdin
        process.stdin.write(json.dumps(text))
        process.stdin.close()
        deadline = time.monotonic() + 20
        while not read_index(tmp_path).parts and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGSTOP)
        time.sleep(1.5)
        process.send_signal(signal.SIGCONT)
        time.sleep(0.7)
        process.send_signal(signal.SIGINT)
        assert process.stdout
        said = process.stdout.read()
        assert process.wait(10) == 0
    finally:
        process.kill()
    reason, counters = said.splitlines()[:2]
    assert reason == "user_stop"
    counted = json.loads(counters)
    assert counted["frames_repeated"] >= 20
    report = analyse(tmp_path / "rec.m3u8", frame_rate=30)
    assert report.duration >= 4.0
    assert report.frames == counted["frames"]
    assert abs(report.frames - report.frames_expected) <= 1
    assert report.video is not None
    assert not report.video.gaps
    assert report.audio is not None
    assert not report.audio.gaps
    assert math.isclose(report.audio.end, report.video.end, abs_tol=0.1)
