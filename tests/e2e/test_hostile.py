"""Hostile pages: each ends as written down, none gets where it must not, none harms a recording beside it."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import av
import pytest

from recorders.config import LogConfig, RecorderConfig, WebConfig
from recorders.errors import RecorderError
from recorders.log.finish import finish
from recorders.spec import AudioSpec, PageSpec, RecordingSpec, VideoSpec
from recorders.web.recorder import WebRecorder
from tests.e2e.hostile import ALL
from tests.e2e.hostile.entry import Hostile, Seen
from tests.e2e.hostile.world import ALLOWED, HOST, World, world
from tests.oracle.analyse import analyse
from tests.oracle.page import serve_page

pytestmark = pytest.mark.alone

_AT_ONCE = 3
_VIDEO = VideoSpec(320, 180, 30, 400)
_TELLS_S = 25.0
_RECORDS_S = 75.0
_PAUSE_S = 10.0
WEB = WebConfig(allowed_networks=(f"{HOST}/32",), load_timeout_s=8, launch_timeout_s=60)
LOG = LogConfig(part_seconds=1.0)


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(ALL, tmp_path_factory.mktemp("world")) as made, pytest.MonkeyPatch.context() as patch:
        patch.setattr("recorders.web.lookup.system", made.resolve)
        patch.setattr("recorders.web.lookup._KEPT_S", 0.2)
        patch.setattr("aiohappyeyeballs.start_connection", made.connect)
        yield made


@pytest.mark.timeout(600)
def test_hostile_pages(here: World, tmp_path: Path) -> None:
    with _beside(tmp_path / "beside") as beside:
        seen = asyncio.run(_record_all(here, tmp_path))
    faults = [f"{page.name} {page.tries}: {fault}" for page in ALL for fault in _faults(page, seen[page.name])]
    assert not faults, "\n".join(faults)
    expected = [heard for heard in here.heard if ALLOWED in heard.split()]
    for kind in ("TCP", "UDP"):
        assert any(heard.startswith(kind) for heard in expected), f"no {kind} from the page that may reach a listener"
    assert here.heard == expected, here.listening
    assert here.reached == {HOST, ALLOWED}
    _unharmed(beside)


def _faults(page: Hostile, seen: Seen) -> Iterator[str]:
    """What is not as it is written down."""
    if page.fails is None and seen.error is not None:
        yield f"failed: {seen.error}"
    elif page.fails is not None:
        if seen.error is None or not re.fullmatch(page.fails, str(seen.error)):
            yield f"ended with: {seen.error}"
        elif seen.error.retryable != page.retryable:
            yield f"is retryable: {seen.error.retryable}"
    else:
        if page.tells is not None and seen.told != page.tells:
            yield f"told: {seen.told}"
        if page.shows is not None and (seen.last is None or max(map(_apart, seen.last, page.shows)) > 24):
            yield f"showed: {seen.last}"
        if seen.pictures < 10:
            yield f"pictures: {seen.pictures}"
    if seen.progress.counters.get("requests_refused", 0) < page.refused:
        yield f"refused: {seen.progress.counters}"
    if page.check is not None:
        try:
            page.check(seen)
        except AssertionError as error:
            yield f"check: {error}"


def _apart(one: int, other: int) -> int:
    return abs(one - other)


async def _record_all(here: World, folder: Path) -> dict[str, Seen]:
    free = asyncio.Semaphore(_AT_ONCE)

    async def one(page: Hostile) -> tuple[str, Seen]:
        async with free:
            return page.name, await _record(here, page, folder / page.name)

    return dict(await asyncio.gather(*map(one, ALL)))


async def _record(here: World, page: Hostile, folder: Path) -> Seen:
    """Until the page has told what it tells and been recorded for its seconds, or has failed."""
    folder.mkdir()  # noqa: ASYNC240
    subject = PageSpec(here.place(page.url, page.name), page.web_gl)
    spec = RecordingSpec(page.name, str(folder), subject, video=_VIDEO, audio=AudioSpec())
    recorder = WebRecorder(spec, RecorderConfig(log=LOG, web=WEB.model_copy(update=dict(page.web))))
    begun = time.monotonic()
    task = asyncio.create_task(recorder.run())
    error: RecorderError | None = None
    try:
        async with asyncio.timeout(_RECORDS_S):
            while not task.done() and recorder.progress().phase != "recording":  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        limit = time.monotonic() + _TELLS_S
        while not (task.done() or page.tells is None or page.name in here.told) and time.monotonic() < limit:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        await asyncio.wait([task], timeout=page.seconds)
        recorder.stop()
        await asyncio.wait_for(task, 40)
    except RecorderError as ended:
        error = ended
    pictures, last = await asyncio.to_thread(_pictures, folder) if recorder.progress().parts else (0, None)
    took = time.monotonic() - begun
    return Seen(folder, recorder.progress(), error, here.told.get(page.name), last, pictures, took)


def _pictures(folder: Path) -> tuple[int, tuple[int, int, int]]:
    """How many there are, and the middle of the last one."""
    finish(folder, "recording", "hls")
    with av.open(str(folder / "recording.m3u8")) as container:
        for number, frame in enumerate(container.decode(video=0), 1):  # noqa: B007
            pass
    red, green, blue = frame.to_ndarray(format="rgb24")[frame.height // 2, frame.width // 2].tolist()
    return number, (red, green, blue)


class _beside:  # noqa: N801
    """A recording in a process of its own meanwhile, as recordings are; its folder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self.began = 0.0
        self.counters: dict[str, int] = {}

    def __enter__(self) -> _beside:
        self._page = serve_page()
        config = RecorderConfig(log=LOG, web=WEB.model_copy(update={"allowed_networks": ("127.0.0.1/32",)}))
        spec = {"task_id": "beside", "folder": str(self.folder), "subject": {"url": self._page.__enter__()}}
        spec |= {"video": {"width": 320, "height": 180, "frame_rate": 30, "bitrate": 1000}}
        spec["config"] = config.model_dump(mode="json")
        command = [sys.executable, "-m", "recorders", "-"]
        self._child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._child.stdin is not None
        self._child.stdin.write(json.dumps(spec).encode())
        self._child.stdin.close()
        self._child.stdin = None
        limit = time.monotonic() + _RECORDS_S
        while not list(self.folder.glob("*.m4s")) and time.monotonic() < limit:
            time.sleep(0.05)
        self.began = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.monotonic() - self.began
        self._child.send_signal(signal.SIGINT)
        out, _err = self._child.communicate(timeout=30)
        self._page.__exit__(None, None, None)
        assert self._child.returncode == 0, out
        self.counters = json.loads(out.splitlines()[1])


def _unharmed(beside: _beside) -> None:
    """It went on all the time, and what the page does every second is seen and heard; pauses as on a busy machine."""
    report = analyse(beside.folder / "recording.m3u8", users=["user1"], frame_rate=30)
    user = report.users["user1"]
    assert report.frames == beside.counters["frames"]
    assert report.duration >= beside.seconds
    assert not report.black
    assert len(user.offsets) >= 0.5 * beside.seconds, str(report)
    pauses = [end - start for start, end in (*user.frozen, *user.dropouts)]
    assert max(pauses, default=0.0) < _PAUSE_S, str(report)
