"""Clips with much motion and a picture number, which every way of recording gets: H.264 (or VP8) and Opus.

Those for channels are what the project's goals were set with, and what WebRTC's publishers send: 720p30 at 1.2 Mbit/s,
constrained baseline, a keyframe a second.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from concurrent.futures import ProcessPoolExecutor
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.filter import Graph
from av.video.frame import PictureType
from numpy.typing import NDArray

from benchmarks import barcode
from tests.oracle.clips import RATE

FRAME_RATE = 30
_BITRATE, _WEB_BITRATE = 1_200_000, 2_000_000  # of 720p


def folder() -> Path:
    """Where clips are kept from one run to the next."""
    path = Path(tempfile.gettempdir()) / f"benchmark-clips-{os.getuid()}"
    path.mkdir(exist_ok=True)
    return path


def moving(users: int, *, seconds: int, width: int = 1280, height: int = 720, web: bool = False) -> list[Path]:
    """One clip a user: FFmpeg's testsrc2 in a colour of its own, starting elsewhere in it, with a voice.

    Matroska with H.264, or WebM with VP8 for every browser when `web`.
    """
    source = hashlib.sha256(Path(__file__).read_bytes() + Path(barcode.__file__).read_bytes()).hexdigest()[:8]
    suffix = "webm" if web else "mkv"
    paths = [folder() / f"moving{k}-{width}x{height}-{seconds}s-{source}.{suffix}" for k in range(users)]
    absent = [(path, k, seconds, width, height, web) for k, path in enumerate(paths) if not path.exists()]
    if absent:
        with ProcessPoolExecutor(min(len(absent), os.cpu_count() or 1)) as pool:
            list(pool.map(_write, *zip(*absent, strict=True)))
    return paths


def _write(path: Path, k: int, seconds: int, width: int, height: int, web: bool) -> None:
    graph = Graph()
    source = graph.add("testsrc2", f"size={width}x{height}:rate={FRAME_RATE}")
    hue = graph.add("hue", f"h={40 * k}")
    pixels = graph.add("format", "yuv420p")
    sink = graph.add("buffersink")
    source.link_to(hue)
    hue.link_to(pixels)
    pixels.link_to(sink)
    graph.configure()
    for _ in range(45 * k):
        graph.pull()
    partial = path.with_name(f".{os.getpid()}-{path.name}")
    with av.open(str(partial), "w", format="webm" if web else "matroska") as out:
        options = (
            {"deadline": "realtime", "cpu-used": "8"}
            if web
            else {"preset": "veryfast", "tune": "zerolatency", "profile": "baseline", "sc_threshold": "0"}
        )
        video = out.add_stream("libvpx" if web else "libx264", rate=FRAME_RATE, options={**options, "threads": "1"})
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        video.bit_rate = (_WEB_BITRATE if web else _BITRATE) * width * height // (1280 * 720)
        video.codec_context.gop_size = 2 * FRAME_RATE if web else FRAME_RATE
        video.codec_context.colorspace = 1
        audio = out.add_stream("libopus", rate=RATE)
        audio.codec_context.layout = "stereo"
        sound = np.repeat(_voice(k, seconds), 2).reshape(1, -1)
        block = RATE // FRAME_RATE
        for n in range(seconds * FRAME_RATE):
            frame = graph.pull()
            assert isinstance(frame, av.VideoFrame)
            frame.make_writable()
            frame.pict_type = PictureType.NONE  # FFmpeg's sources say I, which would make a keyframe of each
            plane = frame.planes[0]
            luma = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]
            barcode.write(luma, n)
            frame.pts, frame.time_base = n, Fraction(1, FRAME_RATE)
            out.mux(video.encode(frame))
            piece = np.ascontiguousarray(sound[:, 2 * n * block : 2 * (n + 1) * block])
            heard = av.AudioFrame.from_ndarray(piece, format="flt", layout="stereo")
            heard.sample_rate, heard.pts, heard.time_base = RATE, n * block, Fraction(1, RATE)
            out.mux(audio.encode(heard))
        out.mux(video.encode(None))
        out.mux(audio.encode(None))
    partial.replace(path)


def _voice(k: int, seconds: int) -> NDArray[np.float32]:
    """Noise with a voice's slope, four syllables a second: everybody talks all the time."""
    noise = np.random.default_rng(k).normal(0, 0.2, RATE * seconds)
    shaped = np.convolve(noise, np.exp(-np.arange(64) / 8), "same")
    spoken = shaped * (0.5 + 0.5 * np.sin(np.arange(len(shaped)) * 2 * np.pi * 4 / RATE))
    scaled: NDArray[np.float32] = (0.5 * spoken / np.abs(spoken).max()).astype(np.float32)
    return scaled
