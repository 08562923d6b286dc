"""Two recorders that hand over to each other leave no gap and no double, in picture and sound."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from recorders.config import EncoderConfig
from recorders.encoder import AudioEncoder, VideoEncoder
from recorders.formats import codecs_of
from recorders.log.cmaf import CmafWriter
from recorders.log.finish import finish
from recorders.log.segment_log import SegmentLog, read_index
from recorders.log.window import Window
from recorders.spec import AudioSpec, Format, VideoSpec
from tests.media.log_maker import EPOCH, HEIGHT, PART_SECONDS, RATE, SAMPLE_RATE, WIDTH, clicks, content, picture
from tests.oracle.hls import probe_quiet, validate

_STEP = SAMPLE_RATE // RATE


class _Recorder:
    """One attempt, fed tick by tick."""

    def __init__(self, folder: Path, format: Format, attempt: int, window: Window) -> None:
        codecs = codecs_of(format)
        spec = VideoSpec(WIDTH, HEIGHT, RATE, 300)
        self.video = VideoEncoder(spec, EncoderConfig(), PART_SECONDS, codecs.video) if codecs.video else None
        self.audio = AudioEncoder(AudioSpec(SAMPLE_RATE, 2, 96), codecs.audio)
        self.writer = CmafWriter(
            SegmentLog(folder, "rec", attempt),
            video=self.video.track if self.video else None,
            audio=self.audio.track,
            part_seconds=PART_SECONDS,
            epoch=EPOCH,
            window=window,
        )

    def tick(self, n: int) -> None:
        for heard in self.audio.encode(clicks(n * _STEP, (n + 1) * _STEP), n * _STEP):
            self.writer.audio(*heard)
        for shown in self.video.encode(picture(n), n) if self.video else ():
            self.writer.video(*shown)

    def close(self) -> None:
        for heard in self.audio.flush():
            self.writer.audio(*heard)
        for shown in self.video.flush() if self.video else ():
            self.writer.video(*shown)
        self.writer.close()


@pytest.mark.parametrize("format", ["hls", "mp4", "webm", "m4a"])
@pytest.mark.parametrize("joins", [40, 77])
def test_nothing_is_lost_or_doubled(tmp_path: Path, format: Format, joins: int) -> None:
    first, second = Window(), Window(standby=True)
    before, after = _Recorder(tmp_path, format, 1, first), _Recorder(tmp_path, format, 2, second)
    at = 0.0
    for n in range(270):
        before.tick(n)
        if n >= joins:
            after.tick(n)
        if n == joins + 10:
            opened = second.open_at(n / RATE + 1.0)
            assert opened is not None
            at = opened
            first.close_at(at)
    assert first.passed.is_set()
    before.close()
    after.close()
    index = read_index(tmp_path)
    assert [part.attempt for part in index.parts] == sorted(part.attempt for part in index.parts)
    assert index.of(2).parts[0].start == pytest.approx(at, abs=0.025 if format == "m4a" else 0.001)
    assert (joins + 10) / RATE + 1 <= at <= (joins + 10) / RATE + 1 + PART_SECONDS
    files = finish(tmp_path, "rec", format).files
    assert validate(tmp_path / "rec.m3u8") == []
    for name in files[:-1]:
        assert probe_quiet(tmp_path / name) == ""
        found = content(tmp_path / name)
        if format in ("hls", "mp4"):
            assert found.numbers == list(range(270))
            assert found.flashes == pytest.approx([n + 0.5 for n in range(9)], abs=0.003)
        assert found.clicks == pytest.approx([n + 0.5 for n in range(9)], abs=0.003)
        packets = found.sound_packets
        assert all(abs(later[0] - sooner[1]) < 0.002 for sooner, later in pairwise(packets))


def test_a_slate_after_the_end_is_nobodys(tmp_path: Path) -> None:
    window = Window()
    recorder = _Recorder(tmp_path, "hls", 1, window)
    window.close_at(1.0)
    for n in range(60):
        recorder.tick(n)
    assert window.passed.is_set()
    recorder.writer.slate(2.0, 3.0, "no browser")
    assert read_index(tmp_path).slates == ()


def test_a_standby_that_is_never_opened_leaves_no_trace(tmp_path: Path) -> None:
    recorder = _Recorder(tmp_path, "hls", 2, Window(standby=True))
    for n in range(100):
        recorder.tick(n)
    recorder.close()
    assert list(tmp_path.iterdir()) == []


def test_before_the_first_picture_there_is_no_moment_to_open_at() -> None:
    assert Window(standby=True).open_at(5.0) is None
