"""The web recorder's pure parts: its sound, its codecs, what a failed load means, what the link lets in."""

from __future__ import annotations

import asyncio
import io
import re
import time
import urllib.error
import urllib.request
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import playwright
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from recorders.errors import Lost, RecorderError, Refused, Unreachable
from recorders.spec import VideoSpec
from recorders.web.browser import _ENABLED_FEATURES
from recorders.web.codecs import avc_level, codec_name, configurations
from recorders.web.colour import avcc_marked, vp9_marked
from recorders.web.link import Link
from recorders.web.page import http_failure, network_failure
from recorders.web.sink import Feed, Sink
from recorders.web.sound import Samples, Sound


def ramp(start: int, samples: int, channels: int = 2) -> Samples:
    """Planes whose value tells the sample's index."""
    return np.tile(np.arange(start, start + samples, dtype=np.float32) / 100_000, (channels, 1))


def test_blocks_that_follow_on_are_joined_whatever_their_timestamps_jitter() -> None:
    sound = Sound(48000, 2)
    out = [sound.add(i / 100 + (0.004 if i % 2 else 0), 48000, ramp(480 * i, 480)) for i in range(10)]
    assert np.array_equal(np.concatenate(out), ramp(0, 4800).T)


def test_a_gap_is_silence_and_an_overlap_is_cut() -> None:
    sound = Sound(48000, 2)
    sound.add(0.0, 48000, ramp(0, 480))
    gap = sound.add(0.1, 48000, ramp(4800, 480))
    assert (len(gap), sound.length) == (4800 - 480 + 480, 5280)
    assert not gap[:4320].any()
    assert np.array_equal(gap[4320:], ramp(4800, 480).T)
    back = sound.add(0.05, 48000, ramp(2400, 4800))
    assert np.array_equal(back, ramp(5280, 1920).T)


def test_what_came_before_the_beginning_is_cut() -> None:
    sound = Sound(48000, 2)
    assert len(sound.add(-0.03, 48000, ramp(0, 480))) == 0
    assert np.array_equal(sound.add(-0.005, 48000, ramp(0, 480)), ramp(240, 240).T)


def test_silence_until_a_sample_then_sound_that_is_late_loses_what_is_past() -> None:
    sound = Sound(48000, 2)
    sound.add(0.0, 48000, ramp(0, 480))
    assert len(sound.silence(4800)) == 4320
    assert len(sound.silence(4800)) == 0
    assert np.array_equal(sound.add(0.095, 48000, ramp(4560, 480)), ramp(4800, 240).T)
    assert sound.late == 0  # 5 ms is within what times jitter by


def test_sound_that_came_when_there_was_silence_in_its_place_is_counted() -> None:
    sound = Sound(48000, 2)
    sound.add(0.0, 48000, ramp(0, 480))
    sound.add(0.05, 48000, ramp(2400, 480))
    sound.add(0.02, 48000, ramp(960, 480))  # of a gap, which is not for its coming late
    assert sound.late == 0
    sound.silence(9600)
    sound.add(0.1, 48000, np.zeros((2, 480), np.float32))
    assert sound.late == 0
    for n in range(11, 30):
        sound.add(n / 100, 48000, ramp(480 * n, 480))
    assert sound.late == 8  # to 0.18 s; the next is 10 ms late, within what times jitter by
    assert np.array_equal(sound.add(0.3, 48000, ramp(14400, 480)), ramp(14400, 480).T)


@pytest.mark.parametrize(("have", "want"), [(1, 2), (2, 1), (2, 2), (1, 1)])
def test_channels(have: int, want: int) -> None:
    out = Sound(48000, want).add(0.0, 48000, ramp(0, 480, have))
    assert out.shape == (480, want)
    assert np.allclose(out, ramp(0, 480, want).T)


@pytest.mark.parametrize("rate", [8000, 16000, 44100, 96000])
def test_another_rate_keeps_time(rate: int) -> None:
    sound, out = Sound(48000, 2), []
    for i in range(100):
        time = np.arange(i * rate // 100, (i + 1) * rate // 100) / rate
        out.append(sound.add(i / 100, rate, np.tile(np.sin(2 * np.pi * 440 * time), (2, 1)).astype(np.float32)))
    tone = np.concatenate(out)[:, 0]
    assert 48000 - 2000 < len(tone) <= 48000
    assert np.allclose(tone[4800:-480], np.sin(2 * np.pi * 440 * np.arange(len(tone)) / 48000)[4800:-480], atol=0.02)


@pytest.mark.parametrize(
    ("rate", "wanted", "longest"),
    [(48000, 44100, 0.1), (44100, 48000, 0.1), (48000, 32000, 0.1), (8000, 11025, 120.0)],
)
def test_a_conversion_is_exact_to_the_sample_for_hours(rate: int, wanted: int, longest: float) -> None:
    """What the resampler holds back stays the same, so nothing is won or lost; the last for an hour."""
    sound, came, held = Sound(wanted, 1), 0, set()
    for size in np.random.default_rng(1).integers(1, int(longest * rate), 60).tolist():
        sound.add(came / rate, rate, np.zeros((1, size), np.float32))
        came += size
        held.add(round(came * wanted / rate - sound.length))
    assert max(held) - min(held) <= 1
    assert 0 <= min(held) <= 64


@pytest.mark.parametrize("parts_per_million", [-300, 300])
def test_sound_by_another_clock_than_its_times_stays_where_they_are_for_hours(parts_per_million: int) -> None:
    """Without a gap: the clocks come to differ by 1 s in an hour."""
    sound, pace, off = Sound(1000, 1), 1 + parts_per_million / 1e6, 0.0
    block = np.ones((1, 1000), np.float32)
    for second in range(3600):
        out = sound.add(second * pace, 1000, block)
        assert out.all(), "no gap"
        off = max(off, abs(sound.length / 1000 - (second + 1) * pace))
    assert off <= 0.006


@pytest.mark.parametrize(
    ("size", "level"),
    [
        ((320, 180, 15), 30),
        ((1280, 720, 30), 31),
        ((1920, 1080, 30), 40),
        ((1920, 1080, 60), 42),
        ((3840, 2160, 60), 52),
    ],
)
def test_avc_level(size: tuple[int, int, int], level: int) -> None:
    assert avc_level(VideoSpec(*size)) == level


def test_the_log_s_own_codec_comes_first_and_others_get_more_bits() -> None:
    video = VideoSpec(bitrate=1000)
    for wanted in ("h264", "vp9"):
        first, *_, last = configurations(video, wanted)
        assert codec_name(first["codec"]) == wanted
        assert first["bitrate"] == 1_000_000
        assert codec_name(last["codec"]) != wanted
        assert last["bitrate"] > 1_000_000


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (200, None),
        (304, None),
        (401, Refused),
        (404, Refused),
        (429, Unreachable),
        (500, Unreachable),
        (599, Unreachable),
    ],
)
def test_http_failure(status: int, kind: type[RecorderError] | None) -> None:
    error = http_failure(status)
    assert (type(error) if error else None) is kind
    assert error is None or str(error).startswith(f"The page answered HTTP {status}")


def test_network_failures_name_the_host_but_not_the_query() -> None:
    for reason in ("NAME_NOT_RESOLVED", "CONNECTION_REFUSED", "CERT_DATE_INVALID", "TOO_MANY_REDIRECTS", "FAILED"):
        message = f"Page.goto: net::ERR_{reason} at https://example.org/?token=secret\nCall log:\n"
        sentence = str(network_failure("https://example.org/?token=secret", message))
        assert "secret" not in sentence
        assert "\n" not in sentence


def test_features_that_playwright_needs_are_still_enabled() -> None:
    """Of several lists of features the browser takes the last, which is ours."""
    bundle = Path(playwright.__file__).parent / "driver" / "package" / "lib" / "coreBundle.js"
    found = re.search(r"enabledFeatures = \(\) => \[(.*?)\]", bundle.read_text(), re.DOTALL)
    assert found is not None
    assert {*re.findall(r'"(\w+)"', found[1])} <= {*_ENABLED_FEATURES}


class _Deaf:
    """A receiver that no media reaches in these tests."""

    def description(self, data: bytes) -> None: ...
    def picture(self, n: int, key: bool, data: bytes) -> None: ...
    def sound(self, seconds: float, sample_rate: int, channels: int, planes: bytes) -> None: ...
    def status(self, seconds: float, counters: dict[str, int]) -> None: ...


def test_the_link_lets_in_nobody_but_its_own_page_and_that_once() -> None:
    def status_of(url: str) -> int:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    async def refused(url: str, origin: str) -> None:
        with pytest.raises(InvalidStatus):
            await connect(url, origin=origin)  # type: ignore[arg-type]

    async def run() -> None:
        link = Link()
        link.receiver = _Deaf()
        address = await link.open()
        origin, _, _ = address.rpartition("/")
        socket = f"{address.replace('http:', 'ws:')}/socket"
        try:
            assert await asyncio.to_thread(status_of, address) == 200
            assert await asyncio.to_thread(status_of, f"{origin}/") == 404
            await refused(f"{origin.replace('http:', 'ws:')}/guess/socket", origin)
            await refused(socket, "https://example.org")
            async with connect(socket, origin=origin) as own:  # type: ignore[arg-type]
                await own.send('{"type": "ready", "codec": "vp8"}')
                assert (await link.expect("ready"))["codec"] == "vp8"
                await refused(socket, origin)
            with pytest.raises(Lost, match="closed or crashed"):
                await asyncio.wait_for(link.expect("done"), 5)
        finally:
            await link.close()

    asyncio.run(run())


def green_h264(vui: bool) -> tuple[bytes, bytes]:
    """avcC and one keyframe of a stream; with `vui` it is marked as BT.709."""
    stream = io.BytesIO()
    with av.open(stream, "w", format="mp4") as container:
        video = container.add_stream("libx264", rate=30)
        video.width, video.height, video.pix_fmt = 64, 64, "yuv420p"
        context: Any = video.codec_context
        if vui:
            context.colorspace, context.color_primaries, context.color_trc, context.color_range = 1, 1, 1, 1
        context.options = {"x264-params": "nal-hrd=vbr:vbv-maxrate=1000:vbv-bufsize=1000"}
        container.mux(video.encode(av.VideoFrame(64, 64, "yuv420p")))
        container.mux(video.encode(None))
    stream.seek(0)
    with av.open(stream, "r") as container:
        packet = next(container.demux(video=0))
        return bytes(container.streams.video[0].codec_context.extradata or b""), bytes(packet)


def matrix_of(codec: str, extradata: bytes, data: bytes) -> int:
    decoder: Any = av.CodecContext.create(codec, "r")
    if extradata:
        decoder.extradata = extradata
    return int(next(iter([*decoder.decode(av.Packet(data)), *decoder.decode(None)])).colorspace)


def test_h264_is_marked_with_the_matrix_it_has() -> None:
    avcc, data = green_h264(vui=True)
    assert matrix_of("h264", avcc, data) == 1
    assert matrix_of("h264", avcc_marked(avcc, "bt601"), data) == 6
    assert avcc_marked(avcc_marked(avcc, "bt601"), "bt709") == avcc
    assert avcc_marked(avcc, "bt709") == avcc


def test_h264_that_is_not_marked_is_left_alone() -> None:
    avcc, _ = green_h264(vui=False)
    assert avcc_marked(avcc, "bt601") == avcc
    assert avcc_marked(avcc[:12], "bt601") == avcc[:12]


def test_vp9_keyframes_are_marked_and_nothing_else() -> None:
    encoder: Any = av.CodecContext.create("libvpx-vp9", "w")
    encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = 64, 64, "yuv420p", Fraction(1, 30)
    encoder.colorspace, encoder.options = 1, {"lag-in-frames": "0", "deadline": "realtime"}
    key, delta = (bytes(encoder.encode(av.VideoFrame(64, 64, "yuv420p"))[0]) for _ in range(2))
    assert matrix_of("vp9", b"", key) == 1
    assert matrix_of("vp9", b"", vp9_marked(key, "bt601")) in (5, 6)
    assert vp9_marked(key, "bt709") == key
    assert vp9_marked(delta, "bt601") == delta


class _Jobs:
    """An output that notes what it is given; closing takes a while."""

    def __init__(self) -> None:
        self.given: list[object] = []

    def picture(self, n: int, key: bool, data: bytes) -> None:
        self.given.append(n)

    def close(self, seconds: float | None) -> None:
        time.sleep(0.1)
        self.given.append("closed")


def test_what_comes_before_its_browsers_turn_waits_and_what_comes_after_it_is_too_late() -> None:
    output = _Jobs()

    async def run() -> None:
        sink = Sink()
        feed, other = Feed(sink), Feed(sink)
        feed.picture(0, True, b"")
        sink.open(lambda: cast(Any, output))
        feed.begin()
        feed.picture(1, False, b"")
        other.picture(7, True, b"")
        feed.mute()
        feed.picture(2, False, b"")
        other.begin()
        closing = asyncio.create_task(sink.close(None))
        await asyncio.sleep(0)
        other.picture(8, False, b"")
        await closing
        other.picture(9, False, b"")
        assert not sink.failed.done()

    asyncio.run(run())
    assert output.given == [0, 1, 7, "closed"]
