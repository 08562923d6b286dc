"""Media that an SDK has decoded, copied into frames of our own: its buffers may be gone any moment."""

from __future__ import annotations

from collections.abc import Sequence

import av
import numpy as np

Bytes = bytes | bytearray | memoryview


def upright(width: int, height: int, planes: Sequence[tuple[Bytes, int]], clockwise: int = 0) -> av.VideoFrame:
    """A picture from the Y, U and V planes of I420, each with its stride in bytes.

    `clockwise` degrees (a multiple of 90) turn it upright. An odd last row or column is left out. Raises ValueError for
    planes that are shorter than the picture, and for a turn that is none.
    """
    width, height = width & ~1, height & ~1
    if clockwise % 90 or not width or not height:
        raise ValueError(f"a picture of {width} x {height}, turned by {clockwise} degrees")
    turns = -(clockwise // 90) % 4  # numpy's are the other way round
    size = (height, width) if turns % 2 else (width, height)
    frame = av.VideoFrame(*size, "yuv420p")
    for n, ((data, stride), target) in enumerate(zip(planes, frame.planes, strict=True)):
        columns, rows = (width, height) if n == 0 else (width // 2, height // 2)
        source = np.frombuffer(data, np.uint8, rows * stride).reshape(rows, stride)[:, :columns]
        into = np.frombuffer(memoryview(target), np.uint8).reshape(-1, target.line_size)
        into[: target.height, : target.width] = np.rot90(source, turns)
    return frame


def sound(data: Bytes, rate: int, channels: int) -> av.AudioFrame:
    """Interleaved 16-bit PCM as a frame. Raises ValueError when it is not whole samples of 1 or 2 channels."""
    pcm = np.frombuffer(data, np.int16)
    if channels not in (1, 2) or not len(pcm) or len(pcm) % channels or rate <= 0:
        raise ValueError(f"{len(pcm)} samples of {channels} channels at {rate} Hz")
    frame = av.AudioFrame.from_ndarray(pcm.reshape(1, -1), "s16", "mono" if channels == 1 else "stereo")
    frame.sample_rate = rate
    return frame
