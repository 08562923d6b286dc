"""Logs made of numbered pictures and clicks, and what is in a file made of them.

Picture n carries n as a bar code and flashes in the middle of each second, at which moment the sound clicks:
whatever is lost, doubled, shifted or out of sync shows.
"""

from __future__ import annotations

import io
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np

from recorders.config import EncoderConfig, Quality
from recorders.encoder import AudioEncoder, VideoEncoder
from recorders.formats import codecs_of
from recorders.log.cmaf import CmafWriter
from recorders.log.files import RUNS, LogName, log_of
from recorders.log.segment_log import SegmentLog
from recorders.spec import AudioSpec, Format, VideoSpec

EPOCH = 1_700_000_000.25
PART_SECONDS = 2.0
RATE = 30
SAMPLE_RATE = 48000
WIDTH, HEIGHT, BITS = 320, 180, 10
_BLOCK = WIDTH // BITS


def picture(n: int) -> av.VideoFrame:
    """Bar code above, flash below."""
    planes = np.full((HEIGHT * 3 // 2, WIDTH), 128, np.uint8)
    planes[: HEIGHT // 2] = np.repeat([235 if n >> bit & 1 else 16 for bit in range(BITS)], _BLOCK)
    planes[HEIGHT // 2 : HEIGHT] = 235 if n % RATE == RATE // 2 else 60
    planes[HEIGHT // 2 : HEIGHT, (n * 4) % 300 : (n * 4) % 300 + 20] = 120
    return av.VideoFrame.from_ndarray(planes, format="yuv420p")


def clicks(start: int, end: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Stereo samples [start, end): 20 ms of 2 kHz from the middle of each second on."""
    t = np.arange(start, end) + SAMPLE_RATE // 2
    sound = 0.6 * np.sin(2 * np.pi * 2000 * t / SAMPLE_RATE) * (t % SAMPLE_RATE < SAMPLE_RATE // 50)
    return np.stack((sound, sound), axis=1).astype(np.float32)


def write(
    folder: Path,
    format: Format = "hls",
    *,
    attempt: int = 1,
    first: int = 0,
    pictures: int = 135,
    left_out: Collection[int] = (),
    quality: Quality = "balanced",
    tracks: Literal["as the format", "pictures"] = "as the format",
    dies: bool = False,
    user: str = "",
    slate: tuple[int, int] | None = None,
) -> SegmentLog:
    """An attempt of pictures `first` to `first + pictures`, with the sound that belongs to them.

    One that `dies` closes nothing. That of a `user` goes into a log of its own. The pictures of the `slate` are told to
    be of one.
    """
    codecs = codecs_of(format)
    name = log_of("rec_{user}", user) if user else LogName("rec")
    log = SegmentLog(folder, name.prefix, attempt * RUNS if user else attempt, index=name.index)
    video = (
        VideoEncoder(VideoSpec(WIDTH, HEIGHT, RATE, 300), EncoderConfig(quality=quality), PART_SECONDS, codecs.video)
        if codecs.video
        else None
    )
    audio = AudioEncoder(AudioSpec(SAMPLE_RATE, 2, 96), codecs.audio) if tracks != "pictures" else None
    writer = CmafWriter(
        log,
        video=video.track if video else None,
        audio=audio.track if audio else None,
        part_seconds=PART_SECONDS,
        epoch=EPOCH,
    )
    step = SAMPLE_RATE // RATE
    for n in range(first, first + pictures):
        if slate and n == slate[0]:
            writer.slate(slate[0] / RATE, slate[1] / RATE, "no browser")
        if video and n not in left_out:
            for shown in video.encode(picture(n), n):
                writer.video(*shown)
        if audio:
            for heard in audio.encode(clicks(n * step, (n + 1) * step), n * step):
                writer.audio(*heard)
    if dies:
        return log
    for heard in audio.flush() if audio else ():
        writer.audio(*heard)
    for shown in video.flush() if video else ():
        writer.video(*shown)
    writer.close()
    return log


@dataclass(frozen=True)
class Content:
    """What a file shows and plays: picture numbers with their times, flashes and clicks, in seconds."""

    numbers: list[int]
    times: list[float]
    flashes: list[float]
    clicks: list[float]
    sound_packets: list[tuple[float, float]]  # start, end
    keyframes: list[int]


def content(file: Path | bytes) -> Content:
    """Decode everything; raises when anything cannot be decoded."""
    numbers: list[int] = []
    times: list[float] = []
    flashes: list[float] = []
    heard: list[tuple[float, np.ndarray[Any, Any]]] = []
    packets: list[tuple[float, float]] = []
    keyframes: list[int] = []
    with av.open(io.BytesIO(file) if isinstance(file, bytes) else str(file), "r") as source:
        for packet in source.demux():
            if packet.pts is not None and packet.stream.type == "audio":
                start = float(packet.pts * packet.time_base)
                packets.append((start, start + float((packet.duration or 0) * packet.time_base)))
            for frame in packet.decode():
                if isinstance(frame, av.VideoFrame):
                    assert not frame.is_corrupt
                    luma = frame.to_ndarray(format="gray")
                    bars = luma[10 : HEIGHT // 2 - 10, _BLOCK // 2 :: _BLOCK].mean(axis=0) > 128
                    numbers.append(sum(1 << bit for bit, white in enumerate(bars) if white))
                    times.append(frame.time or 0.0)
                    if frame.key_frame:
                        keyframes.append(numbers[-1])
                    if luma[HEIGHT // 2 + 20 : HEIGHT - 20].mean() > 200:
                        flashes.append(frame.time or 0.0)
                elif isinstance(frame, av.AudioFrame):
                    heard.append((frame.time or 0.0, np.abs(frame.to_ndarray()[0]).astype(np.float64)))
    return Content(numbers, times, flashes, _onsets(heard), packets, keyframes)


def _onsets(blocks: list[tuple[float, np.ndarray[Any, Any]]]) -> list[float]:
    """Where it gets loud after at least half a second of quiet."""
    found: list[float] = []
    for start, block in blocks:
        for k in np.flatnonzero(block > 0.2):
            at = start + int(k) / SAMPLE_RATE
            if not found or at - found[-1] > 0.5:
                found.append(at)
    return found
