"""Clips with much motion and a picture number, which every way of recording gets: H.264 (or VP8) and Opus.

Most are drawn: FFmpeg's testsrc2, which has edges and next to nothing else. `people` are as cameras see them.

Those for channels are what the project's goals were set with, and what WebRTC's publishers send: 720p30 at 1.2 Mbit/s,
constrained baseline, a keyframe a second.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.filter import Graph
from av.video.frame import PictureType
from numpy.typing import NDArray

from benchmarks import barcode
from benchmarks import people as people_seen
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
    return _kept("moving", _drawn, users, seconds, width, height, web)


def people(users: int, *, seconds: int) -> list[Path]:
    """One clip a user of 1280x720, Matroska with H.264: one of `people`, with a voice."""
    return _kept("people", _seen, users, seconds, 1280, 720, False)


_Pictures = Callable[[int, int, int, int], Iterator[av.VideoFrame]]  # of a user, so many, of this width and height


def _kept(name: str, pictures: _Pictures, users: int, seconds: int, width: int, height: int, web: bool) -> list[Path]:
    """Made once."""
    sources = (__file__, barcode.__file__, people_seen.__file__)
    source = hashlib.sha256(b"".join(Path(source).read_bytes() for source in sources)).hexdigest()[:8]
    suffix = "webm" if web else "mkv"
    paths = [folder() / f"{name}{k}-{width}x{height}-{seconds}s-{source}.{suffix}" for k in range(users)]
    absent = [(path, pictures, k, seconds, width, height, web) for k, path in enumerate(paths) if not path.exists()]
    if absent:
        with ProcessPoolExecutor(min(len(absent), os.cpu_count() or 1)) as pool:
            list(pool.map(_write, *zip(*absent, strict=True)))
    return paths


def _drawn(k: int, frames: int, width: int, height: int) -> Iterator[av.VideoFrame]:
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
    for _ in range(frames):
        frame = graph.pull()
        assert isinstance(frame, av.VideoFrame)
        frame.make_writable()
        frame.pict_type = PictureType.NONE  # FFmpeg's sources say I, which would make a keyframe of each
        yield frame


def _seen(k: int, frames: int, width: int, height: int) -> Iterator[av.VideoFrame]:
    grey = np.full((height // 2, width), 128, np.uint8)
    for luma in people_seen.one(k, frames, width, height):
        yield av.VideoFrame.from_ndarray(np.concatenate((luma, grey)), format="yuv420p")


def _write(path: Path, pictures: _Pictures, k: int, seconds: int, width: int, height: int, web: bool) -> None:
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
        for n, frame in enumerate(pictures(k, seconds * FRAME_RATE, width, height)):
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
