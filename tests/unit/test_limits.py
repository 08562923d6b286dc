"""Recordings that end by themselves."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorders.limits import Limited, reached
from recorders.progress import Progress
from recorders.recorder import EndReason
from recorders.spec import Limits

BOUNDS = st.none() | st.floats(0.001, 1e6)


class Endless:
    """A recorder whose figures are given and that ends only when it is stopped."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._stop = asyncio.Event()

    async def run(self) -> EndReason:
        await self._stop.wait()
        return "user_stop"

    def stop(self) -> None:
        self._stop.set()

    def progress(self) -> Progress:
        return self._progress


@given(BOUNDS, BOUNDS, BOUNDS, st.none() | st.floats(0, 1e6), st.integers(0, 10**12), st.floats(0, 1e6))
def test_a_limit_is_reached_only_where_there_is_one(
    duration: float | None, size: float | None, idle: float | None, age: float | None, bytes: int, still: float
) -> None:
    progress = Progress(began_at=None if age is None else 2e9 - age, bytes=bytes, idle_seconds=still)
    over = {
        "max_duration": duration is not None and age is not None and 2e9 - (2e9 - age) >= duration,
        "max_size": size is not None and bytes >= size * 1_000_000,
        "idle": idle is not None and still >= idle,
    }
    found = reached(Limits(duration, size, idle), progress, 2e9)
    assert found is None if not any(over.values()) else over[str(found)]


@pytest.mark.parametrize(
    ("limits", "reason"),
    [(Limits(duration_s=5), "max_duration"), (Limits(size_mb=1), "max_size"), (Limits(idle_s=9), "idle")],
)
def test_the_limit_is_the_reason(limits: Limits, reason: str) -> None:
    async def run() -> EndReason:
        return await Limited(Endless(Progress(began_at=1.0, bytes=10**6, idle_seconds=9)), limits).run()

    assert asyncio.run(asyncio.wait_for(run(), 5)) == reason


def test_whoever_stops_it_first_is_the_reason() -> None:
    async def run() -> EndReason:
        limited = Limited(Endless(Progress(began_at=1.0)), Limits(duration_s=1))
        limited.stop()
        return await limited.run()

    assert asyncio.run(asyncio.wait_for(run(), 5)) == "user_stop"
