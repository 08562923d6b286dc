"""Capture times from RTP timestamps, arrivals and sender reports."""

from __future__ import annotations

import random

import pytest

from recorders.sources.rtc_clock import MediaClock


def ntp(seconds: float) -> int:
    return round((3_900_000_000 + seconds) * 2**32)


def clock() -> MediaClock:
    one = MediaClock()
    one.begin("video", 90000)
    one.begin("audio", 48000)
    return one


def rtp(t: float, rate: int, origin: int = 0) -> int:
    return (origin + round(t * rate)) % 2**32


def test_before_any_report_the_least_delay_counts_as_none() -> None:
    one = clock()
    delays = [0.080, 0.020, 0.050, 0.020, 0.300]
    times = [one.arrived("video", rtp(n / 30, 90000, 77), 1000 + n / 30 + delay) for n, delay in enumerate(delays)]
    assert times == pytest.approx([1000.080, *(1000.020 + n / 30 for n in range(1, 5))], abs=1e-4)


def test_reports_put_both_kinds_in_step_whatever_their_delays() -> None:
    one = clock()
    for n in range(100):
        t = n / 50
        one.arrived("audio", rtp(t, 48000, 2**31), 500 + t + 0.150)
        one.arrived("video", rtp(t, 90000, 5), 500 + t + 0.030)
    one.reported("audio", ntp(1), rtp(1, 48000, 2**31))
    one.reported("video", ntp(1), rtp(1, 90000, 5))
    video = one.arrived("video", rtp(3, 90000, 5), 503.030)
    audio = one.arrived("audio", rtp(3, 48000, 2**31), 503.150)
    assert video == pytest.approx(503.030, abs=1e-3)
    assert audio == pytest.approx(video, abs=1e-3)


def test_timestamps_wrap_in_either_order() -> None:
    one = clock()
    origin = 2**32 - 90000
    for n in range(90):
        t = n / 30
        assert one.arrived("video", rtp(t, 90000, origin), 100 + t) == pytest.approx(100 + t, abs=1e-4)
    assert one.arrived("video", rtp(0.9, 90000, origin), 103) == pytest.approx(100.9, abs=1e-4)
    assert one.arrived("video", rtp(3, 90000, origin), 103) == pytest.approx(103, abs=1e-4)


def test_a_report_from_before_the_wrap() -> None:
    one = clock()
    origin = 2**32 - 45000
    one.arrived("video", rtp(1, 90000, origin), 101)
    one.reported("video", ntp(0), rtp(0, 90000, origin))
    assert one.arrived("video", rtp(1.5, 90000, origin), 101.5) == pytest.approx(101.5, abs=1e-3)


@pytest.mark.parametrize("drift", [-100e-6, 100e-6])
def test_a_drifting_sender_is_followed(drift: float) -> None:
    """An hour at 100 ppm is 360 ms: the times must stay near the arrivals."""
    one, chance = clock(), random.Random(1)
    for n in range(3600):
        sent = float(n)
        now = 50 + sent * (1 + drift) + chance.uniform(0.010, 0.030)
        t = one.arrived("video", rtp(sent, 90000), now)
        assert -0.001 <= now - t < 0.030, n


def test_another_timeline_begins_anew() -> None:
    one = clock()
    one.arrived("video", rtp(0, 90000), 10)
    one.reported("video", ntp(0), rtp(0, 90000))
    assert one.arrived("video", rtp(0, 90000, 123456789), 11) == pytest.approx(11)
    assert one.arrived("video", rtp(0.5, 90000, 123456789), 11.5) == pytest.approx(11.5)
    assert one.arrived("video", rtp(0.4, 90000, 123456789), 11.5) == pytest.approx(11.4)


def test_a_long_pause_is_no_other_timeline() -> None:
    one = clock()
    one.arrived("video", rtp(0, 90000), 10)
    assert one.arrived("video", rtp(60, 90000), 70.040) == pytest.approx(70, abs=0.041)


def test_a_report_before_any_media_is_not_used() -> None:
    one = clock()
    one.reported("video", ntp(0), 0)
    assert one.arrived("video", 90000, 1.0) == pytest.approx(1.0)


@pytest.mark.parametrize("ppm", [-100, 100])
def test_sound_is_on_time_for_hours_after_the_camera_went_off(ppm: float) -> None:
    one, speed = clock(), 1 + ppm / 1e6
    t = 0.0
    for second in range(2 * 3600):
        t = float(second)
        if t < 30:
            one.arrived("video", rtp(t * speed, 90000), t)
        heard = one.arrived("audio", rtp(t * speed, 48000), t)
        for kind, rate in (("video", 90000), ("audio", 48000)):
            if kind == "audio" or t < 30:
                one.reported(kind, ntp(t * speed), rtp(t * speed, rate))  # type: ignore[arg-type]
    assert heard == pytest.approx(t, abs=0.01)
    assert one.arrived("video", rtp((t + 1) * speed, 90000), t + 1) == pytest.approx(t + 1, abs=0.01)
