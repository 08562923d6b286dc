"""A log of each user against the composite of the same users: 720p30 published by WHIP, receiving included."""

from __future__ import annotations

import contextlib
import hashlib
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import av

from benchmarks.clips import moving
from benchmarks.table import Table
from benchmarks.tree import Tree, running
from benchmarks.whip_recorder import PREFIX, TOKEN
from recorders.log.finish import finish
from recorders.spec import Mode
from tests.e2e.publish import publishing

_SECONDS = 30
_WARM_S = 3.0
_LIMIT_S = 20.0
# Some publishers need this long to see that the recording has ended.
_PATIENCE_S = 0.5


@dataclass(frozen=True)
class Recorded:
    """CPU-seconds a second; of an individual recording also the pictures that were recorded, and how many of them are
    those of the publisher, bit for bit."""

    rate: float
    pictures: int = 0
    exact: int = 0


def run(quick: bool) -> list[Table]:
    """CPU of both modes, and whether pictures are bit-exact."""
    counts, runs, window = ((4,), 1, 5.0) if quick else ((1, 2, 4), 3, 10.0)
    table = Table(
        "Individual recordings: CPU-seconds, 720p30 by WHIP",
        ["users", "individual, a user-second", "composite, a user-second", "individual to composite", "bit-exact"],
        f"Median of {runs} runs of {window:.0f} s in the steady state, the modes taking turns; the recorder's whole "
        "process, receiving (ICE, SRTP, RTP) included, publishers not. Bit-exact: decoded pictures that are the "
        "publisher's own, of those recorded. Everybody talks all the time; a steady tone, with which FFmpeg's AAC "
        "encoder takes longest, costs 0.009 more.",
    )
    for users in counts:
        clips = moving(users, seconds=_SECONDS)
        found: dict[Mode, list[Recorded]] = {"individual": [], "composite": []}
        for _ in range(runs):
            for mode, records in found.items():
                records.append(_record(mode, clips, window))
        each = {mode: statistics.median(one.rate for one in records) / users for mode, records in found.items()}
        pictures = sum(one.pictures for one in found["individual"])
        exact = sum(one.exact for one in found["individual"])
        table.add(
            str(users),
            f"{each['individual']:.4f}",
            f"{each['composite']:.4f}",
            f"{each['individual'] / each['composite']:.2f}x",
            f"{exact} of {pictures}",
        )
    return [table]


def _record(mode: Mode, clips: Sequence[Path], window: float) -> Recorded:
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        command = [sys.executable, "-m", "benchmarks.whip_recorder", str(folder / "log"), mode, str(len(clips))]
        tree = stack.enter_context(running(command, folder / "log.txt"))
        (url,) = _said(tree, 1)
        for k, clip in enumerate(clips):
            stack.enter_context(publishing(f"{url}user{k + 1}", TOKEN, clip, _PATIENCE_S))
        _said(tree, 2)
        time.sleep(_WARM_S)
        rate = tree.cpu_rate(window)
        tree.stop()
        if mode == "composite":
            return Recorded(rate)
        finish(folder / "log", PREFIX[mode], "hls")
        counted = [_compare(folder / "log" / f"recording_user{k + 1}.m3u8", clip) for k, clip in enumerate(clips)]
        return Recorded(rate, sum(pictures for pictures, _ in counted), sum(exact for _, exact in counted))


def _said(tree: Tree, lines: int) -> list[str]:
    """The first lines of what it prints, once they are there."""
    limit = time.monotonic() + _LIMIT_S
    while len(said := tree.output().split()) < lines:
        tree.check()
        if time.monotonic() > limit:
            raise TimeoutError(f"It has not said more than {said} within {_LIMIT_S:.0f} s.")
        time.sleep(0.05)
    return said[:lines]


def _compare(recorded: Path, clip: Path) -> tuple[int, int]:
    """How many pictures were recorded, and how many of them are in the clip."""
    found, published = _pictures(recorded), set(_pictures(clip))
    return len(found), sum(picture in published for picture in found)


def _pictures(path: Path) -> list[str]:
    with av.open(str(path)) as source:
        return [hashlib.sha256(frame.to_ndarray().tobytes()).hexdigest() for frame in source.decode(video=0)]
