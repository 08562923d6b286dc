"""What publishers send by WHIP is what is in their logs, bit for bit."""

from __future__ import annotations

import asyncio
from pathlib import Path

import av
import pytest
from av.video.frame import PictureType

from recorders.config import RecorderConfig
from recorders.log.finish import finish
from recorders.native.recorder import NativeRecorder
from recorders.spec import ChannelSpec, RecordingSpec
from tests.e2e.acceptance import until
from tests.e2e.test_whip import publisher, serving
from tests.media.test_individual import hashes
from tests.oracle.analyse import analyse
from tests.oracle.clips import cached_clips
from tests.oracle.hls import validate

pytestmark = pytest.mark.paired

_PREFIX = "rec_{user}"


def _high(clip: Path, path: Path) -> Path:
    """The clip in H.264's High profile, without B-frames."""
    with av.open(str(clip)) as source, av.open(str(path), "w") as out:
        audio = out.add_stream_from_template(source.streams.audio[0])
        video: av.VideoStream = out.add_stream("libx264", rate=30)
        video.width, video.height, video.pix_fmt = 640, 360, "yuv420p"
        options = {"profile": "high", "preset": "veryfast", "bf": "0", "g": "30", "sc_threshold": "0"}
        video.codec_context.options = options
        for packet in source.demux():
            if packet.stream.type == "audio" and packet.dts is not None:
                packet.stream = audio
                out.mux(packet)
            elif packet.stream.type == "video":
                for frame in packet.decode():
                    assert isinstance(frame, av.VideoFrame)
                    frame.pict_type = PictureType.NONE
                    out.mux(video.encode(frame))
        out.mux(video.encode(None))
    return path


def test_pictures_are_bit_exact_and_in_sync(tmp_path: Path) -> None:
    plain, other = cached_clips(2)
    clips = {"user1": plain, "user2": _high(other, tmp_path / "high.mkv")}
    config = RecorderConfig.model_validate({"sources": {"rules": [{"source": "whip"}]}})
    subject = ChannelSpec("app", "room", 42, "token", mode="individual")
    recording = NativeRecorder(RecordingSpec("task", str(tmp_path), subject, _PREFIX), config)

    async def record() -> None:
        async with (
            serving(recording) as url,
            publisher(f"{url}user1", clips["user1"]),
            publisher(f"{url}user2", clips["user2"]),
        ):
            await until(lambda: recording.progress().counters.get("frames", 0) >= 240)
            recording.stop()
            await until(lambda: recording.progress().phase == "closed")

    asyncio.run(record())
    whole = "packets_lost" not in recording.progress().counters
    finish(tmp_path, _PREFIX, "hls")
    for user, clip in clips.items():
        playlist = tmp_path / f"rec_{user}.m3u8"
        assert validate(playlist) == []
        with av.open(str(clip)) as media, av.open(str(playlist)) as kept:
            assert kept.streams.video[0].profile == media.streams.video[0].profile
        published, recorded = hashes(clip), hashes(playlist)
        assert len(recorded) > 90
        rest = iter(published)
        assert all(picture in rest for picture in recorded), "all are the publisher's, in its order"
        if whole:
            first = next(n for n in range(0, len(published), 30) if published[n : n + 30] == recorded[:30])
            assert recorded == published[first : first + len(recorded)]
        report = analyse(playlist, users=(user,), frame_rate=30)
        assert all(set(second.heard) == {user} for second in report.seconds[1:-1])
        assert report.users[user].offset_p95 <= 60
