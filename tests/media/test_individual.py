"""Individual recordings without a cluster: a log of each user, its pictures those of its publisher."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import math
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from fractions import Fraction
from itertools import groupby, pairwise
from pathlib import Path
from typing import cast

import av
import numpy as np
import pytest
from av.video.frame import PictureType
from av.video.stream import VideoStream

from recorders.config import RecorderConfig
from recorders.errors import InvalidSpec
from recorders.individual.person import Person, Terms
from recorders.individual.user_log import UserLog
from recorders.lease import Lease
from recorders.log import files
from recorders.log.finish import finish
from recorders.log.segment_log import read_index
from recorders.native.recorder import NativeRecorder
from recorders.native.stage import Stage
from recorders.sources.base import EncodedFrame, Sink
from recorders.spec import AudioSpec, ChannelSpec, Format, Mode, RecordingSpec, VideoSpec
from tests.chaos.ledger import doubles
from tests.oracle.analyse import analyse
from tests.oracle.clips import Painter, cached_clips
from tests.oracle.hls import validate
from tests.oracle.participants import everyone

SMALL = VideoSpec(320, 180, 15, 300)
PREFIX = "rec_{user}"


def spec(
    folder: Path,
    *users: str,
    channel: str = "room",
    mode: Mode = "individual",
    format: Format = "mp4",
    video: VideoSpec | None = SMALL,
    audio: AudioSpec | None = AudioSpec(),  # noqa: B008, it is frozen
    attempt: int = 1,
) -> RecordingSpec:
    subject = ChannelSpec("app", channel, 42, "secret-token", users, mode=mode)
    prefix = PREFIX if mode == "individual" else "rec"
    return RecordingSpec("task", str(folder), subject, prefix, attempt, format, video, audio)


def media(urls: dict[str, str]) -> dict[str, object]:
    return {"sources": {"rules": [{"source": "media"}], "media": {"urls": {"room": urls}}}}


def hashes(file: Path | io.BytesIO) -> list[str]:
    """Of every picture of the clips' size that is decoded, in order. Tiles, which a starved machine may put before and
    between them, have another one."""
    with av.open(file if isinstance(file, io.BytesIO) else str(file), "r") as source:
        return [
            hashlib.sha256(frame.to_ndarray().tobytes()).hexdigest()
            for frame in source.decode(video=0)
            if (frame.width, frame.height) == (640, 360)
        ]


def sizes(path: Path) -> list[tuple[int, int]]:
    """Of every picture, in order."""
    with av.open(str(path)) as source:
        return [(frame.width, frame.height) for frame in source.decode(video=0)]


@pytest.mark.paired
def test_every_picture_is_that_of_the_publisher(tmp_path: Path) -> None:
    clips = dict(zip(("user1", "user2"), cached_clips(2, seconds=4), strict=True))
    recorder = NativeRecorder(
        spec(tmp_path), RecorderConfig.model_validate(media({user: str(clip) for user, clip in clips.items()}))
    )
    assert asyncio.run(asyncio.wait_for(recorder.run(), 20)) == "completed"
    progress = recorder.progress()
    assert progress.files == ("rec_user1.m3u8", "rec_user2.m3u8")
    done = finish(tmp_path, PREFIX, "mp4")
    assert done.files == tuple(f"rec_{user}.{end}" for user in clips for end in ("m3u8", "mp4", "json"))
    assert (done.parts, done.bytes) == (progress.parts, progress.bytes)
    epochs = set()
    for user, clip in clips.items():
        published = hashes(clip)
        playlist = tmp_path / f"rec_{user}.m3u8"
        assert validate(playlist) == []
        for name in (playlist.name, f"rec_{user}.mp4"):
            assert hashes(tmp_path / name) == published
            report = analyse(tmp_path / name, users=(user,), frame_rate=30)
            assert all(set(second.heard) == {user} for second in report.seconds[1:3])
            assert report.users[user].offset_p95 <= 40
        index = read_index(tmp_path, files.log_of(PREFIX, user).index)
        epochs.add(index.epoch)
        attempts = json.loads((tmp_path / f"rec_{user}.json").read_text())["attempts"]
        assert [(each["attempt"], each["run"]) for each in attempts] == [(1, n) for n in range(len(attempts))]
    assert len(epochs) == 1
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert finish(tmp_path, PREFIX, "mp4") == done
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_killed_recorder_loses_nothing_and_the_next_goes_on_in_each_log(tmp_path: Path) -> None:
    clips = dict(zip(("user1", "user2"), cached_clips(2), strict=True))
    config = media({user: str(clip) for user, clip in clips.items()})
    given = {
        "task_id": "task",
        "folder": str(tmp_path / "log"),
        "subject": {"app_id": "app", "channel": "room", "worker_uid": 1, "mode": "individual", "access_token": "t"},
        "prefix": PREFIX,
        "config": config,
    }
    (tmp_path / "spec.json").write_text(json.dumps(given))
    folder = tmp_path / "log"
    indices = [files.log_of(PREFIX, user).index for user in clips]
    with subprocess.Popen([sys.executable, "-m", "recorders", str(tmp_path / "spec.json")]) as child:
        limit = time.monotonic() + 30
        while not all(read_index(folder, index).parts for index in indices):
            assert time.monotonic() < limit
            time.sleep(0.02)
        time.sleep(1)
        child.send_signal(signal.SIGKILL)
    killed_at = time.time()
    only = NativeRecorder(
        spec(folder, "user1", format="hls", attempt=2), RecorderConfig.model_validate(config)
    )  # user2 does not come back

    async def record() -> None:
        asyncio.get_running_loop().call_later(2.5, only.stop)
        assert await asyncio.wait_for(only.run(), 20) == "user_stop"

    asyncio.run(record())
    assert finish(folder, PREFIX, "hls").files == (
        "rec_user1.m3u8",
        "rec_user1.json",
        "rec_user2.m3u8",
        "rec_user2.json",
    )
    for user, index_name in zip(clips, indices, strict=True):
        index = read_index(folder, index_name)
        first = [part for part in index.parts if part.attempt < 2 * files.RUNS]
        assert first[-1].name.endswith("s.m4s"), "what was open is salvaged"
        lost = killed_at - ((index.epoch or 0) + first[-1].start + first[-1].duration)
        assert lost < 3.0
        assert validate(folder / f"rec_{user}.m3u8") == []
        published, kept = hashes(clips[user]), hashes(folder / f"rec_{user}.m3u8")
        seam = 0
        for attempt in index.attempts:
            mine = [part for part in index.parts if part.attempt == attempt.attempt < 2 * files.RUNS]
            names = (attempt.init, *(part.name for part in mine)) if mine else ()
            if names:
                seam += len(hashes(io.BytesIO(b"".join((folder / name).read_bytes() for name in names))))
        assert kept[:seam] == published[:seam]
        assert kept[seam:] == published[: len(kept) - seam]
        assert seam >= 75
        assert len(kept) > seam + 30 if user == "user1" else len(kept) == seam
    assert "rec_user1.2.0_00000.m4s" in (folder / "rec_user1.m3u8").read_text()
    assert not list(folder.glob("*.journal"))


class Pictures:
    """A publisher's encoder: H.264 of a size in annex B, a keyframe when it is asked for one."""

    def __init__(self, width: int, height: int) -> None:
        self._painter = Painter(everyone()[0], width, height, 15)
        self._context = av.CodecContext.create("libx264", "w")
        self._context.width, self._context.height, self._context.pix_fmt = width, height, "yuv420p"
        self._context.time_base = Fraction(1, 15)
        self._context.gop_size = 1000
        self._context.options = {"preset": "ultrafast", "tune": "zerolatency", "forced-idr": "1"}
        self._n = 0

    def next(self, t: float, *, key: bool) -> EncodedFrame:
        picture = self._painter.paint(self._n)
        picture.pict_type = PictureType.I if key else PictureType.NONE
        (packet,) = self._context.encode(picture)
        self._n += 1
        return EncodedFrame("h264", bytes(packet), t, packet.is_keyframe)


class Scripted:
    """A source with one participant that changes size, switches its camera off and on, leaves and comes back."""

    def __init__(self) -> None:
        self.asked = False
        self.turns: list[float] = []  # when each act began (Unix seconds)

    def keyframe(self, uid: str) -> None:
        self.asked = True

    async def run(self, sink: Sink) -> None:
        sink.joined("7", "Ada L.")
        await self._act(sink, Pictures(320, 240), 80)
        await self._act(sink, Pictures(480, 360))
        sink.muted("7", "video", True)
        await self._act(sink, None)
        sink.muted("7", "video", False)
        await self._act(sink, Pictures(480, 360))
        sink.left("7")
        await asyncio.sleep(1.0)
        sink.joined("8", "Ada L.")
        await self._act(sink, Pictures(320, 240))

    async def _act(self, sink: Sink, pictures: Pictures | None, count: int = 18) -> None:
        begun = time.monotonic()
        self.turns.append(time.time())
        for n in range(count):
            t = begun + n / 15
            await asyncio.sleep(max(0.0, t - time.monotonic()))
            uid = "8" if len(self.turns) == 5 else "7"
            if pictures is not None:
                sink.encoded(uid, "video", pictures.next(t, key=self.asked))
                self.asked = False
            tone = (np.sin(np.arange(3200) * 2 * np.pi * 440 / 48000) * 8000).astype(np.int16)[None, :]
            sound = av.AudioFrame.from_ndarray(tone, "s16", "mono")
            sound.sample_rate = 48000
            sink.audio(uid, sound, t - 1 / 15)


def test_one_log_through_sizes_a_camera_that_is_off_and_an_absence(tmp_path: Path) -> None:
    recorder = NativeRecorder(spec(tmp_path), RecorderConfig())
    source = Scripted()
    recorder._source = source
    assert asyncio.run(asyncio.wait_for(recorder.run(), 30)) == "completed"
    (name,) = files.logs_in(tmp_path, PREFIX)
    assert name.user.startswith("Ada-L--")
    index = read_index(tmp_path, name.index)
    runs = [attempt.attempt - files.RUNS for attempt in index.attempts]
    assert runs == [0, 1, 2, 3, 4]
    assert doubles(index) == []
    first = index.of(files.RUNS).parts
    assert len(first) >= 2, "keyframes are asked for, so that parts end"
    assert all(1.5 < part.duration < 3.5 for part in first[:-1])
    finish(tmp_path, PREFIX, "mp4")
    playlist = tmp_path / f"{name.prefix}.m3u8"
    assert validate(playlist) == []
    assert playlist.read_text().count("#EXT-X-DISCONTINUITY\n") == 4
    began = [(index.epoch or 0) + index.of(attempt.attempt).parts[0].start for attempt in index.attempts]
    assert began == pytest.approx(source.turns, abs=0.5)
    for path in (playlist, playlist.with_suffix(".mp4")):
        order = [size for size, _ in groupby(sizes(path))]
        assert order == [(320, 240), (480, 360), (320, 180), (480, 360), (320, 240)]
    with av.open(str(tmp_path / f"{name.prefix}.mp4")) as one:
        starts = [float(packet.pts * packet.time_base) for packet in one.demux(audio=0) if packet.pts is not None]
    holes = [after - before for before, after in pairwise(starts) if after - before > 0.05]
    assert len(holes) == 1, "sound goes on from run to run, but for the absence"
    assert 0.5 < holes[0] < 1.5


@pytest.mark.paired
def test_what_does_not_fit_is_encoded_again(tmp_path: Path) -> None:
    """B-frames come in another order than they are shown; VP8 is not for HLS, H.264 not for WebM."""
    (clip,) = cached_clips(1, seconds=3)
    for name, codec, options in (("user1", "libx264", {"bf": "2"}), ("user2", "libvpx", {"deadline": "realtime"})):
        with av.open(str(clip)) as source, av.open(str(tmp_path / f"{name}.mkv"), "w") as out:
            video = cast(VideoStream, out.add_stream(codec, rate=30, options={**options, "g": "30"}))
            video.width, video.height, video.pix_fmt = 640, 360, "yuv420p"
            audio = out.add_stream_from_template(source.streams.audio[0])
            for packet in source.demux():
                if packet.stream.type == "audio" and packet.dts is not None:
                    packet.stream = audio
                    out.mux(packet)
                for frame in packet.decode() if packet.stream.type == "video" else ():
                    assert isinstance(frame, av.VideoFrame)
                    frame.pict_type = PictureType.NONE  # else it would be encoded as it was before
                    out.mux(video.encode(frame))
            out.mux(video.encode(None))
    config = media({name: str(tmp_path / f"{name}.mkv") for name in ("user1", "user2")})
    web = media({"user3": str(clip)})

    async def record() -> None:
        first = NativeRecorder(spec(tmp_path / "a", format="hls"), RecorderConfig.model_validate(config))
        second = NativeRecorder(spec(tmp_path / "b", format="webm"), RecorderConfig.model_validate(web))
        await asyncio.wait_for(asyncio.gather(first.run(), second.run()), 30)

    asyncio.run(record())
    finish(tmp_path / "a", PREFIX, "hls")
    finish(tmp_path / "b", PREFIX, "webm")
    for path in (tmp_path / "a/rec_user1.m3u8", tmp_path / "a/rec_user2.m3u8", tmp_path / "b/rec_user3.webm"):
        report = analyse(path, users=("user1",), frame_rate=15)
        assert (report.width, report.height) == (320, 180)
        assert set(report.seconds[1].seen) == {"user1"}
        assert set(report.seconds[1].heard) == {"user1"}
        assert report.users["user1"].offset_p95 <= 80


@pytest.fixture
def person(tmp_path: Path) -> Iterator[tuple[Person, Stage]]:
    """Somebody who has come to a recording of pictures alone, and the stage."""
    stage = Stage((), lambda uid: None)
    stage.joined("ada")
    stage.advance(math.inf)
    now = time.monotonic()
    wanted = spec(tmp_path, audio=None)
    terms = Terms(
        subject=cast(ChannelSpec, wanted.subject),
        config=RecorderConfig(),
        video=SMALL,
        video_codec="h264",
        audio=None,
        audio_codec="aac",
        zero=now,
        epoch=time.time(),
        keyframe=lambda uid: None,
        count=stage.count,
    )
    person = Person(stage.roster[0], UserLog(wanted, "ada", Lease()), terms, now)
    yield person, stage
    person.close(now + 0.5)


def test_a_picture_that_cannot_be_drawn_is_counted(person: tuple[Person, Stage]) -> None:
    one, stage = person
    now = time.monotonic()
    stage.video("ada", av.VideoFrame(320, 180, "gray32le"), now)
    one.advance(now + 0.2)
    assert stage.counters()["frames_undrawn"] == 1


def test_sound_that_nobody_hears_is_not_kept(person: tuple[Person, Stage]) -> None:
    _, stage = person
    stage.audio("ada", av.AudioFrame("s16", "mono", 480), time.monotonic())
    assert list(stage.roster[0].audio.until(math.inf)) == []


def test_sound_alone_and_pictures_alone(tmp_path: Path) -> None:
    cases: dict[str, RecordingSpec] = {
        "composite sound": spec(tmp_path / "0", channel="demo", mode="composite", video=None),
        "composite pictures": spec(tmp_path / "1", channel="demo", mode="composite", audio=None),
        "individual sound": spec(tmp_path / "2", "ada", channel="demo", format="ogg"),
        "individual sound as mp4": spec(tmp_path / "3", "ada", channel="demo", video=None),
        "individual pictures": spec(tmp_path / "4", "ada", channel="demo", audio=None),
    }
    recorders = [NativeRecorder(each, RecorderConfig()) for each in cases.values()]

    async def record() -> None:
        for recorder in recorders:
            asyncio.get_running_loop().call_later(3.0, recorder.stop)
        await asyncio.wait_for(asyncio.gather(*(recorder.run() for recorder in recorders)), 30)

    begun = time.monotonic()
    asyncio.run(record())
    idle = [(time.monotonic() - begun, recorder.progress().idle_seconds) for recorder in recorders]
    for (name, each), recorder, (took, silent) in zip(cases.items(), recorders, idle, strict=True):
        done = finish(Path(each.folder), each.prefix, each.format)
        assert len(done.files) == 3, name
        assert 1.5 < done.seconds < 10, name
        assert silent < took - 1, name  # somebody was seen or heard for some time
        assert recorder.progress().counters["frames_dropped"] == 0 or "individual pictures" in name
        for file in done.files[:2]:
            with av.open(str(Path(each.folder) / file)) as source:
                kinds = [stream.type for stream in source.streams]
                assert kinds == (["audio"] if "sound" in name else ["video"]), name
                assert sum(1 for _ in source.decode()) > 10, name


def test_logs_go_on_at_their_end_when_the_clock_was_set_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def record(attempt: int) -> None:
        recorder = NativeRecorder(spec(tmp_path, "ada", "bob", channel="demo", attempt=attempt), RecorderConfig())
        asyncio.get_running_loop().call_later(2.0, recorder.stop)
        await asyncio.wait_for(recorder.run(), 20)

    asyncio.run(record(1))
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() - 3600)
    asyncio.run(record(2))
    finish(tmp_path, PREFIX, "mp4")
    for name in files.logs_in(tmp_path, PREFIX):
        parts = read_index(tmp_path, name.index).parts
        assert {part.attempt // files.RUNS for part in parts} == {1, 2}
        assert all(-0.001 <= after.start - (before.start + before.duration) < 1.0 for before, after in pairwise(parts))
        assert validate(tmp_path / f"{name.prefix}.m3u8") == []


def test_nothing_to_record_is_refused(tmp_path: Path) -> None:
    for each in (
        spec(tmp_path, channel="demo", mode="composite", format="m4a", audio=None),
        spec(tmp_path, channel="demo", video=None, audio=None),
    ):
        with pytest.raises(InvalidSpec, match="nothing to record"):
            asyncio.run(NativeRecorder(each, RecorderConfig()).run())
