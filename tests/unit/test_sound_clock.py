"""Where sound is placed that comes without times: stalls, bursts, pauses, clocks that differ."""

from __future__ import annotations

import pytest

from recorders.sources.sound_clock import SoundClock

FRAME = 0.01


def placed(arrivals: list[float]) -> list[float]:
    """By how much each frame is placed later than it was captured, frames being captured all 10 ms from 0."""
    clock = SoundClock()
    return [clock.begin(FRAME, now) - n * FRAME for n, now in enumerate(arrivals)]


def arriving(n: int) -> float:
    """When frame n is there, with no delay at all."""
    return (n + 1) * FRAME


def test_what_comes_in_time_is_placed_there() -> None:
    assert placed([arriving(n) for n in range(50)]) == pytest.approx([0] * 50)


def test_jitter_does_not_move_it() -> None:
    late = placed([arriving(n) + (n % 7) * 0.004 for n in range(300)])
    assert late == pytest.approx([0] * 300)


def test_a_stall_with_a_burst_after_it_tears_nothing() -> None:
    """Frames 20 to 44 all come at once, when 44 is due."""
    late = placed([arriving(44) if 20 <= n < 45 else arriving(n) for n in range(100)])
    assert late == pytest.approx([0] * 100)


def test_what_comes_earlier_than_ever_sets_the_measure() -> None:
    late = placed([arriving(n) + (0.08 if n < 10 else 0.0) for n in range(30)])
    assert late[:10] == pytest.approx([0.08] * 10)
    assert late[10:] == pytest.approx([0] * 20)


def test_after_a_pause_it_is_placed_where_it_came() -> None:
    clock = SoundClock()
    for n in range(10):
        clock.begin(FRAME, arriving(n))
    assert clock.begin(FRAME, 5.0) == pytest.approx(4.99)
    assert clock.begin(FRAME, 5.01) == pytest.approx(5.0)
    clock.pause()
    assert clock.begin(FRAME, 5.15) == pytest.approx(5.14), "a short one, that was told"


@pytest.mark.parametrize("parts_per_million", [-500, 500])
def test_a_clock_that_is_slower_or_faster_is_followed(parts_per_million: int) -> None:
    """For 10 minutes; the difference would be 300 ms."""
    pace = 1 + parts_per_million / 1_000_000
    clock = SoundClock()
    for n in range(60_000):
        now = (n + 1) * FRAME * pace
        assert abs(clock.begin(FRAME, now) - (now - FRAME)) < 0.022
