"""The command lines of the ways to composite clips in real time: ours, ffmpeg, GStreamer. All encode alike but for
one of ours, which is there to be compared at like quality.

x264 veryfast, zerolatency, one thread, 1000 kbit/s, a keyframe every 2 s, no B-frames; AAC 128 kbit/s.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.clips import FRAME_RATE
from benchmarks.composite import HEIGHT, WIDTH, places
from recorders.config import Quality


@dataclass(frozen=True)
class Way:
    """A way to record. `command` writes into a folder; `output` is the file in it to look at."""

    name: str
    command: Callable[[Sequence[Path], Path], list[str]]
    output: str


def ours(clips: Sequence[Path], folder: Path, quality: Quality = "best") -> list[str]:
    users = [f"user{k + 1}" for k in range(len(clips))]
    spec = {
        "task_id": "bench",
        "folder": str(folder),
        "subject": {
            "app_id": "bench",
            "channel": "bench",
            "worker_uid": 1,
            "access_token": "benchmark-token",
            "users": users,
        },
        "video": {"width": WIDTH, "height": HEIGHT, "frame_rate": FRAME_RATE, "bitrate": 1000},
        "config": {
            "encoder": {"quality": quality},
            "sources": {
                "rules": [{"source": "media"}],
                "media": {"urls": {"bench": dict(zip(users, map(str, clips), strict=True))}},
            },
        },
    }
    path = folder / "spec.json"
    path.write_text(json.dumps(spec))
    return [sys.executable, "-m", "recorders", str(path)]


def ours_balanced(clips: Sequence[Path], folder: Path) -> list[str]:
    """As it is by default."""
    return ours(clips, folder, "balanced")


def ffmpeg(clips: Sequence[Path], folder: Path) -> list[str]:
    inputs = [argument for clip in clips for argument in ("-threads", "1", "-re", "-i", str(clip))]
    return [
        *("ffmpeg", "-v", "warning", "-nostdin", *inputs),
        *("-filter_complex", _graph(len(clips)), "-map", "[v]", "-map", "[a]"),
        *("-c:v", "libx264", "-preset", "veryfast", "-tune", "zerolatency", "-profile:v", "high", "-threads", "1"),
        *("-b:v", "1000k", "-maxrate", "1500k", "-bufsize", "2000k", "-g", str(2 * FRAME_RATE), "-bf", "0"),
        *("-sc_threshold", "0", "-r", str(FRAME_RATE), "-c:a", "aac", "-b:a", "128k", "-ar", "48000", "-ac", "2"),
        *("-f", "hls", "-hls_time", "2", "-hls_list_size", "0", "-hls_segment_type", "fmp4"),
        str(folder / "recording.m3u8"),
    ]


def _graph(users: int) -> str:
    """Bilinear as in ours: the cheapest that looks right."""
    where = places(users)
    scaled = [f"[{k}:v]scale={p.width}:{p.height}:flags=bilinear,setsar=1[v{k}]" for k, p in enumerate(where)]
    if users == 1:
        return f"{scaled[0].replace('[v0]', '[v]')};[0:a]anull[a]"
    layout = "|".join(f"{p.x}_{p.y}" for p in where)
    video = "".join(f"[v{k}]" for k in range(users))
    # xstack makes its picture as large as its inputs reach: the last rows of the canvas are added.
    stack = f"{video}xstack=inputs={users}:layout={layout}:fill=black,pad={WIDTH}:{HEIGHT}:0:0[v]"
    audio = "".join(f"[{k}:a]" for k in range(users)) + f"amix=inputs={users}:normalize=0[a]"
    return ";".join([*scaled, stack, audio])


def gstreamer(clips: Sequence[Path], folder: Path) -> list[str]:
    where = places(len(clips))
    pads = [
        f"c.sink_{k}::{name}={value}"
        for k, p in enumerate(where)
        for name, value in (("xpos", p.x), ("ypos", p.y), ("width", p.width), ("height", p.height))
    ]
    mixer = [
        *("compositor", "name=c", "background=black", *(pad.removeprefix("c.") for pad in pads), "!"),
        *(f"video/x-raw,format=I420,width={WIDTH},height={HEIGHT},framerate={FRAME_RATE}/1", "!"),
        *("identity", "sync=true", "!"),
        *("x264enc", "speed-preset=veryfast", "tune=zerolatency", "threads=1", "bitrate=1000", "bframes=0"),
        *(f"key-int-max={2 * FRAME_RATE}", "vbv-buf-capacity=2000", "option-string=scenecut=0", "!"),
        *("video/x-h264,profile=high", "!", "h264parse", "!", "queue", "!", "m.video_0"),
        *("audiomixer", "name=a", "!", "audio/x-raw,rate=48000,channels=2", "!", "audioconvert", "!"),
        *("avenc_aac", "bitrate=128000", "!", "aacparse", "!", "queue", "!", "m.audio_0"),
        *("mp4mux", "name=m", "fragment-duration=2000", "!", "filesink", f"location={folder / 'recording.mp4'}"),
    ]
    sources = [
        argument
        for k, clip in enumerate(clips)
        for argument in (
            *("filesrc", f"location={clip}", "!", "matroskademux", f"name=d{k}"),
            *(f"d{k}.video_0", "!", "queue", "!", "h264parse", "!", "avdec_h264", "max-threads=1", "!"),
            *("queue", "max-size-buffers=3", "!", f"c.sink_{k}"),
            *(
                f"d{k}.audio_0",
                "!",
                "queue",
                "!",
                "opusdec",
                "!",
                "audioconvert",
                "!",
                "audioresample",
                "!",
                f"a.sink_{k}",
            ),
        )
    ]
    return ["gst-launch-1.0", "-e", "-q", *mixer, *sources]


WAYS = (
    Way("ours", ours, "recording.m3u8"),
    Way("ours, balanced", ours_balanced, "recording.m3u8"),
    Way("ffmpeg", ffmpeg, "recording.m3u8"),
    Way("GStreamer", gstreamer, "recording.mp4"),
)
