"""Composites from a real Janus, receiving included: the recorder's process alone, against the goals of the project."""

from __future__ import annotations

import asyncio
import contextlib
import json
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.clips import moving
from benchmarks.janus_room import PIN, ROOM, command
from benchmarks.table import Table
from benchmarks.tree import running
from tests.e2e.janus_server import running_janus
from tests.oracle.clips import cached_clips

# Joining, connecting and the first keyframe, at the end of which everybody has been seen for a while.
_WARM_S = 4.0


@dataclass(frozen=True)
class _Case:
    """Publishers, what is recorded of them, and the CPU-seconds a second that it may cost."""

    name: str
    clips: Sequence[Path]
    video: dict[str, int]
    goal: float


def measure(quick: bool) -> Table:
    """CPU of the recorder for each case."""
    runs, window = (1, 4.0) if quick else (3, 8.0)
    table = Table(
        "Native: from Janus, receiving included, CPU-seconds per recorded second",
        ["what", "ours", "goal", "to the goal", "pictures that were late"],
        f"Median of {runs} runs of {window:.0f} s in the steady state; the recorder's whole process, Janus and the "
        "publishers not. H.264 and Opus, a connection for each participant; x264 veryfast, zerolatency.",
    )
    for case in _cases(quick):
        found = [asyncio.run(_record(case, window)) for _ in range(runs)]
        rate = statistics.median(one for one, _ in found)
        late = statistics.median(one for _, one in found)
        table.add(case.name, f"{rate:.3f}", f"{case.goal:.2f}", f"{rate / case.goal:.2f}x", f"{100 * late:.1f} %")
    return table


def _cases(quick: bool) -> list[_Case]:
    goals = {4: 0.50} if quick else {1: 0.22, 2: 0.30, 4: 0.50}
    large = [
        _Case(
            f"{users} x 720p30 -> 720p30, 1000 kbit/s",
            moving(users, seconds=30),
            {"width": 1280, "height": 720, "frame_rate": 30, "bitrate": 1000},
            goal,
        )
        for users, goal in goals.items()
    ]
    small = cached_clips(2, seconds=10, width=320, height=240, frame_rate=15)
    video = {"width": 640, "height": 480, "frame_rate": 15, "bitrate": 500}
    return [*large, _Case("2 x 320x240@15 -> 640x480@15, 500 kbit/s", small, video, 0.10)]


async def _record(case: _Case, window: float) -> tuple[float, float]:
    """CPU-seconds a second, and the share of pictures that were late."""
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (folder / "janus").mkdir()
        janus = stack.enter_context(running_janus(folder / "janus"))
        await janus.create_room(ROOM, PIN)
        for k, clip in enumerate(case.clips):
            await stack.enter_async_context(janus.publisher(ROOM, PIN, 101 + k, f"user{k + 1}", clip))
        tree = stack.enter_context(running(command(janus, len(case.clips), case.video, folder), folder / "log.txt"))
        await asyncio.sleep(_WARM_S)
        rate = await asyncio.to_thread(tree.cpu_rate, window)
        await asyncio.to_thread(tree.stop)
        counters = next(json.loads(line) for line in tree.output().splitlines() if line.startswith("{"))
        return rate, counters.get("frames_late", 0) / counters["frames"]
