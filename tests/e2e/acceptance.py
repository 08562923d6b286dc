"""What must hold for a recording in which participants come and go: the right picture and sound in each second."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from tests.oracle.participants import Box
from tests.oracle.report import Report, Second

Phase = Mapping[str, Box]


def check_phases(report: Report, phases: Sequence[Phase], counters: Mapping[str, int]) -> None:
    """Each phase lasts, and only a second of change between two may be neither.

    Who is in a phase is seen in that cell and heard, and nobody else is. What comes before the first phase (nobody
    has joined yet) is not looked at. `counters` are for the reader of a failure.
    """
    what = f"\n{report}\n{dict(counters)}"
    seconds = list(report.seconds[:-1])  # the last one may be short
    while seconds and not _is(seconds[0], phases[0]):
        seconds.pop(0)
    found: list[int | None] = []  # the phase that each second is of
    now = 0
    for second in seconds:
        if not _is(second, phases[now]) and now + 1 < len(phases) and _is(second, phases[now + 1]):
            now += 1
        found.append(now if _is(second, phases[now]) else None)
    for i in range(1, len(found)):
        if found[i] is None:
            assert None not in (found[i - 1], *found[i + 1 : i + 2]), f"Second {seconds[i].t} is wrong.{what}"
            assert found[i - 1 : i] != found[i + 1 : i + 2], f"Second {seconds[i].t} is wrong.{what}"
    assert all(found.count(phase) >= 2 for phase in range(len(phases))), f"Phases of the seconds: {found}.{what}"
    # A change may lie in the first and the last second of a phase.
    around = [None, *found, found[-1]]
    stable = [s for i, s in enumerate(seconds) if around[i] == around[i + 1] == around[i + 2]]
    for user in report.users.values():
        offsets = [
            abs(offset) for t, offset in user.offsets if any(0 <= t - s.t < 1 and user.name in s.seen for s in stable)
        ]
        assert offsets, what
        assert np.percentile(offsets, 95) <= 40, what


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
