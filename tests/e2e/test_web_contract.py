"""What a page is told and tells, with a real browser: signals, the task, the report, what a failure leaves."""

from __future__ import annotations

import asyncio
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from recorders.config import LogConfig, RecorderConfig
from recorders.errors import RecorderError, Unreachable
from recorders.log.finish import finish
from recorders.recorder import EndReason, build
from recorders.spec import Limits, PageSpec, RecordingSpec
from tests.e2e.test_web import WEB, pages, pictures, record, recording, spec, until

__all__ = ["pages"]
# A busy machine takes its time for a browser.
CONFIG = RecorderConfig(log=LogConfig(part_seconds=1.0), web=WEB)
GREEN, BLUE = (0, 0x88, 0), (0, 0, 0xCC)


def report(folder: Path, attempt: int = 1) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / f"recording_{attempt}_report.json").read_text())
    return found


def signalled(folder: Path, url: str, timeout_s: float | None = None) -> RecordingSpec:
    return replace(spec(folder, url), subject=PageSpec(url, ready="signal", ready_timeout_s=timeout_s))


def run(given: RecordingSpec, config: RecorderConfig = CONFIG) -> EndReason:
    """Record until the recording ends by itself, and finish the files."""
    reason = asyncio.run(asyncio.wait_for(build(given, config).run(), 90))
    finish(Path(given.folder), given.prefix, given.format)
    return reason


@pytest.mark.parametrize("way", ["console", "egress"])
def test_a_page_begins_and_ends_its_recording_and_its_frames_do_not(tmp_path: Path, pages: str, way: str) -> None:
    assert run(signalled(tmp_path, f"{pages}/{way}-signals")) == "completed"
    seen = pictures(tmp_path / "recording.m3u8")
    assert all(np.allclose(picture[180, 320], GREEN, atol=12) for picture in seen), "nothing of it before it was ready"
    assert len(seen) > 10, "the page ends it a second after it began"
    assert report(tmp_path)["ended_by_page"]


def test_a_page_that_ends_its_recording_before_it_began(tmp_path: Path, pages: str) -> None:
    assert run(signalled(tmp_path, f"{pages}/ends-early")) == "completed"
    assert not list(tmp_path.glob("*.m4s"))
    assert report(tmp_path)["warnings"] == ["The page ended its recording before it had begun."]


def test_a_page_that_does_not_say_that_it_is_ready(tmp_path: Path, pages: str) -> None:
    with pytest.raises(Unreachable, match=r"The page did not signal START_RECORDING within 1\.5 s"):
        run(signalled(tmp_path, f"{pages}/static", 1.5))
    finished = finish(tmp_path, "recording", "hls")
    assert finished.files == tuple(f"recording_1_{name}" for name in ("console.txt", "report.json", "screenshot.jpg"))
    assert looks_like(tmp_path / "recording_1_screenshot.jpg", (0x22, 0x44, 0x66))


def test_a_page_is_told_its_task_and_when_its_recording_has_begun(tmp_path: Path, pages: str) -> None:
    async def titles() -> str:
        async with recording(spec(tmp_path, f"{pages}/task"), CONFIG) as recorder:
            assert recorder._browsers is not None
            page = recorder._browsers.present.contract.page
            assert page is not None
            await until(lambda: recorder.progress().parts >= 1)
            return str(await page.title())

    told = json.loads(asyncio.run(titles()))
    size = {"width": 640, "height": 360, "frameRate": 30}
    assert told == {"id": "t", **size, "state": "loading", "frozen": True}
    finish(tmp_path, "recording", "hls")
    assert np.allclose(pictures(tmp_path / "recording.m3u8")[-1][180, 320], BLUE, atol=12)


def test_what_was_the_matter_with_a_page_is_reported_without_its_secrets(tmp_path: Path, pages: str) -> None:
    progress = record(spec(tmp_path, f"{pages}/trouble"), 3, CONFIG)
    found = report(tmp_path)
    assert found["page"] == f"{pages}/trouble"
    messages = {each["message"]: each["count"] for each in found["exceptions"]}
    assert any("TypeError: Cannot read properties of null" in message for message in messages)
    assert any("nobody caught it" in message for message in messages)
    assert sum(messages.values()) == found["counters"]["page_exceptions"] == progress.counters["page_exceptions"] > 10
    failed = {(each["host"], each["reason"]) for each in found["requests_failed"]}
    assert failed == {("127.0.0.1", "HTTP 404")}
    assert found["protected_media"] == ["com.widevine.alpha"]
    assert any("com.widevine.alpha" in warning for warning in found["warnings"])
    assert "s3cret" not in json.dumps(found)
    assert not list(tmp_path.glob("*_console.txt")), "what went well leaves no console"


def test_a_failure_leaves_a_picture_and_the_console(tmp_path: Path, pages: str) -> None:
    """The renderer is lost; before that, its page has said something."""

    async def broken() -> RecorderError:
        recorder = build(signalled(tmp_path, f"{pages}/trouble", 2), CONFIG)
        with pytest.raises(RecorderError) as caught:
            await asyncio.wait_for(recorder.run(), 90)
        return caught.value

    error = asyncio.run(broken())
    assert report(tmp_path)["error"] == str(error)
    console = (tmp_path / "recording_1_console.txt").read_text()
    assert "log: token=\u2026 https://example.org/path {a: 1}" in console
    assert "s3cret" not in console
    assert "404 (Not Found)" in console
    assert looks_like(tmp_path / "recording_1_screenshot.jpg", (0, 0x44, 0x66))


@pytest.mark.parametrize(("page", "idle"), [("blank", True), ("nearly-blank", False)])
def test_a_page_of_one_colour_that_is_silent_ends_as_idle(tmp_path: Path, pages: str, page: str, idle: bool) -> None:
    given = replace(spec(tmp_path, f"{pages}/{page}"), limits=Limits(duration_s=5, idle_s=2))
    assert run(given) == ("idle" if idle else "max_duration")


def looks_like(path: Path, colour: tuple[int, int, int]) -> bool:
    """Whether most of a picture is of this colour."""
    with av.open(io.BytesIO(path.read_bytes())) as container:
        picture = next(container.decode(video=0)).to_ndarray(format="rgb24")  # type: ignore[union-attr]
    return bool((np.abs(picture.astype(int) - colour).max(axis=2) < 16).mean() > 0.6)
