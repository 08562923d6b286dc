"""What must hold for a recording in which participants come and go: the right picture and sound in each second."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from tests.oracle.participants import Box
from tests.oracle.report import Report, Second

Phase = Mapping[str, Box]


def check_phases(report: Report, phases: Sequence[Phase]) -> None:
    """Each phase lasts, and only a second of change between two may be neither.

    Who is in a phase is seen in that cell and heard, and nobody else is. What comes before the first phase (nobody
    has joined yet) is not looked at.
    """
    seconds = list(report.seconds[:-1])  # the last one may be short
    while seconds and not _is(seconds[0], phases[0]):
        seconds.pop(0)
    lengths = [0] * len(phases)
    stable: list[Second] = []
    now, odd = 0, 0
    for second in seconds:
        changed = not _is(second, phases[now]) and now + 1 < len(phases) and _is(second, phases[now + 1])
        if changed:
            now += 1
            odd = 0
        if _is(second, phases[now]):
            lengths[now] += 1
            if not changed:  # otherwise the change may lie in this second
                stable.append(second)
            assert odd == 0, f"Second {second.t} is out of order.\n{report}"
        else:
            odd += 1
            assert odd == 1, f"Second {second.t} is not as it should be.\n{report}"
    assert min(lengths) >= 2, f"Seconds of each phase: {lengths}.\n{report}"
    for user in report.users.values():
        offsets = [
            abs(offset) for t, offset in user.offsets if any(0 <= t - s.t < 1 and user.name in s.seen for s in stable)
        ]
        assert len(offsets) >= 2, report
        assert np.percentile(offsets, 95) <= 60, report


def check_file(report: Report) -> None:
    """Every frame and nothing undecodable, no gap, picture and sound of one length."""
    assert not report.damage, report
    assert abs(report.frames - report.frames_expected) <= 1, report
    for stream in (report.video, report.audio):
        assert stream is not None
        assert not stream.gaps, report
        assert not stream.backwards, report


async def until(what: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait for something that has no event; fails after `seconds`."""
    async with asyncio.timeout(seconds):
        while not what():  # noqa: ASYNC110
            await asyncio.sleep(0.05)


def _is(second: Second, phase: Phase) -> bool:
    return set(second.seen) == set(second.heard) == set(phase) and all(
        _inside(second.seen[name], cell) for name, cell in phase.items()
    )


def _inside(seen: Box, cell: Box, slack: int = 16) -> bool:
    """The oracle's grid is coarse."""
    return (
        seen.x >= cell.x - slack
        and seen.y >= cell.y - slack
        and seen.x + seen.width <= cell.x + cell.width + slack
        and seen.y + seen.height <= cell.y + cell.height + slack
        and seen.width * seen.height > cell.width * cell.height / 3
    )
