"""Native recordings of 1 to 9 users at 720p30 against ffmpeg and GStreamer doing the same from the same files: drawn
test pictures, and people as cameras see them."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.clips import moving, people
from benchmarks.composite import Seen, judge
from benchmarks.native_janus import measure
from benchmarks.native_ways import WAYS, Way
from benchmarks.need import require
from benchmarks.ratios import ratio
from benchmarks.table import Table
from benchmarks.tree import ROOT, running

# Start-up, at the end of which every way has been at full rate for a while.
_WARM_S = 2.5
# What the project aims at with 4 users; balanced counts only where its SSIM is that of ffmpeg.
_GOALS = (
    ("to ffmpeg", "0.95x"),
    ("to GStreamer", "0.70x"),
    ("to decoding + encoding", "1.10x"),
    ("balanced to ffmpeg", "0.80x"),
)


def run(quick: bool) -> list[Table]:
    """CPU and quality of every way."""
    require("ffmpeg", "gst-launch-1.0", *(f"gst:{name}" for name in ("compositor", "matroskademux", "x264enc")))
    require("gst:h264parse", "gst:avdec_h264")
    counts, runs, window = ((4,), 1, 4.0) if quick else ((1, 2, 4, 9), 3, 5.0)
    shown = [(f"{users}, drawn", moving(users, seconds=30)) for users in counts]
    if not quick:  # they take minutes to be made
        shown.append(("4, people", people(4, seconds=14)))
    names = [way.name for way in WAYS]
    cost = Table(
        "Native: 720p30, 1000 kbit/s, CPU-seconds per recorded second",
        ["users", *names, *(f"{name} (goal {goal})" for name, goal in _GOALS), "decoding + encoding alone"],
        f"Medians of {runs} runs of {window:.0f} s in the steady state, and of the ratios within each; the ways take "
        "turns; the whole process tree. "
        "All read the same H.264 + Opus files in real time, scale bilinearly (ours shrinks by means) and encode with "
        "the same x264 settings in one thread, but for `balanced`, the default. Goals are those of 4 users; that of "
        "`balanced` is for equal SSIM, see below. Drawn: FFmpeg's testsrc2, which is edges and next to nothing else. "
        "People: texture without edges, motion by parts of a pixel, and noise, as cameras send them. Decoding and "
        "encoding alone: of pictures and sound, one after the other in one thread.",
    )
    look = Table(
        "Native: quality of the same recordings",
        ["users", *(f"SSIM {name}" for name in names), *(f"smooth {name}" for name in names)],
        "SSIM: luma against the ideal composite of the same source pictures. Smooth: pictures that show the next "
        "source picture, neither repeating nor leaving out one.",
    )
    for title, clips in shown:
        rates: dict[str, list[float]] = {way.name: [] for way in WAYS}
        floors: list[tuple[float, float]] = []
        seen: dict[str, Seen] = {}
        for turn in range(runs):
            for way in WAYS:
                rate, found = _record(way, clips, window, look=turn == 0)
                rates[way.name].append(rate)
                if found is not None:
                    seen[way.name] = found
            floors.append(_floor(clips, window))
        decoding, encoding = map(statistics.median, zip(*floors, strict=True))
        cost.add(
            title,
            *(f"{statistics.median(rates[name]):.3f}" for name in names),
            f"{ratio(rates['ours'], rates['ffmpeg']):.2f}x",
            f"{ratio(rates['ours'], rates['GStreamer']):.2f}x",
            f"{ratio(rates['ours'], list(map(sum, floors))):.2f}x",
            f"{ratio(rates['ours, balanced'], rates['ffmpeg']):.2f}x",
            f"{decoding:.3f} + {encoding:.3f}",
        )
        look.add(
            title,
            *(f"{seen[name].ssim:.4f}" for name in names),
            *(f"{100 * seen[name].smooth:.1f} %" for name in names),
        )
    return [cost, look, measure(quick)]


def _record(way: Way, clips: Sequence[Path], window: float, *, look: bool) -> tuple[float, Seen | None]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with running(way.command(clips, folder), folder / "log.txt") as tree:
            time.sleep(_WARM_S)
            rate = tree.cpu_rate(window)
            tree.stop()
        return rate, judge(folder / way.output, clips, after=_WARM_S) if look else None


def _floor(clips: Sequence[Path], seconds: float) -> tuple[float, float]:
    said = subprocess.run(
        [sys.executable, "-m", "benchmarks.floor", str(seconds), *map(str, clips)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    ).stdout
    decoding, encoding = map(float, said.split())
    return decoding, encoding
