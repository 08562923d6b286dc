"""The mixer by its samples: silence, sums, places, limits."""

from __future__ import annotations

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorders.native.mixer import Mixer, Samples, runs

RATE = 48000


def sound(pcm: Samples, rate: int = RATE) -> list[av.AudioFrame]:
    """A stereo frame of floats from (n, 2), by itself."""
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(pcm.reshape(1, -1)), "flt", "stereo")
    frame.sample_rate = rate
    return [frame]


def constant(value: float, n: int) -> Samples:
    return np.full((n, 2), value, np.float32)


def tone(hz: float, seconds: float, amplitude: float = 1.0, rate: int = RATE) -> Samples:
    wave = amplitude * np.sin(2 * np.pi * hz * np.arange(int(seconds * rate)) / rate)
    return np.repeat(wave.astype(np.float32)[:, None], 2, axis=1)


def strength(pcm: Samples, hz: float, rate: int = RATE) -> float:
    """Amplitude of a frequency in the first channel."""
    wave = np.exp(-2j * np.pi * hz * np.arange(len(pcm)) / rate)
    return float(2 * abs((pcm[:, 0] * wave).mean()))


def test_silence_where_nobody_speaks() -> None:
    mixer = Mixer(RATE, 2)
    block = mixer.read(1600)
    assert block.shape == (1600, 2)
    assert not block.any()
    mixer.add("a", sound(constant(0.5, 960)), 0.1)
    assert mixer.read(0).shape == (0, 2)


def test_sums_at_the_right_place() -> None:
    mixer = Mixer(RATE, 2)
    mixer.add("a", sound(constant(0.25, 960)), 0.010)
    mixer.add("b", sound(constant(0.5, 960)), 0.020)
    out = mixer.read(4800)[:, 0]
    assert not out[:480].any()
    assert np.allclose(out[480:960], 0.25)
    assert np.allclose(out[960:1440], 0.75)
    assert np.allclose(out[1440:1920], 0.5)
    assert not out[1920:].any()


def test_below_full_scale_nothing_is_changed() -> None:
    mixer = Mixer(RATE, 2)
    pcm = tone(440, 0.5, 0.999)
    mixer.add("a", sound(pcm), 0.0)
    out = np.concatenate([mixer.read(1600) for _ in range(15)])
    assert np.array_equal(out, pcm)


def test_two_full_scale_tones_are_not_clipped() -> None:
    mixer = Mixer(RATE, 2)
    mixer.add("a", sound(tone(440, 1.0)), 0.5)
    mixer.add("b", sound(tone(660, 1.0)), 0.5)
    out = np.concatenate([mixer.read(1600) for _ in range(45)])
    assert np.abs(out).max() <= 1.0
    body = out[int(0.75 * RATE) : int(1.25 * RATE)]
    assert (np.abs(body) >= 0.9999).mean() < 0.01  # peaks touch the ceiling; clipping would sit on it for a third
    wanted = strength(body, 440)
    assert 0.45 < wanted < 0.6
    for hz in (220, 880, 1100, 1320, 1540):  # harmonics and products of clipping
        assert strength(body, hz) < 0.02 * wanted
    # No step in gain where the sound begins: the look-ahead has lowered it already.
    assert np.abs(np.diff(out[:, 0])).max() < 0.2


def test_gain_comes_back_after_a_peak() -> None:
    mixer = Mixer(RATE, 1)
    mixer.add("a", sound(constant(1.0, 4800)), 0.0)
    mixer.add("b", sound(constant(1.0, 4800)), 0.0)
    mixer.add("a", sound(constant(0.5, RATE)), 0.1)
    out = np.concatenate([mixer.read(1600) for _ in range(33)])
    assert np.allclose(out[-1600:], 0.5)


def test_other_rates_and_layouts_arrive_at_the_output_rate() -> None:
    mixer = Mixer(RATE, 2)
    pcm = (tone(1000, 1.0, 0.5, 16000)[:, :1] * 32767).astype(np.int16).T
    for i in range(50):
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(pcm[:, i * 320 : (i + 1) * 320]), "s16", "mono")
        frame.sample_rate = 16000
        mixer.add("a", [frame], i * 0.02)
    out = np.concatenate([mixer.read(1600) for _ in range(29)])
    assert strength(out[4800:], 1000) == pytest.approx(0.5, abs=0.02)
    assert np.array_equal(out[:, 0], out[:, 1])


@settings(max_examples=50)
@given(jitter=st.lists(st.floats(-0.009, 0.009), min_size=10, max_size=10), start=st.floats(0.03, 0.1))
def test_jitter_leaves_no_gap(jitter: list[float], start: float) -> None:
    mixer = Mixer(RATE, 2)
    for i, off in enumerate(jitter):
        mixer.add("a", sound(constant(0.5, 960)), start + i * 0.02 + off)
    out = mixer.read(RATE)[:, 0]
    heard = np.flatnonzero(out)
    assert len(heard) == 9600
    assert heard[-1] - heard[0] == 9599
    assert np.allclose(out[heard], 0.5)


def test_a_jump_places_anew_and_says_nothing_twice() -> None:
    mixer = Mixer(RATE, 2)
    mixer.add("a", sound(constant(0.5, 4800)), 0.0)
    mixer.add("a", sound(constant(0.5, 4800)), 0.2)  # 100 ms later than expected: a gap
    mixer.add("a", sound(constant(0.5, 4800)), 0.25)  # 50 ms early: the overlap is left out
    out = mixer.read(RATE)[:, 0]
    assert np.allclose(out[:4800], 0.5)
    assert not out[4800:9600].any()
    assert np.allclose(out[9600 : 9600 + 7200], 0.5)
    assert not out[9600 + 7200 :].any()


@pytest.mark.parametrize("back", [0.035, 0.1, 0.25])
def test_after_a_step_back_nothing_is_said_twice(back: float) -> None:
    mixer = Mixer(RATE, 2)
    for i in range(25):
        mixer.add("a", sound(constant(0.3, 960)), i * 0.02)
    for i in range(20):
        mixer.add("a", sound(constant(0.3, 960)), 0.5 - back + i * 0.02)
    end = round((0.9 - back) * RATE)
    out = mixer.read(RATE)[:, 0]
    assert np.allclose(out[:end], 0.3)
    assert not out[end:].any()


def test_one_timestamp_of_the_future_silences_nothing() -> None:
    mixer = Mixer(RATE, 2)
    for i in range(100):
        mixer.add("a", sound(constant(0.3, 960)), i * 0.02 + (1.0 if i == 25 else 0.0))
    out = mixer.read(2 * RATE)[:, 0]
    lost = slice(24000, 24960)
    assert not out[lost].any()
    assert np.allclose(np.delete(out, lost), 0.3)


def placed(ppm: float, seconds: float, *, ahead: float = 0.0, lost: range = range(0)) -> tuple[Samples, Mixer]:
    """A tone of 440 Hz from a sound card that is so much faster than its timestamps say, in frames of 20 ms."""
    mixer = Mixer(RATE, 1)
    pcm = tone(440, seconds, 0.5)
    out = []
    for i in range(int(seconds * 50)):
        if i not in lost:
            at = 0.1 + i * 0.02 / (1 + ppm / 1e6) + (ahead if i else 0.0)
            mixer.add("a", sound(pcm[i * 960 : (i + 1) * 960]), at)
        out.append(mixer.read(960))
    return np.concatenate(out), mixer


@pytest.mark.parametrize("ppm", [-300, 300])
def test_a_drifting_voice_is_kept_in_its_place_without_a_break(ppm: int) -> None:
    seconds = 40.0
    out, mixer = placed(ppm, seconds)
    end = mixer._voices["a"].end
    assert end is not None
    assert abs(end / RATE - (0.1 + seconds / (1 + ppm / 1e6))) < 0.005
    body = out[int(0.2 * RATE) :, 0]
    assert np.abs(np.diff(body)).max() < 0.5 * 2 * np.pi * 440 / RATE * 1.02, "no step, no gap"


def test_a_voice_at_its_place_is_not_touched() -> None:
    out, _ = placed(0, 10)
    pcm = tone(440, 10, 0.5)[:, :1]
    assert np.array_equal(out[4800:], pcm[: len(out) - 4800])


def test_a_voice_that_is_found_to_be_early_comes_to_its_place() -> None:
    _, mixer = placed(0, 15, ahead=-0.02)
    end = mixer._voices["a"].end
    assert end is not None
    assert abs(end / RATE - (0.1 + 15 - 0.02)) < 0.003


@pytest.mark.parametrize("lost", [range(100, 101), range(100, 103)])
def test_lost_frames_are_made_up_for_and_nothing_moves(lost: range) -> None:
    out, mixer = placed(0, 4, lost=lost)
    pcm = tone(440, 4, 0.5)[:, :1]
    got, wanted = out[4800:], pcm[: len(out) - 4800]
    begin, end = lost.start * 960, lost.stop * 960
    assert np.array_equal(got[:begin], wanted[:begin])
    assert np.array_equal(got[end + 288 :], wanted[end + 288 :])
    assert np.abs(got[begin : begin + 960] - wanted[begin : begin + 960]).max() < 0.05
    assert np.abs(np.diff(got[:, 0])).max() < 0.5 * 2 * np.pi * 440 / RATE * 1.2, "no step"
    assert mixer.late == 0


def test_a_silence_of_the_senders_is_left_silent() -> None:
    out, _ = placed(0, 4, lost=range(100, 120))  # 400 ms, as with discontinuous transmission
    assert not out[4800 + 100 * 960 : 4800 + 120 * 960].any()
    assert out[4800 + 120 * 960 :].any()


def test_late_sound_is_counted_and_its_rest_still_heard() -> None:
    mixer = Mixer(RATE, 2)
    mixer.read(4800)
    mixer.add("a", sound(constant(0.5, 960)), 0.0)
    mixer.add("b", sound(constant(0.5, 960)), 0.09)
    out = mixer.read(4800)[:, 0]
    assert mixer.late == 2
    assert np.count_nonzero(out) == 480
    assert np.allclose(out[:480], 0.5)


def test_far_ahead_is_kept_within_the_ring() -> None:
    mixer = Mixer(RATE, 2)
    mixer.add("a", sound(constant(0.5, 960)), 100.0)
    assert not mixer.read(4 * RATE).any()


def test_start_is_an_absolute_sample() -> None:
    mixer = Mixer(RATE, 1, start=10 * RATE)
    mixer.add("a", sound(constant(0.5, 480)), 10.01)
    out = mixer.read(1600)
    assert mixer.position == 10 * RATE + 1600
    assert np.flatnonzero(out[:, 0]).tolist() == list(range(480, 960))


@given(
    st.lists(
        st.tuples(st.sampled_from([480, 960]), st.sampled_from([0.0, 0.0, 0.0, 0.0015, -0.0015, 0.02, 0.5])),
        max_size=60,
    )
)
def test_runs_are_the_frames_in_their_order_and_follow_on(pieces: list[tuple[int, float]]) -> None:
    """Times that are rounded do not part them, holes do."""
    sounds, t = [], 10.0
    for n, gap in pieces:
        hole = gap if gap > 0.002 else 0.0
        sounds.append((sound(constant(0.1, n))[0], t + gap))
        t += hole + n / RATE
    found = list(runs(sounds))
    assert [frame for run, _ in found for frame in run] == [frame for frame, _ in sounds]
    times = {id(frame): t for frame, t in sounds}
    ends = []
    for run, begin in found:
        assert begin == times[id(run[0])]
        end = begin
        for frame in run:
            assert abs(times[id(frame)] - end) <= 0.0021
            end += frame.samples / RATE
        ends.append(end)
    for (run, _), end, (_, begin) in zip(found, ends, found[1:], strict=False):
        assert len(run) == 10 or abs(begin - end) > 0.0019


def test_frames_together_sound_as_one_by_one() -> None:
    """Planar floats at the mixer's rate, as Opus is decoded, in mono and stereo; with a hole."""
    pcm = tone(440, 2.0, 0.5)
    for channels, layout in ((1, "mono"), (2, "stereo")):
        frames = []
        for i in range(100):
            part = np.ascontiguousarray(pcm[i * 960 : (i + 1) * 960, :channels].T)
            frame = av.AudioFrame.from_ndarray(part, "fltp", layout)
            frame.sample_rate = RATE
            if i != 37:
                frames.append((frame, i * 0.0200))
        one, together = Mixer(RATE, 2), Mixer(RATE, 2)
        for frame, t in frames:
            one.add("a", [frame], t)
        for run, t in runs(frames):
            together.add("a", run, t)
        alone, joined = one.read(2 * RATE), together.read(2 * RATE)
        assert np.array_equal(alone, joined)
        assert strength(joined[: 37 * 960], 440) == pytest.approx(0.5, abs=0.02)
