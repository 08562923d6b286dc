"""Programs that the benchmarks run, and the Debian packages they come in."""

from __future__ import annotations

import shutil
import subprocess

# Program -> package; a name with a colon is a GStreamer element.
PACKAGES = {
    "ffmpeg": "ffmpeg",
    "ffprobe": "ffmpeg",
    "gst-launch-1.0": "gstreamer1.0-tools",
    "gst:compositor": "gstreamer1.0-plugins-base",
    "gst:matroskademux": "gstreamer1.0-plugins-good",
    "gst:x264enc": "gstreamer1.0-plugins-ugly",
    "gst:h264parse": "gstreamer1.0-plugins-bad",
    "gst:avdec_h264": "gstreamer1.0-libav",
    "Xvfb": "xvfb",
    "pulseaudio": "pulseaudio",
    "chromium": "chromium",
}
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


class Missing(Exception):
    """A program is not installed; the message names its package."""


def require(*programs: str) -> None:
    """Raises `Missing` with all packages that have to be installed."""
    absent = sorted({PACKAGES[program] for program in programs if not _present(program)})
    if absent:
        raise Missing(f"Missing programs; run: apt-get install {' '.join(absent)}")


def _present(program: str) -> bool:
    if program == "chromium":
        return any(shutil.which(name) for name in BROWSERS)
    if program.startswith("gst:"):
        if shutil.which("gst-inspect-1.0") is None:
            return False
        return subprocess.run(["gst-inspect-1.0", program[4:]], capture_output=True, check=False).returncode == 0
    return shutil.which(program) is not None
