"""When a page's pictures are shown: the clock of capture_worker.js given pictures at known times, in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from playwright.sync_api import Page

from tests.e2e.worker_page import worker_page

__all__ = ["worker_page"]
PERIOD = 1000 / 30
# Gives pictures to the clock; what each slot shows: the number of a picture.
_SHOW = """([frameRate, times]) => {
    const shown = [];
    const slots = new Slots(frameRate, (picture, n) => (shown[n] = picture.number));
    slots.begin(0);
    times.forEach((time, number) => slots.add({ number, close() {} }, time));
    slots.flush();
    return [shown, slots.counters];
}"""

Show = Callable[..., tuple[list[int], dict[str, int]]]


@pytest.fixture(scope="module")
def show(worker_page: Page) -> Show:
    def ask(times: list[float], frame_rate: float = 30) -> Any:
        return worker_page.evaluate(_SHOW, [frame_rate, times])

    return ask


def steady(count: int, period: float = PERIOD, start: float = 0) -> list[float]:
    return [start + n * period for n in range(count)]


@given(st.lists(st.floats(-0.45 * PERIOD, 0.45 * PERIOD), min_size=1, max_size=40))
def test_a_picture_for_each_slot_is_shown_in_its_own_however_it_jitters(show: Show, jitter: list[float]) -> None:
    shown, counters = show([time + late for time, late in zip(steady(len(jitter)), jitter, strict=True)])
    assert shown == list(range(len(jitter)))
    assert counters["frames_repeated"] == counters["frames_dropped"] == 0


def test_a_slot_without_a_picture_shows_the_one_before(show: Show) -> None:
    times = steady(6)
    shown, counters = show(times[:2] + times[4:])
    assert shown == [0, 1, 1, 1, 2, 3]
    assert counters == {"frames": 6, "frames_repeated": 2, "frames_dropped": 0, "frames_late": 0}


def test_two_at_once_are_both_shown_where_there_is_a_free_slot(show: Show) -> None:
    assert show([0, PERIOD, 1.3 * PERIOD, 3 * PERIOD])[0] == [0, 1, 2, 3]
    assert show([0, 2 * PERIOD, 2.3 * PERIOD, 3 * PERIOD])[0] == [0, 1, 2, 3]


@given(st.lists(st.floats(0, 24.9), min_size=1, max_size=5), st.floats(-0.4, 0.4))
def test_what_came_besides_does_not_make_what_follows_late(show: Show, more: list[float], phase: float) -> None:
    times = sorted([*steady(40, start=phase * PERIOD), *(PERIOD * time for time in more)])
    shown, counters = show(times)
    assert [times[number] for number in shown[-9:]] == times[-9:]
    assert counters["frames_dropped"] == len(more)


@pytest.mark.parametrize("rate", [24, 25, 50, 60])
def test_each_rate_takes_all_that_a_screen_of_60_gives_it(show: Show, rate: int) -> None:
    """Of 60 paints a second those that are the first after each period, as Chromium's capture takes them."""
    taken = [round(n * 60 / rate + 0.499) * 1000 / 60 for n in range(2 * rate)]
    shown, counters = show(taken, rate)
    assert counters["frames_dropped"] == 0
    assert len(set(shown)) >= len(taken) - 1
    late = [n * 1000 / rate - taken[number] for n, number in enumerate(shown)]
    assert all(abs(ms) <= 1000 / rate for ms in late)
