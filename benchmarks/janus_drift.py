"""How far picture and sound of a Janus room's participants drift apart in an hour of real time, with a right clock and
with a fast one: what `drift` simulates, with nothing left out. It runs only when it is asked for."""

from __future__ import annotations

import asyncio
import contextlib
import json
import tempfile
from pathlib import Path

from benchmarks import sync
from benchmarks.janus_room import PIN, ROOM, command
from benchmarks.table import Table
from benchmarks.tree import running
from tests.e2e.janus_server import running_janus
from tests.oracle.analyse import analyse
from tests.oracle.clips import cached_clips
from tests.oracle.report import Report

_LONG_S, _QUICK_S = 3600, 60
_RATE, _WIDTH, _HEIGHT = 30, 640, 360
_PPM = (0.0, 100.0)
# The recorder joins, and the last part is closed.
_MORE_S = 5


def run(quick: bool) -> list[Table]:
    """The benchmark's table."""
    report, counters = asyncio.run(_record(_QUICK_S if quick else _LONG_S))
    table = Table(
        "Pictures and sounds from a Janus room",
        ("sender's clocks", *sync.COLUMNS, "picture still"),
        f"{report.duration / 60:.1f} minutes in real time, {report.frames} pictures of {report.frames_expected}, "
        f"{counters.get('frames_late', 0)} of them late; {len(_PPM)} participants of 320x180 at {_RATE}/s -> "
        f"{_WIDTH}x{_HEIGHT}. Sound to picture: from each second's flash to its beep; p95 of the sizes. Drift: how "
        "much that grows from the first to the last second (Theil-Sen).",
    )
    for n, ppm in enumerate(_PPM):
        user = report.users[f"user{n + 1}"]
        table.add(
            f"{ppm:.0f} ppm fast" if ppm else "right",
            *sync.cells(user),
            sync.seconds(user.frozen),
        )
    return [table]


async def _record(seconds: float) -> tuple[Report, dict[str, int]]:
    """What is in a recording of that long, and the recorder's counters."""
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (folder / "janus").mkdir()
        janus = stack.enter_context(running_janus(folder / "janus"))
        await janus.create_room(ROOM, PIN)
        clips = cached_clips(len(_PPM), seconds=20, width=320, height=180, frame_rate=_RATE)
        users = [f"user{n + 1}" for n in range(len(_PPM))]
        for n, (user, clip, ppm) in enumerate(zip(users, clips, _PPM, strict=True)):
            await stack.enter_async_context(janus.publisher(ROOM, PIN, 101 + n, user, clip, ppm=ppm))
        video = {"width": _WIDTH, "height": _HEIGHT, "frame_rate": _RATE, "bitrate": 500}
        tree = stack.enter_context(running(command(janus, len(users), video, folder), folder / "log.txt"))
        await asyncio.sleep(seconds + _MORE_S)
        tree.check()
        await asyncio.to_thread(tree.stop)
        counters = next(json.loads(line) for line in tree.output().splitlines() if line.startswith("{"))
        return await asyncio.to_thread(analyse, folder / "recording.m3u8", users=users, frame_rate=_RATE), counters
