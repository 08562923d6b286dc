"""The least that compositing can cost: decoding the clips and encoding one recording, with nothing in between.

Run as a program, so that it is alone in its process: `python -m benchmarks.floor SECONDS CLIP...` prints the
CPU-seconds a second of both.
"""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import av

from benchmarks.clips import FRAME_RATE
from benchmarks.composite import HEIGHT, WIDTH
from recorders.config import EncoderConfig
from recorders.encoder import AudioEncoder, VideoEncoder
from recorders.native.compositor import Compositor
from recorders.native.layout import Seat, arrange
from recorders.native.planes import copy, planes_of
from recorders.spec import AudioSpec, VideoSpec

_WARM = 30
_KEPT = 120  # composites, encoded over and over


def measure(clips: Sequence[Path], seconds: float) -> tuple[float, float]:
    """CPU-seconds a second to decode and to encode pictures and sound, all in real time in this thread."""
    encoder = VideoEncoder(VideoSpec(WIDTH, HEIGHT, FRAME_RATE, 1000), EncoderConfig(quality="best"), 2.0)
    sound, samples = AudioEncoder(AudioSpec()), 0
    pictures = _composites(clips)
    decoders = [_decoded(clip) for clip in clips]
    decoding = encoding = 0.0
    count = _WARM + round(seconds * FRAME_RATE)
    begun = time.monotonic()
    for n in range(count):
        time.sleep(max(0.0, begun + n / FRAME_RATE - time.monotonic()))
        before = time.thread_time()
        heard = [next(decoder) for decoder in decoders]
        between = time.thread_time()
        encoder.encode(pictures[n % len(pictures)], n)
        for block in heard[0]:
            pcm = block.to_ndarray().T
            sound.encode(pcm, samples)
            samples += len(pcm)
        if n >= _WARM:
            decoding += between - before
            encoding += time.thread_time() - between
    return decoding / seconds, encoding / seconds


def _decoded(clip: Path) -> Iterator[list[av.AudioFrame]]:
    """Picture by picture, the sounds that come with it."""
    with av.open(str(clip)) as media:
        media.streams.video[0].codec_context.thread_count = 1
        heard: list[av.AudioFrame] = []
        for packet in media.demux(media.streams.video[0], media.streams.audio[0]):
            for frame in packet.decode():
                if isinstance(frame, av.AudioFrame):
                    heard.append(frame)
                else:
                    yield heard
                    heard = []


def _composites(clips: Sequence[Path]) -> list[av.VideoFrame]:
    """What a recording of the clips encodes."""
    users = [f"user{k + 1}" for k in range(len(clips))]
    compositor = Compositor(WIDTH, HEIGHT)
    compositor.arrange(arrange("flat", [Seat(user, "") for user in users], WIDTH, HEIGHT))
    composites = []
    for pictures in itertools.islice(zip(*map(_pictures, clips), strict=True), _KEPT):
        for user, picture in zip(users, pictures, strict=True):
            compositor.show(user, picture)
        compositor.compose()
        composites.append(empty := av.VideoFrame(WIDTH, HEIGHT, "yuv420p"))
        copy(planes_of(compositor.canvas), planes_of(empty))
    return composites


def _pictures(clip: Path) -> Iterator[av.VideoFrame]:
    with av.open(str(clip)) as media:
        yield from media.decode(video=0)


if __name__ == "__main__":
    print(*measure([Path(name) for name in sys.argv[2:]], float(sys.argv[1])))
