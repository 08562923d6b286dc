"""`make demo`: starts the service, records a channel and a page, and plays what came out.

Two publishers push clips into the channel over real WebRTC (WHIP); the page flashes and beeps. Both are
recorded for 10 s at the settings of the API's documented example.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import httpx
from playwright.sync_api import sync_playwright

from recorders.config import WebConfig
from recorders.web.browser import find_chromium
from tests.e2e.publish import publishing
from tests.oracle.clips import make_clips
from tests.oracle.page import serve_page
from tests.oracle.participants import everyone

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("EGRESS_DATA_DIR", ROOT / "egress-data")).resolve()
BASE = "http://127.0.0.1:8091"
API = f"{BASE}/egress/v1/demo"
SECONDS = 10
FIRST_PART_S = 2
START_LIMIT_S = 60.0
STATE_LIMIT_S = 45.0

# The page of the demo is on loopback, where pages may not go by default.
OWN_PAGE = {"EGRESS_WEB__ALLOWED_NETWORKS": '["127.0.0.1/32"]'}

VIDEO = {"width": 1280, "height": 720, "frameRate": 30, "bitrate": 1000}
AUDIO = {"sampleRate": 48000, "channels": 2, "bitrate": 128}


def say(text: str) -> None:
    print(text, flush=True)


class Failed(Exception):
    """The demo cannot go on; one sentence."""


@contextmanager
def service() -> Iterator[None]:
    """The service as `make run` starts it; its log goes to a file."""
    try:
        httpx.get(f"{BASE}/healthz", timeout=2)
    except httpx.HTTPError:
        pass
    else:
        say(f"Using the service that already runs at {BASE}")
        yield
        return
    DATA.mkdir(parents=True, exist_ok=True)
    log = DATA / "demo-service.log"
    say(f"Starting the service at {BASE} (log: {shown(log)})")
    with log.open("w") as out:
        child = subprocess.Popen(
            [sys.executable, "-m", "egress_ray"],
            cwd=ROOT,
            env={**os.environ, "EGRESS_DATA_DIR": str(DATA), **OWN_PAGE},
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        begun = time.monotonic()
        while not is_ready():
            if child.poll() is not None:
                raise Failed(f"The service ended with {child.returncode}; see {log}.")
            if time.monotonic() - begun > START_LIMIT_S:
                raise Failed(f"The service was not ready within {START_LIMIT_S:.0f} s; see {log}.")
            time.sleep(0.2)
        say(f"  ready after {time.monotonic() - begun:.1f} s")
        yield
    finally:
        say("Stopping the service")
        child.send_signal(signal.SIGINT)
        try:
            child.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)


def is_ready() -> bool:
    try:
        return httpx.get(f"{BASE}/readyz", timeout=2).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def shown(path: Path) -> str:
    """A path as short as the reader can use it."""
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)


def post(path: str, body: dict[str, Any]) -> dict[str, Any]:
    reply = httpx.post(f"{API}{path}", json={"request_id": secrets.token_hex(8), **body}, timeout=30)
    answer: dict[str, Any] = reply.json()
    if reply.is_error:
        raise Failed(f"{path} answered HTTP {reply.status_code}: {answer.get('error')}")
    return answer


def status(task: str) -> dict[str, Any]:
    return post(f"/tasks/{task}/status", {})


def wait_for(task: str, *states: str) -> dict[str, Any]:
    limit = time.monotonic() + STATE_LIMIT_S
    while time.monotonic() < limit:
        now = status(task)
        if now["state"] in states:
            return now
        if now["state"] in ("FAILED", "TIMEOUT"):
            raise Failed(f"Task {task} is {now['state']}: {now['error'] or now['message']}")
        time.sleep(0.1)
    raise Failed(f"Task {task} did not become {' or '.join(states)} within {STATE_LIMIT_S:.0f} s.")


def record(task: str) -> dict[str, Any]:
    """Wait while it records, showing how far it is; then stop it."""
    limit = time.monotonic() + STATE_LIMIT_S
    while not status(task)["payload"]["files"]:  # there with the first part, 2 s of media
        if time.monotonic() > limit:
            raise Failed(f"Task {task} recorded nothing within {STATE_LIMIT_S:.0f} s.")
        time.sleep(0.1)
    for second in range(FIRST_PART_S, SECONDS):
        time.sleep(1)
        end = "\r" if sys.stdout.isatty() and second + 1 < SECONDS else "\n"
        if end == "\r" or (second + 1) % 5 == 0:
            now = status(task)
            files = ", ".join(now["payload"]["files"]) or "none yet"
            print(f"  {now['state']} {second + 1:2d} s of {SECONDS} s, files: {files}", end=end, flush=True)
    post(f"/tasks/{task}/stop", {})
    return wait_for(task, "STOPPED")


def record_channel() -> str:
    """Two publishers push their clips into a channel while it is recorded as MP4."""
    channel, token = "meeting", secrets.token_urlsafe(24)
    say(f"Recording the channel '{channel}' (two publishers by WHIP)")
    clips = make_clips(DATA / "demo-clips", everyone()[:2], seconds=SECONDS + 8)
    task = post(
        "/tasks",
        {
            "cmd": "record",
            "payload": {
                "layout": "flat",
                "channel": channel,
                "access_token": token,
                "workerUid": 42,
                "users": ["user1", "user2"],
                "filename_pattern": "channel",
                "format": "mp4",
                "video": VIDEO,
                "audio": AUDIO,
            },
        },
    )["task_id"]
    wait_for(task, "PROCESSING")
    with (
        publishing(f"{API}/channels/{channel}/whip/user1", token, clips[0], patience_s=0.2),
        publishing(f"{API}/channels/{channel}/whip/user2", token, clips[1], patience_s=0.2),
    ):
        record(task)
    return str(task)


def record_page() -> str:
    """A page with sound is recorded as HLS."""
    with serve_page() as url:
        say(f"Recording the page {url}")
        task = post(
            "/tasks",
            {
                "cmd": "record",
                "payload": {
                    "layout": "freestyle",
                    "url": url,
                    "filename_pattern": "page",
                    "webGL": False,
                    "format": "hls",
                    "video": VIDEO,
                    "audio": AUDIO,
                },
            },
        )["task_id"]
        wait_for(task, "PROCESSING")
        record(task)
    return str(task)


def probe(path: Path) -> str:
    """What is in a file, every picture and sound of it decoded."""
    pictures = samples = 0
    with av.open(str(path)) as media:
        video, audio = media.streams.video[0], media.streams.audio[0]
        about = f"{video.codec_context.name} {video.width}x{video.height}, {audio.codec_context.name} {audio.rate} Hz"
        for frame in media.decode(video, audio):
            if isinstance(frame, av.VideoFrame):
                pictures += 1
            elif isinstance(frame, av.AudioFrame):
                samples += frame.samples
        return f"{about}; {pictures} pictures, {samples / (audio.rate or 1):.2f} s of sound decoded"


def show(task: str) -> None:
    """The files of a task, their probe, and a player that plays them."""
    files = status(task)["payload"]["files"]
    folder = DATA / "recordings" / "demo" / task
    for name in files:
        path = folder / name
        what = probe(path) if path.suffix in (".m3u8", ".mp4") else f"{path.stat().st_size} bytes"
        say(f"  {shown(path)}: {what}")
    player = f"{BASE}/play/demo/{task}"
    picture = folder / "player.png"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=find_chromium(WebConfig(), playwright.chromium.executable_path), args=["--no-sandbox"]
        )
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto(player)
        page.evaluate("document.querySelector('video').currentTime = 4")
        page.wait_for_function("document.querySelector('video').currentTime > 5.3", timeout=20_000)
        page.screenshot(path=picture)
        browser.close()
    say(f"  player: {player} (played in a browser, its picture: {shown(picture)})")


def main() -> int:
    try:
        with service():
            for task in (record_channel(), record_page()):
                say(f"Recorded task {task}:")
                show(task)
    except Failed as failure:
        say(str(failure))
        return 1
    say("Done. `make run` starts the service again; the players' addresses then work.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
