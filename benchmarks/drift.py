"""How far picture, sound and wall clock drift apart in an hour, with senders whose clocks are wrong; in simulated time.

All that tells the time is the recorder's own: RTP timestamps and sender reports through `MediaClock`, decoded media
through the feeds and the mixer, at the renderer's ticks. Network and decoders are left out.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterator
from dataclasses import dataclass

import av
import numpy as np

from benchmarks.table import Table
from recorders.config import NativeConfig
from recorders.native.feed import AudioFeed, DecodedPicture, DecodedSound, VideoFeed
from recorders.native.mixer import Mixer, runs
from recorders.sources.rtc_clock import MediaClock

RATE, SAMPLE_RATE, FRAME_S = 30, 48000, 0.02
_DELAY_S = NativeConfig().playout_delay_ms / 1000
_EDGE = 0.1  # of the whole: that long at either end the mean is taken
_SETTLE_S = 20.0
_NTP = 3_900_000_000
_START = 1000.0


@dataclass(frozen=True)
class Sender:
    """Clocks that run too fast by parts in a million: of the microphone, the camera, and of the system (NTP)."""

    name: str
    sound: float = 0.0
    picture: float = 0.0
    system: float = 0.0


SENDERS = (
    Sender("right"),
    Sender("100 ppm fast in all", 100, 100, 100),
    Sender("100 ppm slow in all", -100, -100, -100),
    Sender("microphone 100 ppm fast", sound=100),
    Sender("microphone 100 ppm slow", sound=-100),
)


def run(quick: bool) -> list[Table]:
    """The benchmark's table."""
    seconds = 300 if quick else 3600
    table = Table(
        f"Drift over {seconds // 60} minutes, milliseconds",
        ("sender's clocks", "sound to picture, mean", "largest", "its drift", "drift to the wall clock"),
        "In simulated time, 50 ms of network jitter, a sender report a second. Sound to picture: a beep against its "
        f"flash, once a second after the first {_SETTLE_S:.0f} s; a picture lasts 33 ms. Drift: the mean of the "
        "last tenth less that of the first; to the wall clock, of the sound's place in the recording against the "
        "moment of its capture.",
    )
    for sender in SENDERS:
        offsets, lateness = simulate(sender, seconds)
        table.add(
            sender.name,
            f"{offsets.mean():+.1f}",
            f"{np.abs(offsets).max():.1f}",
            f"{_drift(offsets):+.1f}",
            f"{_drift(lateness):+.1f}",
        )
    return [table]


def simulate(
    sender: Sender, seconds: int, seed: int = 1
) -> tuple[np.ndarray[tuple[int], np.dtype[np.float64]], np.ndarray[tuple[int], np.dtype[np.float64]]]:
    """Milliseconds from each second's flash to its beep in the recording, and from the beep's capture to the beep."""
    clock, mixer = MediaClock(), Mixer(SAMPLE_RATE, 1)
    clock.begin("video", 90000)
    clock.begin("audio", SAMPLE_RATE)
    video, audio = VideoFeed(lambda: None, lambda _: None), AudioFeed(lambda _: None)
    arrivals = heapq.merge(_pictures(sender, seconds), _sounds(sender, seconds), _reports(sender, seconds))
    # Arrivals are nearly in order: those of the next tenth of a second are put in order among themselves.
    coming: list[tuple[float, float, str, int]] = []
    flashes, beeps = dict[int, float](), dict[int, float]()
    loud = False
    for n in range((seconds - 1) * RATE):
        moment = n / RATE
        due = _START + moment - _DELAY_S
        while (item := next(arrivals, None)) is not None:
            heapq.heappush(coming, (item[1], *item[:1], *item[2:]))
            if item[0] > _START + moment + 0.1:
                break
        while coming and coming[0][0] <= _START + moment:
            at, captured, what, number = heapq.heappop(coming)
            _receive(sender, clock, video, audio, what, number, captured, at)
        for run, t in runs(audio.until(due + 0.2)):
            mixer.add("one", run, t - _START + _DELAY_S)
        position = mixer.position
        heard = np.abs(mixer.read(round((n + 1) * SAMPLE_RATE / RATE) - position)[:, 0]) > 0.25
        for edge in np.flatnonzero(heard & ~np.concatenate(([loud], heard[:-1]))):
            beeps[round((position + edge) / SAMPLE_RATE - _DELAY_S)] = (position + edge) / SAMPLE_RATE - _DELAY_S
        loud = bool(heard[-1])
        picture = video.due(due + 0.5 / RATE)
        if picture is not None and picture.pts is not None and picture.pts >= 0:
            flashes.setdefault(picture.pts, moment - _DELAY_S)
    both = [s for s in range(int(_SETTLE_S), seconds - 3) if s in flashes and s in beeps]
    offsets = np.array([1000 * (beeps[s] - flashes[s]) for s in both])
    return offsets, np.array([1000 * (beeps[s] - s) for s in both])


def _receive(
    sender: Sender, clock: MediaClock, video: VideoFeed, audio: AudioFeed, what: str, number: int, t: float, now: float
) -> None:
    if what == "report":
        ntp = round((_NTP + t * (1 + sender.system / 1e6)) * 2**32)
        clock.reported("video", ntp, _rtp(t, sender.picture, 90000))
        clock.reported("audio", ntp, _rtp(t, sender.sound, SAMPLE_RATE))
    elif what == "picture":
        picture = av.VideoFrame(16, 16, "gray")
        picture.pts = number
        video.push(DecodedPicture(picture, clock.arrived("video", _rtp(t, sender.picture, 90000), now)))
    else:
        captured = clock.arrived("audio", _rtp(t, sender.sound, SAMPLE_RATE), now)
        pcm = np.zeros((1, round(FRAME_S * SAMPLE_RATE)), np.float32)
        if number >= 0:  # its beep begins at this sample
            pcm[0, number : number + 200] = 0.5
        sound = av.AudioFrame.from_ndarray(pcm, "flt", "mono")
        sound.sample_rate = SAMPLE_RATE
        audio.push(DecodedSound(sound, captured))


def _rtp(t: float, ppm: float, rate: int) -> int:
    return round(t * (1 + ppm / 1e6) * rate) % 2**32


def _pictures(sender: Sender, seconds: int) -> Iterator[tuple[float, float, str, int]]:
    """(capture, arrival, ...), in the guard's order: a camera's pictures; that of a full second shows its flash."""
    chance = random.Random(1)
    step = 1 / RATE / (1 + sender.picture / 1e6)
    t = at = 0.0
    while t < seconds:
        at = max(at, t + 0.02 + chance.uniform(0, 0.05))
        flash = round(t) if abs(t - round(t)) <= step / 2 else -1
        yield _START + t, _START + at, "picture", flash
        t += step


def _sounds(sender: Sender, seconds: int) -> Iterator[tuple[float, float, str, int]]:
    """A microphone's frames; the one that holds a full second has a beep from there on."""
    chance = random.Random(2)
    step = FRAME_S / (1 + sender.sound / 1e6)
    t = at = 0.0
    while t < seconds:
        at = max(at, t + 0.02 + chance.uniform(0, 0.05))
        ahead = -t % 1.0
        beep = round(ahead / step * FRAME_S * SAMPLE_RATE) if ahead < step else -1
        yield _START + t, _START + at, "sound", min(beep, 959)
        t += step


def _reports(sender: Sender, seconds: int) -> Iterator[tuple[float, float, str, int]]:
    for n in range(seconds):
        yield _START + n + 0.5, _START + n + 0.55, "report", 0


def _drift(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
    edge = int(_EDGE * len(values))
    return float(values[-edge:].mean() - values[:edge].mean())
