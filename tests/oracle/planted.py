"""Writes what a recorder would: participants side by side in one picture and one mix, with faults on request."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from tests.oracle.clips import RATE, Painter, pcm
from tests.oracle.participants import Box, Participant

WIDTH, HEIGHT, FRAME_RATE = 320, 180, 30


@dataclass(frozen=True)
class Faults:
    """What is wrong. `paint` maps (participant's place, picture number) to who is painted and which of its pictures;
    None: nobody. `keep` says which pictures are written; `stretch` slows the sound down by that factor."""

    paint: Callable[[int, int], tuple[int, int] | None] = lambda place, n: (place, n)
    keep: Callable[[int], bool] = lambda n: True
    tones: Sequence[bool] = (True, True)
    shift: float = 0.0
    stretch: float = 1.0
    mute: tuple[float, float] = (0.0, 0.0)
    """Seconds between which there is no sound at all."""


CLEAN = Faults()


def cells(users: int) -> list[Box]:
    """Where the participants are: side by side."""
    width = _width(users)
    return [Box(place * width, 0, width, HEIGHT) for place in range(users)]


def record(path: Path, faults: Faults = CLEAN, *, users: int = 2, seconds: float = 8, hls: bool = False) -> Path:
    """An MP4, or an HLS playlist of parts of 2 s in a folder of its own, with the first `users` participants."""
    options = {
        "hls_time": "2",
        "hls_segment_type": "fmp4",
        "hls_playlist_type": "vod",
        "hls_flags": "independent_segments+program_date_time",
        "hls_fmp4_init_filename": "init.mp4",
        "hls_segment_filename": str(path.parent / "part_%03d.m4s"),
    }
    with av.open(str(path), "w", format="hls" if hls else "mp4", options=options if hls else {}) as out:
        video = out.add_stream(
            "libx264",
            rate=FRAME_RATE,
            options={"preset": "ultrafast", "bf": "0", "g": str(2 * FRAME_RATE), "sc_threshold": "0", "threads": "1"},
        )
        video.width, video.height, video.pix_fmt, video.bit_rate = users * _width(users), HEIGHT, "yuv420p", 600_000
        audio = out.add_stream("aac", rate=RATE, bit_rate=96_000)
        audio.codec_context.layout = "mono"
        sound = _mix(faults, users, seconds)
        done = 0
        for n in range(round(seconds * FRAME_RATE)):
            if faults.keep(n):
                out.mux(video.encode(_compose(faults, users, n)))
            until = round((n + 1) * RATE / FRAME_RATE)
            frame = av.AudioFrame.from_ndarray(sound[None, done:until], format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = RATE, done, Fraction(1, RATE)
            out.mux(audio.encode(frame))
            done = until
        out.mux(video.encode(None))
        out.mux(audio.encode(None))
    return path


def _width(users: int) -> int:
    return WIDTH // users & ~1


def _compose(faults: Faults, users: int, n: int) -> av.VideoFrame:
    width = _width(users)
    columns = []
    for place in range(users):
        what = faults.paint(place, n)
        if what is None:
            columns.append(np.concatenate([np.full((HEIGHT, width), 16), np.full((HEIGHT // 2, width), 128)]))
            continue
        who, picture = what
        painted = Painter(Participant(who), width, HEIGHT, FRAME_RATE).paint(picture)
        y, u, v = (
            np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, -1)[:, : plane.width]
            for plane in painted.planes
        )
        columns.append(np.concatenate([y, np.concatenate([u, v], axis=1)]))
    half = width // 2
    y = np.concatenate([column[:HEIGHT] for column in columns], axis=1)
    u = np.concatenate([column[HEIGHT:, :half] for column in columns], axis=1)
    v = np.concatenate([column[HEIGHT:, half:] for column in columns], axis=1)
    planar = np.concatenate([plane.ravel() for plane in (y, u, v)]).reshape(-1, users * width).astype(np.uint8)
    frame = av.VideoFrame.from_ndarray(planar, "yuv420p")
    frame.pts, frame.time_base = n, Fraction(1, FRAME_RATE)
    return frame


def _mix(faults: Faults, users: int, seconds: float) -> NDArray[np.float32]:
    heard = [pcm(Participant(k), seconds + 1) for k in range(users) if faults.tones[k]]
    mix: NDArray[np.float32] = np.sum(heard, axis=0, dtype=np.float32)
    t = np.arange(round(seconds * RATE)) / RATE
    placed = np.interp((t - faults.shift) / faults.stretch, np.arange(len(mix)) / RATE, mix, left=0.0)
    placed[round(faults.mute[0] * RATE) : round(faults.mute[1] * RATE)] = 0
    return placed.astype(np.float32)
