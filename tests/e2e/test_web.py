"""The web recorder with a real browser: what it records, how it fails, what it leaves behind."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import av
import numpy as np
import psutil
import pytest
from av.video.reformatter import Colorspace
from playwright.async_api import Page

from recorders.config import LogConfig, RecorderConfig, WebConfig
from recorders.errors import Lost, RecorderError, Refused, Unreachable
from recorders.log.finish import finish
from recorders.progress import Progress
from recorders.recorder import EndReason
from recorders.spec import Format, PageSpec, RecordingSpec, VideoSpec
from recorders.web.browser import Browser
from recorders.web.recorder import WebRecorder
from recorders.web.warm import fits, open_station
from tests.e2e.web_pages import serve_pages
from tests.oracle.analyse import analyse
from tests.oracle.page import serve_page
from tests.processes import arguments, browser_of, chromium_of

# A browser may take long to start on a busy machine.
WEB = WebConfig(allowed_networks=("127.0.0.0/8",), launch_timeout_s=60)
CONFIG = RecorderConfig(log=LogConfig(part_seconds=1.0), web=WEB)
_BT709, _BT470BG, _SMPTE170M = 1, 5, 6
Picture = np.ndarray[Any, np.dtype[np.uint8]]


@pytest.fixture(scope="module")
def pages() -> Iterator[str]:
    with serve_pages() as origin:
        yield origin


def spec(
    folder: Path, url: str, size: str = "640x360", web_gl: bool = False, format: Format = "hls", attempt: int = 1
) -> RecordingSpec:
    width, height = map(int, size.split("x"))
    video = VideoSpec(width, height, 30, 2000)
    return RecordingSpec("t", str(folder), PageSpec(url, web_gl), video=video, format=format, attempt=attempt)


async def until(condition: Callable[[], bool], timeout: float = 20.0) -> None:
    async with asyncio.timeout(timeout):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


@asynccontextmanager
async def recording(
    spec: RecordingSpec, config: RecorderConfig = CONFIG, kind: type[WebRecorder] = WebRecorder
) -> AsyncIterator[WebRecorder]:
    """A recorder that records; stopped at the end."""
    recorder = kind(spec, config)
    task = asyncio.create_task(recorder.run())
    await until(lambda: task.done() or recorder.progress().phase == "recording", 70)
    if not task.done():
        yield recorder
    recorder.stop()
    assert await asyncio.wait_for(task, 15) == "user_stop"


def record(
    spec: RecordingSpec, seconds: float, config: RecorderConfig = CONFIG, kind: type[WebRecorder] = WebRecorder
) -> Progress:
    """Record so long, and finish the files."""

    async def run() -> Progress:
        async with recording(spec, config, kind) as recorder:
            await asyncio.sleep(seconds)
        return recorder.progress()

    progress = asyncio.run(run())
    finish(Path(spec.folder), spec.prefix, spec.format)
    return progress


class _Ready(WebRecorder):
    """Records with a browser that was open before there was anything to record."""

    async def run(self) -> EndReason:
        assert fits(self._spec)
        self._station = await open_station(self._config.web)
        return await super().run()


def pictures(path: Path) -> list[Picture]:
    """All pictures, as RGB by the matrix that they are marked with."""
    found: list[Picture] = []
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            matrix = Colorspace.ITU709 if frame.colorspace == _BT709 else Colorspace.ITU601
            assert frame.colorspace in (_BT709, _BT470BG, _SMPTE170M)
            picture = frame.reformat(format="rgb24", src_colorspace=matrix)
            found.append(np.asarray(picture.to_ndarray(), np.uint8))
    return found


def failure(spec: RecordingSpec, config: RecorderConfig = CONFIG) -> RecorderError:
    with pytest.raises(RecorderError) as caught:
        asyncio.run(asyncio.wait_for(WebRecorder(spec, config).run(), 30))
    return caught.value


@pytest.mark.alone
def test_sound_and_picture_stay_together_for_a_minute(tmp_path: Path) -> None:
    with serve_page() as url:
        progress = record(spec(tmp_path, url, "1280x720"), 60)
    report = analyse(tmp_path / "recording.m3u8", users=["user1"], frame_rate=30)
    user = report.users["user1"]
    assert (report.width, report.height, report.sample_rate) == (1280, 720, 48000)
    assert len(user.offsets) >= 57
    assert user.offset_p95 <= 40, str(report)
    # On a busy machine it may jump by a picture (decision 21) anywhere; a slope makes more of that than it is.
    first, last = ([offset for _, offset in seconds] for seconds in (user.offsets[:3], user.offsets[-3:]))
    assert abs(np.median(last) - np.median(first)) <= 34, str(report)
    assert report.frames == report.frames_expected == progress.counters["frames"]
    assert progress.media_seconds == pytest.approx(report.frames / 30, abs=0.001)
    assert not report.black, "the page must not start black"


@pytest.mark.paired("short")
@pytest.mark.parametrize("rate", [24, 25, 60])
def test_frames_are_exact_and_in_sync_at_other_rates(tmp_path: Path, rate: int) -> None:
    given = spec(tmp_path, "", "320x180")
    with serve_page() as url:
        progress = record(replace(given, subject=PageSpec(url), video=VideoSpec(320, 180, rate, 300)), 4)
    report = analyse(tmp_path / "recording.m3u8", users=["user1"], frame_rate=rate)
    assert report.frame_rate == pytest.approx(rate)
    assert report.frames == report.frames_expected == progress.counters["frames"] >= 4 * rate
    assert len(report.users["user1"].offsets) >= 2
    assert report.users["user1"].offset_p95 <= 60, str(report)


class _HeldUp(Browser):
    """The worker of its recorder's page does nothing else for 0.4 s now and then, as on a machine that is busy."""

    async def recorder(self, address: str) -> Page:
        page = await super().recorder(address)
        worker = page.workers[0] if page.workers else await page.wait_for_event("worker", timeout=5000)
        await worker.evaluate("setInterval(() => { for (const t = Date.now(); Date.now() < t + 400;); }, 1300)")
        return page


@pytest.mark.paired("short")
def test_no_sound_is_lost_while_the_capture_is_held_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recorders.web.station.Browser", _HeldUp)
    with serve_page() as url:
        record(spec(tmp_path, url, "320x180"), 6)
    user = analyse(tmp_path / "recording.m3u8", users=["user1"]).users["user1"]
    # Of four times 0.4 s; a machine that stands still itself may cost a block or two.
    assert user.lost < 0.1


@pytest.mark.paired("short")
def test_no_sound_is_lost_while_the_recorder_is_held_up(tmp_path: Path) -> None:
    async def run() -> None:
        with serve_page() as url:
            async with recording(spec(tmp_path, url, "320x180")):
                await asyncio.sleep(1)
                time.sleep(4)  # noqa: ASYNC251  -- more sound than there is room for in the shared file
                await asyncio.sleep(1)

    asyncio.run(run())
    finish(tmp_path, "recording", "hls")
    report = analyse(tmp_path / "recording.m3u8", users=["user1"])
    assert all("user1" in second.heard for second in report.seconds[:-1])
    assert report.users["user1"].lost < 0.1


def test_static_page_has_every_frame_and_silence(tmp_path: Path, pages: str) -> None:
    progress = record(spec(tmp_path, f"{pages}/static", format="mp4"), 4)
    with av.open(str(tmp_path / "recording.mp4")) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        times = [float((packet.pts or 0) * packet.time_base) for packet in packets]
        keys = [time for packet, time in zip(packets, times, strict=True) if packet.is_keyframe]
    assert np.allclose(times, np.arange(len(times)) / 30, atol=0.001)
    assert set(np.arange(len(times) // 30)) <= set(np.round(keys, 3)), "a keyframe at each second's start"
    assert len(times) == progress.counters["frames"] >= 4 * 30
    assert progress.counters["frames_repeated"] > 0.9 * len(times)
    with av.open(str(tmp_path / "recording.mp4")) as container:
        sound = np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)
    assert sound.shape[1] / 48000 == pytest.approx(len(times) / 30, abs=0.05)
    assert np.abs(sound).max() < 0.001
    first = pictures(tmp_path / "recording.mp4")[0]
    assert np.allclose(first[180, 500], (0x22, 0x44, 0x66), atol=6), "the first picture shows the page"


@pytest.mark.paired("short")
@pytest.mark.parametrize("format", ["hls", "webm"])
def test_what_stands_still_is_encoded_once_and_what_moves_then_is_clean(
    tmp_path: Path, pages: str, format: Format
) -> None:
    progress = record(spec(tmp_path, f"{pages}/calm", format=format), 7.5)
    with av.open(str(tmp_path / "recording.m3u8")) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    assert len(packets) == progress.counters["frames"]
    keys = [n for n, packet in enumerate(packets) if packet.is_keyframe]
    if format == "hls":
        first, second, third = (b"".join(bytes(packet) for packet in packets[n : n + 30]) for n in (30, 60, 90))
        assert second in (first, third)
        assert [n for n in keys if n % 30], "what moves begins with a keyframe"
    seen = pictures(tmp_path / "recording.m3u8")
    assert len(seen) == len(packets)
    green, red, blue = (0, 0x88, 0), (0xCC, 0, 0), (0, 0, 0xCC)
    looks = [(red if left[0] > 100 else green, blue if right[2] > 100 else green) for left, right in map(_halves, seen)]
    changes = [n for n in range(1, len(looks)) if looks[n] != looks[n - 1]]
    assert [looks[0], *(looks[n] for n in changes)] == [(green, green), (red, green), (red, blue)]
    assert 7 <= changes[1] - changes[0] <= 11
    for picture, (left, right) in zip(seen, looks, strict=True):
        assert np.abs(picture[:, 8:312] - np.array(left, np.int16)).max() <= 14
        assert np.abs(picture[:, 328:-8] - np.array(right, np.int16)).max() <= 14


class _Failed(Browser):
    """Asked for pictures of a page that changes, it begins captures that fail, as one does in many recordings."""

    async def recorder(self, address: str) -> Page:
        page = await super().recorder(address)
        often = "setInterval(() => stream && worker.onmessage(), 37)"
        await page.evaluate(f"setTimeout(clearInterval, 2500, {often})")
        return page


def test_what_a_page_comes_to_is_seen_however_soon_after_another_picture(
    tmp_path: Path, pages: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recorders.web.station.Browser", _Failed)
    record(spec(tmp_path, f"{pages}/twice", "320x180"), 7)
    colours = ["rgb"[int(picture[90, 160].argmax())] for picture in pictures(tmp_path / "recording.m3u8")]
    shown = [(colour, len(list(same))) for colour, same in groupby(colours[90:-10])]
    assert max(length for colour, length in shown if colour == "r") <= 15, str(shown)
    assert {colour for colour, length in shown if length > 10} == {"g", "b"}, str(shown)


def _halves(picture: Picture) -> tuple[Picture, Picture]:
    return picture[180, 160], picture[180, 480]


@pytest.mark.parametrize(
    ("size", "scale", "ready"),
    [("640x360", 1, False), ("360x640", 1, False), ("960x540", 1.5, False), ("1600x900", 1, True)],
)
def test_every_pixel_is_where_the_page_put_it(tmp_path: Path, pages: str, size: str, scale: float, ready: bool) -> None:
    given = replace(spec(tmp_path, "", size), subject=PageSpec(f"{pages}/pixels", scale=scale))
    record(given, 1.2, kind=_Ready if ready else WebRecorder)
    luma = pictures(tmp_path / "recording.m3u8")[-1].mean(axis=2)
    width, height = map(int, size.split("x"))
    assert luma.shape == (height, width)
    for edge in (luma[0], luma[-1], luma[:, 0], luma[:, -1]):
        assert edge.mean() > 150, "the frame of one pixel is at the very edge: no scroll bar, no banner, no shift"
    for inner in (luma[2, 2:-2], luma[-3, 2:-2], luma[2:-2, 2], luma[2:-2, -3]):
        assert inner.mean() < 60
    for stripes in (luma[50, 20 : width - 40], luma[120 : height - 40, 50]):
        stripes = stripes[: len(stripes) // 4 * 4].reshape(-1, 4)
        assert stripes[:, :2].min() > 170, "not scaled: stripes of two pixels keep their contrast"
        assert stripes[:, 2:].max() < 85


@pytest.mark.skipif(shutil.which("fc-list") is None, reason="nothing tells which fonts there are")
def test_letters_of_the_east_and_pictographs_are_no_boxes(tmp_path: Path, pages: str) -> None:
    record(spec(tmp_path, f"{pages}/glyphs"), 1.2)
    seen = pictures(tmp_path / "recording.m3u8")[-1].astype(np.int16)
    *glyphs, box = (seen[100:190, 100 * i : 100 * i + 90] for i in range(5))
    inks = [np.argwhere(glyph.min(axis=2) < 128) for glyph in glyphs]
    assert all(len(ink) > 200 for ink in inks)
    for i, glyph in enumerate(glyphs):
        others = [box, *(each for n, each in enumerate(glyphs) if n != i)]
        assert all(np.abs(glyph - other).mean() > 8 for other in others), f"glyph {i} is like another"
    face = glyphs[-1]
    assert (face.max(axis=2) - face.min(axis=2) > 100).mean() > 0.05, "in colour"


def test_a_page_without_a_background_is_white(tmp_path: Path, pages: str) -> None:
    record(spec(tmp_path, f"{pages}/bare"), 1.2)
    for picture in (pictures(tmp_path / "recording.m3u8")[n] for n in (0, -1)):
        assert picture.min() >= 250


@pytest.mark.parametrize(("web_gl", "colour"), [(True, (0, 0xCC, 0)), (False, (0xCC, 0, 0))])
def test_web_gl_is_on_and_off(tmp_path: Path, pages: str, web_gl: bool, colour: tuple[int, int, int]) -> None:
    record(spec(tmp_path, f"{pages}/webgl", web_gl=web_gl), 1.2)
    assert np.allclose(pictures(tmp_path / "recording.m3u8")[-1][180, 320], colour, atol=12)


def test_a_rude_page_is_recorded(tmp_path: Path, pages: str) -> None:
    record(spec(tmp_path, f"{pages}/rude"), 1.2)
    assert np.allclose(pictures(tmp_path / "recording.m3u8")[-1][180, 320], (0, 0x88, 0), atol=12)


def test_a_page_that_does_not_finish_loading_is_recorded(tmp_path: Path, pages: str) -> None:
    record(spec(tmp_path, f"{pages}/hanging"), 1.2, RecorderConfig(web=WEB.model_copy(update={"load_timeout_s": 2})))
    assert np.allclose(pictures(tmp_path / "recording.m3u8")[0][180, 320], (0, 0x88, 0), atol=12)


def test_pages_that_do_not_load(tmp_path: Path, pages: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        free = taken.getsockname()[1]
    config = RecorderConfig(web=WEB.model_copy(update={"load_timeout_s": 2}))
    expected = {
        f"{pages}/nothing": (Refused, "The page answered HTTP 404 (Not Found)."),
        f"{pages}/broken": (Unreachable, "The page answered HTTP 500 (Internal Server Error)."),
        f"{pages}/never": (Unreachable, "The page did not answer within 2 s."),
        f"http://127.0.0.1:{free}/": (Unreachable, "The page's host 127.0.0.1 refused the connection."),
        "http://no-such-host.invalid/": (Refused, "The page's host no-such-host.invalid was not found in DNS."),
    }
    for url, (kind, sentence) in expected.items():
        error = failure(spec(tmp_path, url), config)
        assert (type(error), str(error)) == (kind, sentence)
    assert not list(tmp_path.glob("*.m4s"))


def test_a_browser_that_is_not_replaced_leaves_what_was_recorded_and_the_next_attempt_goes_on(
    tmp_path: Path, pages: str
) -> None:
    async def run() -> None:
        config = CONFIG.model_copy(update={"web": WEB.model_copy(update={"replace_in_a_row": 0})})
        recorder = WebRecorder(spec(tmp_path, f"{pages}/static"), config)
        task = asyncio.create_task(recorder.run())
        await until(lambda: task.done() or recorder.progress().parts >= 1)
        browser_of(psutil.Process()).kill()
        with pytest.raises(Lost, match="The browser was closed or crashed"):
            await asyncio.wait_for(task, 10)
        assert recorder.progress().parts >= 1

    asyncio.run(run())
    before = time.time()
    again = spec(tmp_path, f"{pages}/static", attempt=2)
    progress = record(again, 1.5)
    lines = [json.loads(line) for line in (tmp_path / "index.jsonl").read_text().splitlines()]
    epoch = next(line["epoch"] for line in lines if "epoch" in line)
    start = next(line["start"] for line in lines if line.get("attempt") == 2 and "start" in line)
    assert progress.first_frame_at is not None
    assert progress.first_frame_at >= before
    assert epoch + start == pytest.approx(progress.first_frame_at, abs=0.05)


def test_a_stop_while_it_starts(tmp_path: Path, pages: str) -> None:
    async def run() -> str:
        recorder = WebRecorder(spec(tmp_path, f"{pages}/never"), CONFIG)
        task = asyncio.create_task(recorder.run())
        await asyncio.sleep(0.3)
        recorder.stop()
        return await asyncio.wait_for(task, 10)

    assert asyncio.run(run()) == "user_stop"
    assert not chromium_of()


def test_no_browser(tmp_path: Path, pages: str) -> None:
    config = RecorderConfig(web=WebConfig(chromium_path="/no/such/chromium"))
    error = failure(spec(tmp_path, f"{pages}/static"), config)
    assert "/no/such/chromium, does not exist" in str(error)


@pytest.mark.parametrize(
    ("format", "codecs"), [("webm", ("vp9", "opus")), ("m4a", (None, "aac")), ("mp4", ("h264", None))]
)
def test_other_formats_and_no_sound(tmp_path: Path, format: Format, codecs: tuple[str | None, str | None]) -> None:
    given = spec(tmp_path, "", format=format)
    with serve_page() as url:
        audio = given.audio if codecs[1] else None
        record(replace(given, subject=PageSpec(url), audio=audio), 2.5)
    with av.open(str(tmp_path / f"recording.{format}")) as container:
        kinds = (container.streams.video, container.streams.audio)
        names = tuple(found[0].codec_context.name.removeprefix("lib") if found else None for found in kinds)
        assert names == codecs
        assert float(container.duration or 0) / 1_000_000 == pytest.approx(2.5, abs=0.5)
        assert sum(1 for _ in container.decode()) > 60


class _WithoutFile(WebRecorder):
    """As in a browser that has no room for a file of ours: it encodes by itself."""

    def _options(self) -> dict[str, Any]:
        return {**super()._options(), "file": None}


class _WithoutH264(_WithoutFile):
    """And that was built without H.264."""

    def _options(self) -> dict[str, Any]:
        options = super()._options()
        return {**options, "configs": [c for c in options["configs"] if not c["codec"].startswith("avc1")]}


@pytest.mark.parametrize("kind", [_WithoutFile, _WithoutH264])
def test_a_browser_that_has_to_encode_by_itself(tmp_path: Path, pages: str, kind: type[WebRecorder]) -> None:
    progress = record(spec(tmp_path, f"{pages}/rude"), 2, kind=kind)
    found = pictures(tmp_path / "recording.m3u8")
    assert len(found) == progress.counters["frames"] >= 60
    assert np.allclose(found[0][180, 320], (0, 0x88, 0), atol=12)
    with av.open(str(tmp_path / "recording.m3u8")) as container:
        assert container.streams.video[0].codec_context.name == "h264"


def test_kill_9_leaves_no_browser(tmp_path: Path, pages: str) -> None:
    given = {"task_id": "t", "folder": str(tmp_path), "subject": {"url": f"{pages}/static"}}
    given["config"] = CONFIG.model_dump(mode="json")
    child = subprocess.Popen([sys.executable, "-m", "recorders", "-"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    try:
        assert child.stdin is not None
        child.stdin.write(json.dumps(given).encode())
        child.stdin.close()
        deadline = time.monotonic() + 20
        while not list(tmp_path.glob("*.m4s")) and time.monotonic() < deadline:
            time.sleep(0.05)
        processes = psutil.Process(child.pid).children(recursive=True)
        assert len(processes) > 3
        profiles = {a for p in processes for a in arguments(p) if a.startswith("--user-data-dir=")}
        assert profiles
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    gone, alive = psutil.wait_procs(processes, timeout=3)
    assert not alive, f"{len(gone)} ended"
    assert finish(tmp_path, "recording", "hls").seconds >= 1
