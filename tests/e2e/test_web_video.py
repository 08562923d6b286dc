"""A video in a page: what it shows and what it plays stay together."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import av
import pytest

from recorders.spec import PageSpec, VideoSpec
from tests.e2e.test_web import record, spec
from tests.e2e.web_pages import serve_pages
from tests.oracle.analyse import analyse
from tests.oracle.clips import cached_clips


def _webm(clip: Path) -> bytes:
    """The clip with VP8, which every Chromium plays."""
    file = io.BytesIO()
    with av.open(str(clip)) as source, av.open(file, "w", format="webm") as out:
        came, sound = source.streams.video[0], source.streams.audio[0]
        video = out.add_stream("libvpx", rate=30, options={"deadline": "realtime", "cpu-used": "8", "b": "1M"})
        video.width, video.height, video.pix_fmt = came.width, came.height, "yuv420p"
        audio = out.add_stream_from_template(sound)
        for packet in source.demux(came, sound):
            if packet.stream is sound and packet.dts is not None:
                packet.stream = audio
                out.mux(packet)
            elif packet.stream is came:
                for frame in came.decode(packet):
                    frame.pict_type = av.video.frame.PictureType.NONE
                    out.mux(video.encode(frame))
        out.mux(video.encode(None))
    return file.getvalue()


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    (clip,) = cached_clips(1, seconds=20, width=320, height=180)
    data = base64.b64encode(_webm(clip)).decode()
    page = f"<style>*{{margin:0}}</style><video autoplay width=640 src=data:video/webm;base64,{data}>"
    with serve_pages({"/video": page}) as origin:
        yield f"{origin}/video"


@pytest.mark.paired("short")
@pytest.mark.parametrize("rate", [30, 60])
def test_a_video_is_seen_when_it_is_heard(tmp_path: Path, url: str, rate: int) -> None:
    record(replace(spec(tmp_path, ""), subject=PageSpec(url), video=VideoSpec(640, 360, rate, 1000)), 6)
    report = analyse(tmp_path / "recording.m3u8", users=["user1"], frame_rate=rate)
    user = report.users["user1"]
    assert len(user.offsets) >= 4
    assert user.offset_p95 <= 40, str(report)
    assert report.frames == report.frames_expected
    # A machine that stands still itself may cost a block or two.
    assert user.lost < 0.1
