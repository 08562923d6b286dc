"""Web recordings of three pages at 720p30 against Xvfb + Chromium + PulseAudio + ffmpeg, with sound."""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import page_quality, pages
from benchmarks.barcode import Luma
from benchmarks.need import require
from benchmarks.table import Table
from benchmarks.tree import running

OURS, USUAL = "ours", "Xvfb way"
# Both have started a browser and loaded the page by then.
_WARM_S = 5.0
_SAMPLES = 12


@dataclass(frozen=True)
class Recorded:
    """CPU-seconds a second; SSIM and different pictures a second, None where it was not looked at."""

    rate: float
    ssim: float | None = None
    fresh: float | None = None


def run(quick: bool) -> list[Table]:
    """CPU and quality of both ways on each page."""
    require("Xvfb", "pulseaudio", "ffmpeg", "chromium")
    runs, window = (1, 4.0) if quick else (3, 5.0)
    table = Table(
        "Web: 1280x720 at 30/s, 1000 kbit/s, with sound, CPU-seconds per recorded second",
        ["page", OURS, USUAL, "ratio", f"SSIM {OURS}", f"SSIM {USUAL}", f"new pictures/s {OURS}", USUAL],
        f"Median of {runs} runs of {window:.0f} s in the steady state, the ways taking turns; the whole process tree, "
        "browser and page included. SSIM: luma against the page without loss (a screenshot for the static page, and "
        "for the moving ones the very picture that was on the screen, known by its number). New pictures: those that "
        "differ from the one before.",
    )
    with pages.serve() as base:
        for page in ("static", "videos", "canvas"):
            found: dict[str, list[Recorded]] = {OURS: [], USUAL: []}
            for turn in range(runs):
                for way, recorded in found.items():
                    recorded.append(_record(way, base, page, window, look=turn == 0))
            ours, usual = (statistics.median(r.rate for r in recorded) for recorded in found.values())
            first = [recorded[0] for recorded in found.values()]
            table.add(
                {"static": "static text", "videos": "four videos", "canvas": "60/s canvas"}[page],
                f"{ours:.3f}",
                f"{usual:.3f}",
                f"{ours / usual:.2f}x",
                *(f"{recorded.ssim:.4f}" for recorded in first),
                *("-" if page == "static" else f"{recorded.fresh:.1f}" for recorded in first),
            )
    return [table]


def _record(way: str, base: str, page: str, window: float, *, look: bool) -> Recorded:
    url = f"{base}/{page}.html"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        command = _ours(url, folder) if way == OURS else [sys.executable, "-m", "benchmarks.xvfb_way", url, str(folder)]
        with running(command, folder / "log.txt") as tree:
            time.sleep(_WARM_S)
            rate = tree.cpu_rate(window)
            tree.stop()
        if not look:
            return Recorded(rate)
        pictures = page_quality.recorded(folder / "recording.m3u8", _WARM_S - 2)
        sampled = pictures[:: max(1, len(pictures) // _SAMPLES)]
        if page == "canvas":
            quality = page_quality.of_canvas(sampled, base)
        elif page == "videos":
            quality = page_quality.of_videos(sampled)
        elif way == OURS:
            quality = page_quality.of_still(sampled, page_quality.screenshots([url])[0])
        else:
            quality = page_quality.of_still(sampled, page_quality.load((folder / "last.png").read_bytes()))
        return Recorded(rate, quality, _fresh(pictures))


def _fresh(pictures: list[Luma]) -> float:
    """Pictures a second that are not like the one before, by their number (or that of the first video)."""
    numbers = [page_quality.number(picture) for picture in pictures]
    known = [n for n in numbers if n is not None]
    return 30 * float(np.mean(np.diff(known) != 0)) if len(known) > 1 else float("nan")


def _ours(url: str, folder: Path) -> list[str]:
    spec: dict[str, Any] = {"task_id": "bench", "folder": str(folder), "subject": {"url": url, "web_gl": False}}
    spec["config"] = {"web": {"allowed_networks": ["127.0.0.0/8"]}}
    path = folder / "spec.json"
    path.write_text(json.dumps(spec))
    return [sys.executable, "-m", "recorders", str(path)]
