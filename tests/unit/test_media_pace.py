"""When packets of live media URLs go out, on a clock that only waiting moves."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import pytest

from recorders.sources import media_pace
from recorders.sources.media_pace import LivePace

SECONDS = 10
PICTURE_S, SOUND_S = 0.04, 0.024
Arrival = tuple[float, int, float]  # when a packet comes, of which stream, and its timestamp


class Clock:
    """In place of the module `time`."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(media_pace, "time", clock)
    return clock


def packets(seconds: float, *, lead: float = 0.0, base: float = 0.0, begin: float = 0.0) -> list[Arrival]:
    """Pictures (stream 0), `lead` seconds of media before the sound (stream 1) that comes with them."""
    pictures = [(begin + t, 0, base + t + lead) for t in np.arange(0, seconds, PICTURE_S)]
    return sorted(pictures + [(begin + t, 1, base + t) for t in np.arange(0, seconds, SOUND_S)])


def paced(
    clock: Clock, arrivals: Iterable[Arrival], pace: LivePace | None = None
) -> dict[int, list[tuple[float, float]]]:
    """For each packet of the streams, when it went out and when it was due."""
    pace = pace or LivePace(clock.now)
    begun = clock.now
    out: dict[int, list[tuple[float, float]]] = {0: [], 1: []}
    for arrival, stream, at in arrivals:
        clock.now = max(clock.now, begun + arrival)
        due = pace.offset(stream, at) + at
        clock.now += pace.wait(due)
        out[stream].append((clock.now, due))
    return out


def breaks(out: list[tuple[float, float]], period: float) -> list[float]:
    """By how much more or less than a period packets are apart, where they are."""
    apart = np.diff([due for _, due in out]) - period
    return [float(each) for each in apart if abs(each) > 0.002]


@pytest.mark.parametrize("lead", [-1.0, -0.5, -0.15, 0.0, 0.1, 0.25, 0.5, 0.8, 1.0, 1.1])
def test_picture_and_sound_that_come_apart_are_played_as_fast_as_they_come(clock: Clock, lead: float) -> None:
    out = paced(clock, packets(SECONDS, lead=lead))
    assert clock.now - 1000 == pytest.approx(SECONDS, abs=0.2)
    for stream, period in ((0, PICTURE_S), (1, SOUND_S)):
        assert len(breaks(out[stream], period)) <= 1, "its clock is set once"
        assert all(-0.2 <= due - went <= 1.15 for went, due in out[stream])
    assert out[0][-1][1] - out[1][-1][1] == pytest.approx(lead, abs=0.1), "they are together again"


def test_what_comes_all_at_once_goes_out_at_its_pace(clock: Clock) -> None:
    """As a server's burst of what it has kept, from the last keyframe on."""
    out = paced(clock, [(0.0, stream, at) for _, stream, at in packets(3)])
    assert clock.now - 1000 == pytest.approx(2.0, abs=0.15)
    assert breaks(out[0], PICTURE_S) == breaks(out[1], SOUND_S) == []
    assert clock.now == out[1][-1][0]
    again = paced(clock, packets(1, base=700), LivePace(out[1][-1][1]))
    assert again[0][0][1] >= out[0][-1][1], "opened again, it goes on after what has gone out"


@pytest.mark.parametrize(("base", "then"), [(0.0, 1000.0), (1000.0, 0.0)])
def test_timestamps_that_jump_are_placed_anew_once(clock: Clock, base: float, then: float) -> None:
    """The last sound of the old comes among the first pictures of the new."""
    both = packets(3, base=base) + packets(3, base=then, begin=3)
    arrivals = sorted((begin + 0.15 * stream, stream, at) for begin, stream, at in both)
    out = paced(
        clock, [(math.ceil(begin * 20) / 20, stream, at) for begin, stream, at in arrivals]
    )  # 20 reads a second
    for stream, period in ((0, PICTURE_S), (1, SOUND_S)):
        assert len(breaks(out[stream], period)) <= 1
        assert max(breaks(out[stream], period), default=0.0) < 0.25
    assert clock.now - 1000 == pytest.approx(6, abs=0.2)


def test_a_stream_that_stalled_goes_on_where_it_is(clock: Clock) -> None:
    out = paced(clock, packets(2) + packets(2, base=2, begin=3.5))
    for stream, period in ((0, PICTURE_S), (1, SOUND_S)):
        assert breaks(out[stream], period) == [pytest.approx(1.5, abs=0.05)]
