"""A log of each user against the composite of the same users: 720p30 published by WHIP, receiving included."""

from __future__ import annotations

import contextlib
import hashlib
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import av
from av.video.frame import PictureType

from benchmarks.clips import FRAME_RATE, moving
from benchmarks.table import Table
from benchmarks.tree import running
from benchmarks.whip_recorder import PREFIX, TOKEN
from recorders.log.finish import finish
from recorders.spec import Mode
from tests.e2e.publish import publishing

_SECONDS = 30
_WARM_S = 5.0
_LIMIT_S = 20.0
# Some publishers need this long to see that the recording has ended.
_PATIENCE_S = 0.5


@dataclass(frozen=True)
class Recorded:
    """CPU-seconds a second; of an individual recording also the pictures that were recorded, and how many of them are
    those of the publisher, bit for bit and in a row."""

    rate: float
    pictures: int = 0
    exact: int = 0


def run(quick: bool) -> list[Table]:
    """CPU of both modes, and whether pictures are bit-exact."""
    counts, runs, window = ((4,), 1, 5.0) if quick else ((1, 2, 4), 3, 10.0)
    table = Table(
        "Individual recordings: CPU-seconds, 720p30 by WHIP",
        ["users", "individual, a user-second", "composite, a user-second", "individual to composite", "bit-exact"],
        f"Median of {runs} runs of {window:.0f} s in the steady state, the modes taking turns; the recorder's whole "
        "process, receiving (ICE, SRTP, RTP) included, publishers not. Bit-exact: decoded pictures that are the "
        "publisher's own, in a row, of those recorded.",
    )
    for users in counts:
        clips = [_baseline(clip) for clip in moving(users, seconds=_SECONDS)]
        found: dict[Mode, list[Recorded]] = {"individual": [], "composite": []}
        for _ in range(runs):
            for mode, records in found.items():
                records.append(_record(mode, clips, window))
        each = {mode: statistics.median(one.rate for one in records) / users for mode, records in found.items()}
        pictures = sum(one.pictures for one in found["individual"])
        exact = sum(one.exact for one in found["individual"])
        table.add(
            str(users),
            f"{each['individual']:.4f}",
            f"{each['composite']:.4f}",
            f"{each['individual'] / each['composite']:.2f}x",
            f"{exact} of {pictures}",
        )
    return [table]


def _record(mode: Mode, clips: Sequence[Path], window: float) -> Recorded:
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        command = [sys.executable, "-m", "benchmarks.whip_recorder", str(folder / "log"), mode]
        tree = stack.enter_context(running(command, folder / "log.txt"))
        limit = time.monotonic() + _LIMIT_S
        while not tree.output().endswith("/\n"):
            tree.check()
            if time.monotonic() > limit:
                raise TimeoutError(f"The recorder is not there after {_LIMIT_S:.0f} s.")
            time.sleep(0.05)
        url = tree.output().split()[-1]
        for k, clip in enumerate(clips):
            stack.enter_context(publishing(f"{url}user{k + 1}", TOKEN, clip, _PATIENCE_S))
        time.sleep(_WARM_S)
        rate = tree.cpu_rate(window)
        tree.stop()
        if mode == "composite":
            return Recorded(rate)
        finish(folder / "log", PREFIX[mode], "hls")
        counted = [_compare(folder / "log" / f"recording_user{k + 1}.m3u8", clip) for k, clip in enumerate(clips)]
        return Recorded(rate, sum(pictures for pictures, _ in counted), sum(exact for _, exact in counted))


def _baseline(clip: Path) -> Path:
    """The clip as WebRTC's publishers send it: H.264 baseline, a keyframe every 2 s, 2 Mbit/s."""
    path = clip.with_stem(f"{clip.stem}-baseline")
    if path.exists():
        return path
    partial = path.with_name(f".{os.getpid()}-{path.name}")
    options = {"preset": "veryfast", "profile": "baseline", "tune": "zerolatency", "sc_threshold": "0", "threads": "2"}
    with av.open(str(clip)) as source, av.open(str(partial), "w", format="matroska") as out:
        pictures, sound = source.streams.video[0], source.streams.audio[0]
        video = out.add_stream("libx264", rate=FRAME_RATE, options=options)
        video.width, video.height, video.pix_fmt, video.bit_rate = pictures.width, pictures.height, "yuv420p", 2_000_000
        video.codec_context.gop_size = 2 * FRAME_RATE
        audio = out.add_stream_from_template(sound)
        for packet in source.demux(pictures, sound):
            if packet.stream is sound and packet.dts is not None:
                packet.stream = audio
                out.mux(packet)
            for picture in packet.decode() if packet.stream is pictures else ():
                assert isinstance(picture, av.VideoFrame)
                picture.pict_type = PictureType.NONE
                out.mux(video.encode(picture))
        out.mux(video.encode(None))
    partial.replace(path)
    return path


def _compare(recorded: Path, clip: Path) -> tuple[int, int]:
    """How many pictures were recorded, and how many of them follow on from each other as in the clip."""
    found, published = _pictures(recorded), _pictures(clip)
    first = published.index(found[0]) if found and found[0] in published else 0
    same = sum(a == b for a, b in zip(found, published[first:], strict=False))
    return len(found), same


def _pictures(path: Path) -> list[str]:
    with av.open(str(path)) as source:
        return [hashlib.sha256(frame.to_ndarray().tobytes()).hexdigest() for frame in source.decode(video=0)]
