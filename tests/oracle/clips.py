"""Makes the participants' clips: H.264 baseline (no B-frames, a keyframe every second) and Opus in Matroska.

They can be stream-copied, by PyAV's `whip` muxer too. `python -m tests.oracle.clips --out DIR --users 2`.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import tempfile
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from tests.oracle.participants import (
    BEEP_LEVEL,
    BEEP_S,
    FLASH_S,
    TONE_LEVEL,
    Participant,
    everyone,
)

__all__ = ["Participant", "cached_clips", "make_clips"]

RATE = 48000
_RAMP_S = 0.001


def make_clips(
    folder: Path,
    participants: Sequence[Participant],
    *,
    seconds: float = 20,
    width: int = 640,
    height: int = 360,
    frame_rate: int = 30,
    kbit_s: int | None = None,
    keyframes: float = 1.0,
) -> list[Path]:
    """One clip a participant, in their order; clips that `folder` has already are kept.

    With `kbit_s` all pictures are filled up to one size, as a camera's would be: as plain as they are, they would fit
    into a packet each. `keyframes` a second: who joins such a clip waits for one, for it cannot be asked.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for participant in participants:
        filled = f"-{kbit_s}k" if kbit_s else ""
        kind = f"{width}x{height}-{frame_rate}-{keyframes:g}-{seconds:g}s{filled}"
        path = folder / f"{participant.name}-{kind}-{_version()}.mkv"
        if not path.exists():
            partial = path.with_name(f".{os.getpid()}-{path.name}")
            gop = round(frame_rate / keyframes)
            _write(partial, participant, seconds, width, height, frame_rate, gop, kbit_s)
            partial.replace(path)
        paths.append(path)
    return paths


def cached_clips(
    users: int,
    *,
    seconds: float = 20,
    width: int = 640,
    height: int = 360,
    frame_rate: int = 30,
    kbit_s: int | None = None,
    keyframes: float = 1.0,
) -> list[Path]:
    """Clips of the first `users` participants, in a folder of the system's temporary one."""
    folder = Path(tempfile.gettempdir()) / f"oracle-clips-{os.getuid()}"
    return make_clips(
        folder,
        everyone()[:users],
        seconds=seconds,
        width=width,
        height=height,
        frame_rate=frame_rate,
        kbit_s=kbit_s,
        keyframes=keyframes,
    )


def pcm(participant: Participant, seconds: float, rate: int = RATE) -> NDArray[np.float32]:
    """The participant's sound, one channel: the steady tone and a beep from each full second."""
    t = np.arange(round(seconds * rate)) / rate
    since = t - np.round(t - BEEP_S / 2)  # from just before a beep to just before the next one
    edge = np.minimum(since, BEEP_S - since)
    envelope = np.clip(edge / _RAMP_S + 0.5, 0, 1)  # half-way up exactly on the second
    tone = TONE_LEVEL * np.sin(2 * np.pi * participant.tone * t)
    beep = BEEP_LEVEL * envelope * np.sin(2 * np.pi * participant.beep * t)
    return (tone + beep).astype(np.float32)


class Painter:
    """The participant's pictures, numbered from 0."""

    def __init__(self, participant: Participant, width: int, height: int, frame_rate: int) -> None:
        self.frame_rate = frame_rate
        self._flash_frames = max(2, round(FLASH_S * frame_rate))
        self._mark_size = max(4, height // 8 & ~1)
        self._colour = _plane(participant.yuv(), width, height)
        self._white = _plane((235, 128, 128), width, height)
        self._mark_luma = 16 if participant.yuv()[0] > 90 else 180

    def paint(self, n: int) -> av.VideoFrame:
        """Picture `n`, whose time is n / frame_rate."""
        flash = n % self.frame_rate < self._flash_frames
        y, u, v = (plane.copy() for plane in (self._white if flash else self._colour))
        size = self._mark_size
        height, width = y.shape
        left = int((width - size) * (n % self.frame_rate) / self.frame_rate)
        top = height - 2 * size
        y[top : top + size, left : left + size] = self._mark_luma
        frame = av.VideoFrame.from_ndarray(np.concatenate([p.ravel() for p in (y, u, v)]).reshape(-1, width), "yuv420p")
        frame.pts = n
        frame.time_base = Fraction(1, self.frame_rate)
        return frame


def _plane(yuv: tuple[int, int, int], width: int, height: int) -> tuple[NDArray[np.uint8], ...]:
    y, u, v = yuv
    half = (height // 2, width // 2)
    return np.full((height, width), y, np.uint8), np.full(half, u, np.uint8), np.full(half, v, np.uint8)


def _write(
    path: Path,
    participant: Participant,
    seconds: float,
    width: int,
    height: int,
    frame_rate: int,
    gop: int,
    kbit_s: int | None = None,
) -> None:
    rate = f"{kbit_s}k"
    size = (
        {"b": rate, "maxrate": rate, "bufsize": f"{2 * (kbit_s // frame_rate)}k", "nal-hrd": "cbr"}
        if kbit_s
        else {"crf": "20"}
    )
    with av.open(str(path), "w", format="matroska") as out:
        video = out.add_stream(
            "libx264",
            rate=frame_rate,
            options={
                "preset": "ultrafast",
                "profile": "baseline",
                "tune": "zerolatency",
                **size,
                "g": str(gop),
                "sc_threshold": "0",
                "threads": "1",
            },
        )
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        video.codec_context.colorspace = 1  # BT.709, as `Participant.yuv` has it
        audio = out.add_stream("libopus", rate=RATE, options={"b": "96000", "frame_duration": "20"})
        audio.codec_context.layout = "stereo"
        sound = np.repeat(pcm(participant, seconds), 2).reshape(1, -1)
        painter = Painter(participant, width, height, frame_rate)
        done = 0
        for n in range(round(seconds * frame_rate)):
            out.mux(video.encode(painter.paint(n)))
            until = round((n + 1) * RATE / frame_rate)
            out.mux(audio.encode(_audio_frame(sound[:, 2 * done : 2 * until], done)))
            done = until
        out.mux(video.encode(None))
        out.mux(audio.encode(None))


def _audio_frame(interleaved: NDArray[np.float32], sample: int) -> av.AudioFrame:
    frame = av.AudioFrame.from_ndarray(interleaved, format="flt", layout="stereo")
    frame.sample_rate, frame.pts, frame.time_base = RATE, sample, Fraction(1, RATE)
    return frame


def _version() -> str:
    """Changes with what the clips are made of, so that cached ones of an older kind are not taken."""
    folder = Path(__file__).parent
    sources = b"".join((folder / name).read_bytes() for name in ("clips.py", "participants.py"))
    return hashlib.sha256(sources).hexdigest()[:8]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.oracle.clips", description="Make participants' clips.")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--users", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--size", default="640x360")
    parser.add_argument("--rate", type=int, default=30)
    args = parser.parse_args()
    width, height = (int(part) for part in args.size.split("x"))
    for path in make_clips(
        args.out,
        everyone()[: args.users],
        seconds=args.seconds,
        width=width,
        height=height,
        frame_rate=args.rate,
    ):
        print(path)


if __name__ == "__main__":
    main()
