"""What publishers send by WHIP is what is in their logs, bit for bit."""

from __future__ import annotations

import asyncio
from pathlib import Path

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

_PREFIX = "rec_{user}"


def test_pictures_are_bit_exact_and_in_sync(tmp_path: Path) -> None:
    clips = dict(zip(("user1", "user2"), cached_clips(2), strict=True))
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
