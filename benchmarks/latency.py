"""How long a start takes to its first picture, and a stop to playable files, through REST of the running service."""

from __future__ import annotations

import itertools
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil

from benchmarks.need import require
from benchmarks.ratios import ratio
from benchmarks.service import NATIVE, Service, service, web
from benchmarks.table import Table
from benchmarks.tree import running as running_tree
from egress_ray.folders import task_folder
from tests.oracle.page import serve_page
from tests.oracle.reader import Picture, read

_RECORDED_S = 1.0
_LIMIT_S = 30.0
_REST_S = 1.0


@dataclass(frozen=True)
class Times:
    """Seconds from the request for a start to the first picture and to the first that shows something, and from the
    request for a stop to a playlist with its end."""

    first: float
    seen: float
    playable: float


def run(quick: bool) -> list[Table]:
    """Native (the documented example, synthetic participants) and web (a page of the oracle's), one after another, web
    in turns with the usual way to record a page; then web with a browser that is kept ready, as soon as there is the
    next one."""
    require("Xvfb", "pulseaudio", "ffmpeg", "chromium")
    count = 3 if quick else 20
    table = Table(
        "Latency, seconds",
        [
            "kind",
            *(f"{what} {p}" for what in ("first frame", "first seen", "stop to playable") for p in ("p50", "p95")),
            "first frame to the Xvfb way's",
        ],
        f"{count} recordings one after another. First frame: from the POST to the wall-clock time of media time 0 "
        "(EXT-X-PROGRAM-DATE-TIME). First seen: to the first picture in which there is more than background. Stop to "
        "playable: from the POST until the playlist ends with EXT-X-ENDLIST at the files endpoint. Xvfb way: from its "
        "start until the page is on its screen and its FFmpeg is started; ratio: median of runs beside each other.",
    )
    with service() as running, serve_page() as url:
        _add(table, "native", [_measure(running, NATIVE) for _ in range(count)])
        turns = [(_measure(running, web(url)), _measure_usual(url)) for _ in range(count)]
        ours, usual = [times for times, _ in turns], [first for _, first in turns]
        _add(table, "web", ours, f"{ratio([each.first for each in ours], usual):.2f}x")
        table.add("Xvfb way", *_spread(usual), "-", "-", "-", "-", "")
    with service({"EGRESS_WARM__BROWSERS": "1"}) as running, serve_page() as url:
        times = []
        for _ in range(count):
            _wait_for_browser(running)
            times.append(_measure(running, web(url)))
        _add(table, "web, browser ready", times)
    return [table]


def _add(table: Table, kind: str, times: list[Times], to_usual: str = "") -> None:
    spreads = (_spread([getattr(each, name) for each in times]) for name in ("first", "seen", "playable"))
    table.add(kind, *itertools.chain(*spreads), to_usual)


def _spread(seconds: list[float]) -> list[str]:
    return [f"{np.percentile(seconds, percent):.2f}" for percent in (50, 95)]


def _wait_for_browser(running: Service) -> None:
    """Until a browser is kept ready, and a moment for the machine to come to rest."""
    limit = time.monotonic() + _LIMIT_S
    while not any(_title(each).startswith("ray::kept ready") for each in running.tree.processes()):
        if time.monotonic() > limit:
            raise TimeoutError(f"No browser is ready within {_LIMIT_S:.0f} s.")
        time.sleep(0.2)
    time.sleep(_REST_S)


def _measure(running: Service, payload: Mapping[str, Any]) -> Times:
    asked = time.time()
    task = running.start(payload)
    _wait_for(running, task, "bench_1_init.mp4", every=0.25)  # written with the first picture
    time.sleep(_RECORDED_S)
    stopped = time.monotonic()
    running.stop(task)
    text = _wait_for(running, task, "bench.m3u8", b"#EXT-X-ENDLIST").decode()
    playable = time.monotonic() - stopped
    running.wait(task, "STOPPED")
    dated = next(line for line in text.splitlines() if line.startswith("#EXT-X-PROGRAM-DATE-TIME:"))
    first = datetime.fromisoformat(dated.partition(":")[2]).timestamp() - asked
    return Times(first, first + _first_seen(task_folder(running.data, "bench", task) / "bench.m3u8"), playable)


def _measure_usual(url: str) -> float:
    """Seconds from its start until it records."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder, begun = Path(name), time.monotonic()
        command = [sys.executable, "-m", "benchmarks.xvfb_way", url, name]
        with running_tree(command, folder / "log.txt") as tree:
            while not any(_title(each).endswith("/recording.m3u8") for each in tree.processes()):
                tree.check()
                if time.monotonic() > begun + _LIMIT_S:
                    raise TimeoutError(f"It does not record after {_LIMIT_S:.0f} s:\n{tree.output()[-2000:]}")
                time.sleep(0.02)
            took = time.monotonic() - begun
            time.sleep(_RECORDED_S)
            tree.stop()
        return took


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def _wait_for(running: Service, task: str, name: str, holding: bytes = b"", every: float = 0.02) -> bytes:
    """A file of the task as soon as the files endpoint, asked that often, has it with these bytes in it."""
    limit = time.monotonic() + _LIMIT_S
    while time.monotonic() < limit:
        reply = running.http.get(f"/egress/v1/bench/tasks/{task}/files/{name}")
        if reply.status_code == httpx.codes.OK and holding in reply.content:
            return reply.content
        time.sleep(every)
    raise TimeoutError(f"Task {task} has no {name} within {_LIMIT_S:.0f} s: {running.status(task)}")


def _first_seen(playlist: Path) -> float:
    """Media time of the first picture that is not of one colour (in which the oracle's page and the participants,
    who have marks and names, differ from an empty canvas or page)."""
    for item in read(str(playlist)):
        if isinstance(item, Picture) and int(item.y.max()) - int(item.y.min()) > 40:
            return item.t
    return float("nan")
