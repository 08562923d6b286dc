"""Ways to encode a page's pictures at the same bitrates, not in real time: CPU and SSIM of each.

The browser's own encoders run in its renderer, on the pictures of the pages that are recorded (`pages/`), without loss;
what they make is decoded, and encoded again by libx264 where the log would not take it. The pictures as they are go to
libx264 with the parameters of each `encoder.quality`.
"""

from __future__ import annotations

import base64
import functools
import http.server
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
from playwright.sync_api import Browser, CDPSession, Page, sync_playwright

from benchmarks import page_quality, pages, people
from benchmarks.barcode import Luma
from benchmarks.need import require
from benchmarks.quality import ssim
from benchmarks.table import Table
from recorders.config import EncoderConfig, Quality, WebConfig
from recorders.encoder import VideoEncoder
from recorders.spec import VideoSpec
from recorders.web.browser import find_chromium
from recorders.web.codecs import configurations

_WIDTH, _HEIGHT, _RATE = 1280, 720, 30
# The first second is left out: encoders begin differently.
_FROM, _EVERY = 30, 6
_TRANSCODED = 3  # times the bitrate, for what is encoded again
_QUALITIES: tuple[Quality, ...] = ("economy", "balanced", "best")
# Its encoder takes them as fast as it can; without a configuration, what making the pictures costs.
_ENCODE = """async ({url, config, frames, size, rate}) => {
  globalThis.kept ??= {};
  const source = kept[url] ??= await (await fetch(url)).arrayBuffer();
  const parts = [];
  let description = "";
  const base64 = (bytes) => new Promise((resolve) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.split(",")[1] ?? "");
    reader.readAsDataURL(new Blob([bytes].flat()));
  });
  const output = (chunk, meta) => {
    const part = new Uint8Array(chunk.byteLength);
    chunk.copyTo(part);
    parts.push(part);
    description = meta?.decoderConfig?.description ?? description;
  };
  const encoder = config && new VideoEncoder({ output, error: (error) => { throw error; } });
  encoder?.configure(config);
  for (let n = 0; n < frames; n++) {
    const frame = new VideoFrame(new Uint8Array(source, n * size, size), {
      format: "I420", codedWidth: 1280, codedHeight: 720, timestamp: Math.round(n * 1e6 / rate),
    });
    encoder?.encode(frame, { keyFrame: n % (2 * rate) === 0 });
    frame.close();
    while (encoder?.encodeQueueSize > 3) await new Promise((done) => (encoder.ondequeue = done));
  }
  await encoder?.flush();
  return { sizes: parts.map((part) => part.length), data: await base64(parts), description: await base64(description) };
}"""


@dataclass(frozen=True)
class Encoded:
    """What a way made of the pictures: CPU-seconds a second of them, kbit/s, SSIM."""

    cpu: float
    kbps: float
    ssim: float


def run(quick: bool) -> list[Table]:
    """All ways on each page at each bitrate."""
    require("ffmpeg", "chromium")
    frames, bitrates = (60, (1000,)) if quick else (120, (500, 1000, 2500))
    columns = [
        "page",
        "kbit/s",
        *(f"{quality}" for quality in _QUALITIES),
        "browser H.264",
        "VP8 -> x264",
        "VP9 -> x264",
    ]
    table = Table(
        "Web: ways to encode a page's 1280x720 at 30/s: CPU-seconds a second, SSIM, kbit/s if over by a tenth",
        columns,
        f"{frames} pictures, as fast as they can be encoded; one thread each. The first three: pictures as they are to "
        "libx264 by `encoder.quality` (bringing them there costs about 0.02 more); the others: the browser's encoders "
        f"(WebCodecs, realtime, variable bitrate), VP8 and VP9 at {_TRANSCODED} times the bitrate, decoded and encoded "
        "by libx264 veryfast (`best`). Four people: drawn from noise, with motion by parts of a pixel.",
    )
    with (
        tempfile.TemporaryDirectory() as name,
        _pictures(Path(name), frames) as (base, sources),
        sync_playwright() as play,
    ):
        chromium = play.chromium
        browser = chromium.launch(
            executable_path=find_chromium(WebConfig(), chromium.executable_path), args=["--no-sandbox", "--disable-gpu"]
        )
        for title, source in sources.items():
            ideal = _read(source, frames)
            with _Encoders(browser, base, source.name, frames) as encoders:
                for kbps in bitrates:
                    ways: list[Callable[[], Encoded]] = [
                        *(functools.partial(_x264, ideal, kbps, quality) for quality in _QUALITIES),
                        functools.partial(encoders.h264, ideal, kbps),
                        functools.partial(encoders.transcoded, ideal, kbps, "vp8"),
                        functools.partial(encoders.transcoded, ideal, kbps, "vp9"),
                    ]
                    table.add(title, str(kbps), *(_cell(way(), kbps) for way in ways))
        browser.close()
    return [table]


def _cell(encoded: Encoded, kbps: int) -> str:
    over = f", {encoded.kbps:.0f} kbit/s" if encoded.kbps > 1.1 * kbps else ""
    return f"{encoded.cpu:.3f}, {encoded.ssim:.4f}{over}"


@contextmanager
def _pictures(folder: Path, frames: int) -> Iterator[tuple[str, dict[str, Path]]]:
    """Each page's pictures as I420, and a server for them."""
    sources = {
        "static text": folder / "static.yuv",
        "four videos": folder / "videos.yuv",
        "60/s canvas": folder / "canvas.yuv",
        "four people": folder / "people.yuv",
    }
    with pages.serve() as base:
        static, *canvas = page_quality.screenshots(
            [f"{base}/static.html", *(f"{base}/canvas.html?frame={n}" for n in range(frames))]
        )
    sources["static text"].write_bytes(_i420(static) * frames)
    sources["60/s canvas"].write_bytes(b"".join(map(_i420, canvas)))
    sources["four videos"].write_bytes(b"".join(map(_i420, page_quality.videos_side_by_side(frames))))
    grey = bytes([128]) * (_WIDTH * _HEIGHT // 2)
    sources["four people"].write_bytes(b"".join(luma.tobytes() + grey for luma in people.four(frames)))

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", sources
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def _i420(rgb: page_quality.RGB) -> bytes:
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
    return frame.reformat(format="yuv420p").to_ndarray().tobytes()


def _read(source: Path, frames: int) -> list[av.VideoFrame]:
    raw = np.fromfile(source, np.uint8).reshape(frames, _HEIGHT * 3 // 2, _WIDTH)
    return [av.VideoFrame.from_ndarray(picture, format="yuv420p") for picture in raw]


def _x264(ideal: Sequence[av.VideoFrame], kbps: int, quality: Quality) -> Encoded:
    return _scored(ideal, *_encoded(ideal, kbps, quality))


def _encoded(pictures: Sequence[av.VideoFrame], kbps: int, quality: Quality) -> tuple[list[bytes], float, bytes]:
    """Packets, CPU-seconds, and the decoder's configuration."""
    encoder = VideoEncoder(VideoSpec(_WIDTH, _HEIGHT, _RATE, kbps), EncoderConfig(quality=quality), 2.0)
    begun = time.process_time()
    packets = [data for n, picture in enumerate(pictures) for data, _, _ in encoder.encode(picture, n)]
    packets += [data for data, _, _ in encoder.flush()]
    return packets, time.process_time() - begun, encoder.track.extradata


def _scored(ideal: Sequence[av.VideoFrame], packets: Sequence[bytes], cpu: float, extradata: bytes = b"") -> Encoded:
    pictures, _ = _decoded("h264", packets, extradata)
    seconds = len(ideal) / _RATE
    sampled = [(_luma(pictures[n]), _luma(ideal[n])) for n in range(_FROM, min(len(pictures), len(ideal)), _EVERY)]
    score = ssim([ours for ours, _ in sampled], [whole for _, whole in sampled])
    return Encoded(cpu / seconds, sum(map(len, packets)) * 8 / seconds / 1000, score)


def _decoded(codec: str, packets: Sequence[bytes], extradata: bytes = b"") -> tuple[list[av.VideoFrame], float]:
    decoder: Any = av.CodecContext.create(codec, "r")
    decoder.thread_count = 1
    if extradata:
        decoder.extradata = extradata
    begun = time.process_time()
    pictures = [picture for packet in (*map(av.Packet, packets), None) for picture in decoder.decode(packet)]
    return pictures, time.process_time() - begun


def _luma(picture: av.VideoFrame) -> Luma:
    return cast(Luma, np.ascontiguousarray(picture.to_ndarray()[:_HEIGHT]))


class _Encoders:
    """The browser's, on one page's pictures."""

    def __init__(self, browser: Browser, base: str, name: str, frames: int) -> None:
        self._session: CDPSession = browser.new_browser_cdp_session()
        self._page: Page = browser.new_page()
        self._page.goto(base)
        self._url = f"{base}/{name}"
        self._frames = frames
        self._run(None)  # the pictures are fetched
        _, self._making = self._run(None)

    def __enter__(self) -> _Encoders:
        return self

    def __exit__(self, *_: object) -> None:
        self._page.close()

    def h264(self, ideal: Sequence[av.VideoFrame], kbps: int) -> Encoded:
        """As the browser encodes it."""
        packets, cpu, description = self._encode("avc1", kbps)
        return _scored(ideal, packets, cpu, description)

    def transcoded(self, ideal: Sequence[av.VideoFrame], kbps: int, codec: str) -> Encoded:
        """By VP8 or VP9, decoded, and by libx264."""
        packets, cpu, _ = self._encode("vp8" if codec == "vp8" else "vp09", _TRANSCODED * kbps)
        pictures, decoding = _decoded(codec, packets)
        packets, encoding, description = _encoded(pictures, kbps, "best")
        return _scored(ideal, packets, cpu + decoding + encoding, description)

    def _encode(self, codec: str, kbps: int) -> tuple[list[bytes], float, bytes]:
        video = VideoSpec(_WIDTH, _HEIGHT, _RATE, kbps)
        config = next(c for c in configurations(video, "h264") if c["codec"].startswith(codec))
        made, cpu = self._run({**config, "bitrate": kbps * 1000})
        data, packets = base64.b64decode(made["data"]), []
        for size in made["sizes"]:
            packets.append(data[:size])
            data = data[size:]
        return packets, max(0.0, cpu - self._making), base64.b64decode(made["description"])

    def _run(self, config: dict[str, Any] | None) -> tuple[dict[str, Any], float]:
        size = _WIDTH * _HEIGHT * 3 // 2
        before = self._cpu()
        made: dict[str, Any] = self._page.evaluate(
            _ENCODE, {"url": self._url, "config": config, "frames": self._frames, "size": size, "rate": _RATE}
        )
        return made, self._cpu() - before

    def _cpu(self) -> float:
        processes = self._session.send("SystemInfo.getProcessInfo")["processInfo"]
        return float(sum(process["cpuTime"] for process in processes if process["type"] == "renderer"))
