"""What the log holds when one browser takes another's place: encoded pictures and sound as a browser sends them, with a
hole between, through the real output, log and players."""

from __future__ import annotations

import json
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.codec.context import Flags

from recorders.config import LogConfig, RecorderConfig
from recorders.errors import Lost
from recorders.log.finish import finish
from recorders.log.segment_log import SegmentLog, read_index
from recorders.log.window import Window
from recorders.spec import Format, PageSpec, RecordingSpec, VideoSpec
from recorders.web.clock import Clock
from recorders.web.output import Output
from recorders.web.session import Beginning
from tests.oracle.hls import probe_quiet, validate

VIDEO = VideoSpec(320, 180, 30, 500)
CONFIG = RecorderConfig(log=LogConfig(part_seconds=1.0))
EPOCH = 1_700_000_000.0
WHY = "The page crashed in the browser."
_SAMPLES = 4800


class Browser:
    """Encodes as one does: grey pictures that grow lighter, a key each second, no B-frames; a tone of 440 Hz."""

    def __init__(self, codec: str) -> None:
        library = {"h264": "libx264", "vp9": "libvpx-vp9", "vp8": "libvpx"}[codec]
        context: Any = av.CodecContext.create(library, "w")
        self._context = context
        context.width, context.height, context.pix_fmt = VIDEO.width, VIDEO.height, "yuv420p"
        context.time_base, context.framerate = Fraction(1, 30), Fraction(30)
        context.gop_size, context.max_b_frames, context.bit_rate = 30, 0, 500_000
        context.options = (
            {"tune": "zerolatency", "x264-params": "scenecut=0"}
            if codec == "h264"
            else {"lag-in-frames": "0", "deadline": "realtime", "cpu-used": "8"}
        )
        if codec == "h264":
            context.flags |= Flags.global_header
        context.colorspace, context.color_range = 6, 1
        context.open(strict=False)
        self.description = _avcc(bytes(context.extradata)) if codec == "h264" else b""
        self._prefix = codec == "h264"

    def send(self, output: Output, first: int, count: int, since: int = 0) -> None:
        """`count` pictures and their sound; grey is `first` and up."""
        if since == 0 and self.description:
            output.description(self.description)
        for n in range(since, since + count):
            luma = 40 + (first + n) % 180
            picture = av.VideoFrame(VIDEO.width, VIDEO.height, "yuv420p")
            for plane, value in zip(picture.planes, (luma, 128, 128), strict=True):
                plane.update(bytes([value]) * plane.buffer_size)
            picture.pts, picture.time_base = n, Fraction(1, 30)
            (packet,) = self._context.encode(picture)
            data = _length_prefixed(bytes(packet)) if self._prefix else bytes(packet)
            output.picture(n, packet.is_keyframe, data)
            if n % 3 == 0:
                t = np.arange(_SAMPLES) / 48000 + n / 30
                tone = (np.sin(2 * np.pi * 440 * t) * 8000).astype(np.int16)
                output.sound(n / 30, 48000, 2, np.stack((tone, tone)).tobytes())


def _nals(annex_b: bytes) -> Iterator[bytes]:
    yield from (piece.rstrip(b"\0") for piece in annex_b.split(b"\0\0\1")[1:])


def _length_prefixed(annex_b: bytes) -> bytes:
    return b"".join(len(nal).to_bytes(4) + nal for nal in _nals(annex_b))


def _avcc(annex_b: bytes) -> bytes:
    sps, pps = [nal for nal in _nals(annex_b) if nal[0] & 31 in (7, 8)]
    sets = b"\xe1" + len(sps).to_bytes(2) + sps + b"\1" + len(pps).to_bytes(2) + pps
    return b"\1" + sps[1:4] + b"\xff" + sets + b"\xfd\xf8\xf8\0"


def spec(folder: Path, format: Format) -> RecordingSpec:
    return RecordingSpec("t", str(folder), PageSpec("http://x"), video=VIDEO, format=format)


def output_of(given: RecordingSpec, begun: Beginning) -> Output:
    return Output(given, CONFIG, SegmentLog(Path(given.folder), given.prefix, 1), Window(), begun, Clock())


def lumas(path: Path) -> list[float]:
    with av.open(str(path)) as container:
        return [float(frame.to_ndarray(format="gray").mean()) for frame in container.decode(video=0)]


def levels(path: Path, rate: int = 48000) -> list[float]:
    """RMS of each tenth of a second."""
    with av.open(str(path)) as container:
        sound = np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)[0]
    return [float(np.sqrt((block**2).mean())) for block in np.array_split(sound, len(sound) * 10 // rate)]


@pytest.mark.parametrize(
    ("format", "codec", "file"),
    [("mp4", "h264", "recording.mp4"), ("webm", "vp9", "recording.webm"), ("hls", "vp8", "recording.m3u8")],
)
def test_the_last_picture_and_silence_until_another_browser_goes_on(
    tmp_path: Path, format: Format, codec: str, file: str
) -> None:
    given = spec(tmp_path, format)
    begun = Beginning(EPOCH, codec, "bt601")
    output = output_of(given, begun)
    Browser(codec).send(output, 0, 40)
    for until in (1.6, 2.4):
        output.slate(EPOCH + until, WHY)
    output.go_on(Beginning(EPOCH + 3.0, codec, "bt601"), WHY)
    Browser(codec).send(output, 100, 45)
    output.close()
    assert output.filled == 50
    finish(tmp_path, "recording", format)
    seen = lumas(tmp_path / file)
    assert len(seen) == 135, "every picture, and one for each that is missing"
    still = seen[40:90]
    assert max(still) - min(still) < 2
    assert abs(still[0] - seen[39]) < 2
    assert seen[90] - seen[89] > 40, "another browser's first picture"
    assert np.all(np.diff(seen[90:]) >= 0)
    assert seen[-1] - seen[90] > 35
    heard = levels(tmp_path / file)
    assert min(heard[1:13]) > 0.1 < min(heard[31:44])
    assert max(heard[15:29]) < 0.001
    told = json.loads((tmp_path / "recording.json").read_text())
    assert told["slates"] == [{"start": pytest.approx(40 / 30, abs=1e-3), "end": 3.0, "why": WHY}]
    assert told["gaps"] == []
    assert [attempt.attempt for attempt in read_index(tmp_path).attempts] == [1]
    playlist = tmp_path / "recording.m3u8"
    assert "DISCONTINUITY" not in playlist.read_text()
    if format != "webm":
        assert validate(playlist) == []
        assert probe_quiet(str(playlist)) == ""


def test_a_browser_that_began_before_the_slate_had_ended_goes_on_with_its_next_keyframe(tmp_path: Path) -> None:
    given = spec(tmp_path, "mp4")
    output = output_of(given, Beginning(EPOCH, "h264", "bt601"))
    Browser("h264").send(output, 0, 30)
    output.slate(EPOCH + 2.0, WHY)
    output.go_on(Beginning(EPOCH + 1.9, "h264", "bt601"), WHY)
    Browser("h264").send(output, 100, 60)
    output.close()
    assert (output.filled, output.left_out) == (57, 30)
    finish(tmp_path, "recording", "mp4")
    seen = lumas(tmp_path / "recording.mp4")
    assert len(seen) == 117
    assert max(seen[30:87]) - min(seen[30:87]) < 2
    with av.open(str(tmp_path / "recording.mp4")) as container:
        sound = sum(frame.samples for frame in container.decode(audio=0))
    assert sound / 48000 == pytest.approx(117 / 30, abs=0.05)


def test_colours_stay_when_the_slate_comes(tmp_path: Path) -> None:
    """Both encoders say the same of the pictures' matrix, each in its own parameter sets."""
    output = output_of(spec(tmp_path, "mp4"), Beginning(EPOCH, "h264", "bt601"))
    Browser("h264").send(output, 0, 10)
    output.slate(EPOCH + 1, WHY)
    output.close()
    finish(tmp_path, "recording", "mp4")
    with av.open(str(tmp_path / "recording.mp4")) as container:
        marked = {(frame.colorspace, frame.color_range) for frame in container.decode(video=0)}
    assert marked == {(6, 1)}


def test_sound_alone(tmp_path: Path) -> None:
    given = RecordingSpec("t", str(tmp_path), PageSpec("http://x"), video=None, format="m4a")
    output = output_of(given, Beginning(EPOCH, None, "bt709"))
    tone = (np.sin(np.arange(48000) / 20) * 8000).astype(np.int16)
    output.sound(0, 48000, 2, np.stack((tone, tone)).tobytes())
    output.go_on(Beginning(EPOCH + 2.5, None, "bt709"), WHY)
    output.sound(0, 48000, 2, np.stack((tone, tone)).tobytes())
    output.close(1.0)
    finish(tmp_path, "recording", "m4a")
    heard = levels(tmp_path / "recording.m4a")
    assert len(heard) in (35, 36)
    assert max(heard[11:24]) < 0.001
    assert min(heard[1:9]) > 0.1 < min(heard[26:34])
    slates = json.loads((tmp_path / "recording.json").read_text())["slates"]
    assert [(round(each["start"], 1), round(each["end"], 1)) for each in slates] == [(1.0, 2.5)]


def test_a_browser_that_encodes_in_another_way_does_not_go_on(tmp_path: Path) -> None:
    output = output_of(spec(tmp_path, "mp4"), Beginning(EPOCH, "h264", "bt601"))
    Browser("h264").send(output, 0, 3)
    with pytest.raises(Lost):
        output.go_on(Beginning(EPOCH + 1, "vp8", "bt601"), WHY)
    output.go_on(Beginning(EPOCH + 1, "h264", "bt601"), WHY)
    with pytest.raises(Lost):
        output.description(Browser("h264").description[:-4] + b"\xfd\xf8\xf9\0")
    output.close()
