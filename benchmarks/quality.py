"""How near recorded pictures are to the ideal ones: SSIM of the luma, by FFmpeg's ssim filter."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.barcode import Luma


def ssim(recorded: Sequence[Luma], ideal: Sequence[Luma]) -> float:
    """Mean SSIM over pairs of pictures of one size; 1 is equal. NaN without pairs."""
    if not recorded:
        return float("nan")
    height, width = recorded[0].shape
    with tempfile.TemporaryDirectory() as name:
        inputs: list[str] = []
        for number, pictures in enumerate((recorded, ideal)):
            path = Path(name) / f"{number}.gray"
            path.write_bytes(b"".join(picture.tobytes() for picture in pictures))
            inputs += ["-f", "rawvideo", "-pix_fmt", "gray", "-s", f"{width}x{height}", "-i", str(path)]
        said = subprocess.run(
            ["ffmpeg", "-v", "info", "-nostdin", *inputs, "-lavfi", "ssim", "-f", "null", "-"],
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        ).stderr
    found = re.search(r"SSIM .*All:([\d.]+)", said)
    if found is None:
        raise RuntimeError(f"ffmpeg's ssim filter says nothing: {said[-500:]}")
    return float(found[1])
