"""A browser that crashes, hangs or is killed while it records: another one goes on, in the same attempt and log."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, ClassVar

import av
import numpy as np
import psutil
import pytest
from playwright.async_api import Page

from recorders.config import LogConfig, RecorderConfig
from recorders.errors import Lost
from recorders.log.finish import finish
from recorders.log.segment_log import read_index
from recorders.web.browser import Browser
from recorders.web.recorder import WebRecorder
from tests.e2e.test_web import WEB, pictures, spec, until
from tests.e2e.web_pages import serve_pages
from tests.oracle.analyse import analyse
from tests.oracle.hls import probe_quiet, validate
from tests.oracle.page import serve_page
from tests.processes import browser_of, chromium_of, kind

pytestmark = pytest.mark.alone

CONFIG = RecorderConfig(log=LogConfig(part_seconds=1.0), web=WEB.model_copy(update={"replace_in_a_row": 20}))
_GAP_S, _OFFSET_MS = 4.0, 60
# A browser that takes no longer than this to start is on a machine that is not too busy for the limits.
_STARTED_S = 1.5


class _Known(Browser):
    """Its page is known to the test."""

    page: ClassVar[Page]

    async def subject(self) -> Page:
        _Known.page = await super().subject()
        return _Known.page


def limits(started: float) -> tuple[float, float]:
    """Seconds of a gap, milliseconds between sound and picture, where a browser takes so many seconds to start."""
    return (_GAP_S, _OFFSET_MS) if started <= _STARTED_S else (_GAP_S + 3 * started, 4 * _OFFSET_MS)


def of_type(wanted: str) -> list[psutil.Process]:
    """The processes of that type of the browser that records, the one begun first before the others."""
    return sorted((each for each in chromium_of() if kind(each) == wanted), key=lambda process: process.pid)


async def renderer_killed() -> None:
    of_type("renderer")[0].kill()


async def browser_stopped() -> None:
    for process in chromium_of():
        process.suspend()


async def browser_killed() -> None:
    browser_of(psutil.Process()).kill()


async def page_closed() -> None:
    await _Known.page.close()


FAULTS: dict[Callable[[], Awaitable[None]], str] = {
    renderer_killed: "crashed",
    browser_stopped: "nothing",
    page_closed: "The page closed itself.",
    browser_killed: "The browser was closed or crashed.",
}


def test_the_slate_is_shown_until_another_browser_goes_on_in_the_same_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recorders.web.station.Browser", _Known)
    started = 0.0

    async def run(url: str) -> WebRecorder:
        nonlocal started
        begun = time.monotonic()
        recorder = WebRecorder(spec(tmp_path, url), CONFIG)
        task = asyncio.create_task(recorder.run())
        await until(lambda: task.done() or recorder.progress().phase == "recording", 70)
        started = time.monotonic() - begun
        for n, fault in enumerate(FAULTS, 1):
            await asyncio.sleep(2.8)
            await fault()
            await until(lambda n=n: task.done() or len(_replaced(recorder)) == n, 70)  # type: ignore[misc]
        await asyncio.sleep(2.8)
        recorder.stop()
        assert await asyncio.wait_for(task, 20) == "user_stop"
        return recorder

    with serve_page() as url:
        recorder = asyncio.run(run(url))
    assert not chromium_of()
    finish(tmp_path, "recording", "mp4")
    assert [attempt.attempt for attempt in read_index(tmp_path).attempts] == [1]
    playlist = tmp_path / "recording.m3u8"
    assert "DISCONTINUITY" not in playlist.read_text()
    assert validate(playlist) == []
    assert probe_quiet(str(playlist)) == ""
    told = json.loads((tmp_path / "recording.json").read_text())
    assert (told["gaps"], len(told["slates"])) == ([], len(FAULTS)), told["slates"]
    report = analyse(tmp_path / "recording.mp4", users=["user1"], frame_rate=30)
    assert (report.damage, report.video and report.video.gaps, report.audio and report.audio.gaps) == ((), (), ())
    progress = recorder.progress()
    assert report.frames == report.frames_expected == progress.counters["frames"], report
    assert progress.message.startswith(f"The browser was replaced {len(FAULTS)} times, the last time ")
    seen, heard = pictures(tmp_path / "recording.mp4"), _loudness(tmp_path / "recording.mp4")
    offsets = report.users["user1"].offsets
    most, apart = limits(started)
    borders = [*(slate["start"] for slate in told["slates"]), report.duration]
    for slate, sentence, following in zip(told["slates"], FAULTS.values(), borders[1:], strict=True):
        what = f"{slate} of {borders}, started in {started:.1f} s\n{report}"
        assert sentence in slate["why"], what
        assert slate["end"] - slate["start"] <= most, what
        first, last = round(slate["start"] * 30), round(slate["end"] * 30) - 1
        for n in (first, (first + last) // 2, last):
            assert np.abs(seen[n].astype(np.int16) - seen[first - 1]).mean() < 2.5, what
        assert heard[round(slate["start"] * 20) + 4 : round(slate["end"] * 20) - 3].max() < 0.001, what
        after = [abs(offset) for t, offset in offsets if slate["end"] + 0.5 < t < following - 0.2]
        assert after, what
        assert np.median(after) <= apart, what


def test_a_gpu_process_that_is_killed_is_mended_by_the_browser_itself(tmp_path: Path) -> None:
    started = 0.0

    async def run(url: str) -> WebRecorder:
        nonlocal started
        begun = time.monotonic()
        recorder = WebRecorder(spec(tmp_path, url), CONFIG)
        task = asyncio.create_task(recorder.run())
        await until(lambda: task.done() or recorder.progress().phase == "recording", 70)
        started = time.monotonic() - begun
        await asyncio.sleep(2.2)
        for process in of_type("gpu-process"):
            process.kill()
        await asyncio.sleep(6)
        recorder.stop()
        assert await asyncio.wait_for(task, 20) == "user_stop"
        return recorder

    with serve_page() as url:
        recorder = asyncio.run(run(url))
    finish(tmp_path, "recording", "mp4")
    report = analyse(tmp_path / "recording.mp4", users=["user1"], frame_rate=30)
    assert report.frames == report.frames_expected == recorder.progress().counters["frames"], report
    assert not report.black, report
    most, apart = limits(started)
    assert all(end - start <= most for start, end in report.users["user1"].frozen), report
    after = [abs(offset) for t, offset in report.users["user1"].offsets if t > 5]
    assert after, report
    assert np.median(after) <= apart, report


def test_browsers_that_die_again_and_again_end_the_attempt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run(url: str) -> WebRecorder:
        config = replace_web(replace_in_a_row=1)
        recorder = WebRecorder(spec(tmp_path, url), config)
        task = asyncio.create_task(recorder.run())
        await until(lambda: task.done() or recorder.progress().parts >= 1, 70)
        await browser_killed()
        await until(lambda: task.done() or len(_replaced(recorder)) == 1, 70)
        await browser_killed()
        with pytest.raises(Lost, match=r"^The browser was closed or crashed. 1 browser was replaced."):
            await asyncio.wait_for(task, 20)
        return recorder

    with serve_pages() as origin:
        asyncio.run(run(f"{origin}/static"))
    assert not chromium_of()
    assert finish(tmp_path, "recording", "hls").seconds > 1


def test_a_page_that_hangs_is_loaded_again_once_and_then_recorded_as_it_stands(tmp_path: Path) -> None:
    async def run(url: str) -> WebRecorder:
        recorder = WebRecorder(spec(tmp_path, url), replace_web(hung_s=1.5))
        task = asyncio.create_task(recorder.run())
        await until(lambda: task.done() or len(_replaced(recorder)) == 1, 70)
        await asyncio.sleep(5)
        assert [why for _, why in _replaced(recorder)] == ["The page did not answer for 1.5 s."]
        recorder.stop()
        assert await asyncio.wait_for(task, 20) == "user_stop"
        return recorder

    with serve_pages() as origin:
        recorder = asyncio.run(run(f"{origin}/busy"))
    assert not chromium_of()
    finish(tmp_path, "recording", "hls")
    seen = pictures(tmp_path / "recording.m3u8")
    assert len(seen) == recorder.progress().counters["frames"]
    assert all(np.allclose(picture[180, 320], (0, 0x88, 0), atol=14) for picture in seen)


def replace_web(**changes: Any) -> RecorderConfig:
    return CONFIG.model_copy(update={"web": CONFIG.web.model_copy(update=changes)})


def _replaced(recorder: WebRecorder) -> list[tuple[float, str]]:
    return recorder._browsers.replaced if recorder._browsers is not None else []


def _loudness(path: Path) -> np.ndarray[Any, np.dtype[Any]]:
    """RMS of each twentieth of a second."""
    with av.open(str(path)) as container:
        sound = np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)[0]
    blocks = sound[: len(sound) // 2400 * 2400].reshape(-1, 2400)
    loudness: np.ndarray[Any, np.dtype[Any]] = np.sqrt((blocks**2).mean(axis=1))
    return loudness
