"""How far a page's picture and sound drift apart, and whether its frames are exact: half an hour in real time, and a
minute at each rate. Not among those that run by default, for it takes 35 minutes."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import sync
from benchmarks.need import require
from benchmarks.table import Table
from benchmarks.tree import running
from tests.oracle.analyse import analyse
from tests.oracle.page import serve_page

_LONG_S, _SHORT_S = 1800, 60
_RATES = (24, 25, 60)
_START_S, _END_S = 30.0, 60.0
_WIDTH, _HEIGHT = 640, 360


def run(quick: bool) -> list[Table]:
    """The benchmark's table."""
    require("chromium")
    table = Table(
        "A page's picture and sound",
        ("recorded", "pictures/s", "frames", "expected", *sync.COLUMNS),
        f"The oracle's page at {_WIDTH}x{_HEIGHT}. Sound to picture: from each second's flash to its beep, "
        "dated by the first white picture, so with the period of the pictures as its grain; p95 of the sizes. Drift: "
        "how much that grows from the first to the last second (Theil-Sen). Expected: what the length of the sound "
        "makes of the rate.",
    )
    with serve_page() as url:
        for rate, seconds in ((30, _SHORT_S if quick else _LONG_S), *((rate, _SHORT_S) for rate in _RATES)):
            table.add(*_record(url, rate, seconds))
    return [table]


def _record(url: str, rate: int, seconds: int) -> list[str]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        video = {"width": _WIDTH, "height": _HEIGHT, "frame_rate": rate, "bitrate": 500}
        spec: dict[str, Any] = {"task_id": "bench", "folder": name, "subject": {"url": url}, "video": video}
        spec["config"] = {"web": {"allowed_networks": ["127.0.0.0/8"]}}  # the page's
        path = folder / "spec.json"
        path.write_text(json.dumps(spec))
        with running([sys.executable, "-m", "recorders", str(path)], folder / "log.txt") as tree:
            limit = time.monotonic() + _START_S
            while not (folder / "recording_1_init.mp4").exists() and time.monotonic() < limit:
                tree.check()
                time.sleep(0.1)
            time.sleep(seconds)
            tree.check()
            tree.stop(_END_S)
        report = analyse(folder / "recording.m3u8", users=["user1"], frame_rate=rate)
    user = report.users["user1"]
    return [
        f"{report.duration / 60:.1f} min",
        str(rate),
        str(report.frames),
        str(report.frames_expected),
        *sync.cells(user),
    ]
