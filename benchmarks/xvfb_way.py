"""The usual way to record a page: Xvfb, a headful Chromium, a PulseAudio null sink, ffmpeg's x11grab.

`python -m benchmarks.xvfb_way URL FOLDER [lean]` writes recording.m3u8 until SIGINT, and last.png, the screen
without loss just before it ends. It is what LiveKit's egress does (a headful browser without a GPU in kiosk mode,
24-bit Xvfb, a null sink's monitor, x264 veryfast with its own defaults, keyframes at parts only), in one FFmpeg as
Jibri does it. `lean` is the least that veryfast costs: `tune=zerolatency`, as in Jibri's streams, and one thread.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from benchmarks.need import BROWSERS

_LIMIT_S = 15
_FLAGS = (
    "--no-sandbox",
    "--test-type",
    "--kiosk",
    "--no-first-run",
    "--no-default-browser-check",
    "--hide-scrollbars",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-features=Translate,MediaRouter",
    "--password-store=basic",
    "--autoplay-policy=no-user-gesture-required",
    "--window-position=0,0",
    "--window-size=1280,720",
)


class Way:
    """The processes, in the order in which they were started."""

    def __init__(self, url: str, folder: Path, lean: bool) -> None:
        self._url, self._folder, self._lean = url, folder, lean
        self._children: list[subprocess.Popen[bytes]] = []
        self._env = {**os.environ, "HOME": str(folder), "XDG_RUNTIME_DIR": str(folder)}

    def run(self, asked: threading.Event) -> None:
        """Record until asked to stop."""
        try:
            self._start_display()
            self._start_sound()
            self._start_browser()
            self._wait_for_the_page()
            recorder = self._start_recorder()
            asked.wait()
            self._screen("-update", "1", str(self._folder / "last.png"))
            recorder.send_signal(signal.SIGINT)
            recorder.wait(_LIMIT_S)
        finally:
            for child in reversed(self._children):
                child.terminate()
                try:
                    child.wait(5)
                except subprocess.TimeoutExpired:
                    child.kill()
                    child.wait()

    def _spawn(self, command: list[str], **more: int) -> subprocess.Popen[bytes]:
        child = subprocess.Popen(command, env=self._env, pass_fds=tuple(more.values()), stdin=subprocess.DEVNULL)
        self._children.append(child)
        return child

    def _start_display(self) -> None:
        reading, writing = os.pipe()
        self._spawn(["Xvfb", "-displayfd", str(writing), "-screen", "0", "1280x720x24", "-nolisten", "tcp"], fd=writing)
        os.close(writing)
        with os.fdopen(reading) as pipe:
            self._env["DISPLAY"] = f":{pipe.readline().strip()}"

    def _start_sound(self) -> None:
        socket = self._folder / "pulse.socket"
        self._env["PULSE_SERVER"] = f"unix:{socket}"
        self._spawn(
            [
                *("pulseaudio", "-n", "--daemonize=no", "--use-pid-file=no", "--exit-idle-time=-1"),
                *("-L", "module-null-sink sink_name=page rate=48000"),
                *("-L", f"module-native-protocol-unix socket={socket} auth-anonymous=1"),
            ]
        )
        limit = time.monotonic() + _LIMIT_S
        while not socket.exists():
            if time.monotonic() > limit:
                raise TimeoutError("pulseaudio did not open its socket")
            time.sleep(0.02)

    def _start_browser(self) -> None:
        browser = next(name for name in BROWSERS if shutil.which(name))
        self._spawn([browser, *_FLAGS, f"--user-data-dir={self._folder / 'profile'}", f"--app={self._url}"])

    def _start_recorder(self) -> subprocess.Popen[bytes]:
        return self._spawn(
            [
                *("ffmpeg", "-v", "warning", "-nostdin", "-thread_queue_size", "512", "-f", "x11grab"),
                *("-framerate", "30", "-video_size", "1280x720", "-draw_mouse", "0", "-i", self._env["DISPLAY"]),
                *("-thread_queue_size", "512", "-f", "pulse", "-i", "page.monitor"),
                *("-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-profile:v", "high"),
                *(("-tune", "zerolatency", "-threads", "1") if self._lean else ()),
                *("-b:v", "1000k", "-maxrate", "1500k", "-bufsize", "2000k"),
                *("-g", "60", "-sc_threshold", "0", "-r", "30"),
                *("-c:a", "aac", "-b:a", "128k", "-ar", "48000", "-ac", "2"),
                *("-f", "hls", "-hls_time", "2", "-hls_list_size", "0", "-hls_segment_type", "fmp4"),
                str(self._folder / "recording.m3u8"),
            ]
        )

    def _wait_for_the_page(self) -> None:
        """As ours begins with the page: bits saved on a blank screen would be spent on what is measured."""
        limit = time.monotonic() + _LIMIT_S
        while len(set(self._screen("-f", "rawvideo", "-pix_fmt", "gray", "-"))) == 1:
            if time.monotonic() > limit:
                raise TimeoutError("The page is not seen.")
            time.sleep(0.1)

    def _screen(self, *output: str) -> bytes:
        """What is on it now, as FFmpeg writes it out."""
        command = ["ffmpeg", "-v", "warning", "-nostdin", "-f", "x11grab", "-video_size", "1280x720"]
        command += ["-draw_mouse", "0", "-i", self._env["DISPLAY"], "-frames:v", "1", *output]
        return subprocess.run(command, env=self._env, timeout=_LIMIT_S, check=True, stdout=subprocess.PIPE).stdout


def main() -> None:
    asked = threading.Event()
    signal.signal(signal.SIGINT, lambda number, frame: asked.set())
    Way(sys.argv[1], Path(sys.argv[2]), sys.argv[3:] == ["lean"]).run(asked)


if __name__ == "__main__":
    main()
