"""How near a recorded page is to the page: SSIM against pictures of it without loss.

The static page is compared with a screenshot; the moving ones carry picture numbers, so that each recorded picture is
compared with the very picture that was on the screen: the canvas with a screenshot of that picture alone, the
videos (shown at their own size) with the decoded source pictures.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import sync_playwright

from benchmarks import barcode
from benchmarks.barcode import Luma
from benchmarks.pages import videos
from benchmarks.quality import ssim
from recorders.config import WebConfig
from recorders.web.browser import find_chromium
from tests.oracle.participants import BT601, BT709
from tests.oracle.reader import Picture, Sound, open_parts, read, read_parts

RGB = NDArray[np.uint8]
_HEARD = 0.01
_QUARTERS = [(slice(y, y + 360), slice(x, x + 640)) for y in (0, 360) for x in (0, 640)]


def recorded(recording: Path, after: float) -> list[Luma]:
    """Luma planes of a recording from `after` seconds on."""
    return [item.y.copy() for item in read(str(recording)) if isinstance(item, Picture) and item.t >= after]


def sounds(recording: Path) -> bool:
    """Whether it is heard."""
    return any(
        isinstance(item, Sound) and np.abs(item.samples).max(initial=0) > _HEARD for item in read(str(recording))
    )


def kbps(recording: Path, after: float) -> float:
    """The pictures' kbit/s in the parts that begin `after` so many seconds or later."""
    at = bits = seconds = 0.0
    for part in read_parts(str(recording)):
        if at >= after:
            with open_parts([part]) as media:
                bits += 8 * sum(packet.size for packet in media.demux(video=0))
            seconds += part.extinf
        at += part.extinf
    return bits / seconds / 1000


def number(picture: Luma) -> int | None:
    """The number on canvas.html, or that of the first video on videos.html."""
    whole = barcode.read(picture)
    return barcode.read(picture[_QUARTERS[0]]) if whole is None else whole


def of_still(pictures: Sequence[Luma], lossless: RGB) -> float:
    """SSIM of a page that does not move."""
    return _best(pictures, [lossless] * len(pictures))


def of_canvas(pictures: Sequence[Luma], base: str) -> float:
    """SSIM of canvas.html."""
    numbered = [(picture, n) for picture in pictures if (n := barcode.read(picture)) is not None]
    shots = screenshots(tuple(f"{base}/canvas.html?frame={n}" for _, n in numbered))
    return _best([picture for picture, _ in numbered], shots)


def of_videos(pictures: Sequence[Luma]) -> float:
    """SSIM of videos.html."""
    numbered = [(picture, [barcode.read(picture[quarter]) for quarter in _QUARTERS]) for picture in pictures]
    numbered = [(picture, numbers) for picture, numbers in numbered if None not in numbers]
    scores = []
    for matrix in ("bt601", "bt709"):  # how the browser reads untagged VP8
        ideal = [np.zeros((720, 1280, 3), np.uint8) for _ in numbered]
        for k, (clip, quarter) in enumerate(zip(videos(), _QUARTERS, strict=True)):
            shown = _source_pictures(clip, {numbers[k] or 0 for _, numbers in numbered}, matrix)
            for canvas, (_, numbers) in zip(ideal, numbered, strict=True):
                canvas[quarter] = shown[numbers[k] or 0]
        scores.append(_best([picture for picture, _ in numbered], ideal))
    return max(scores)


def videos_side_by_side(frames: int) -> Iterator[RGB]:
    """What videos.html shows, from the first picture on."""
    shown = [_source_pictures(clip, set(range(frames)), "bt601") for clip in videos()]
    for n in range(frames):
        canvas = np.zeros((720, 1280, 3), np.uint8)
        for quarter, pictures in zip(_QUARTERS, shown, strict=True):
            canvas[quarter] = pictures[n]
        yield canvas


def screenshots(urls: Sequence[str]) -> list[RGB]:
    """Pages as a headless browser shows them, 1280x720."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium
        path = find_chromium(WebConfig(), chromium.executable_path)
        browser = chromium.launch(executable_path=path, args=["--no-sandbox", "--hide-scrollbars"])
        page = browser.new_page(viewport={"width": 1280, "height": 720})
        shots = []
        for url in urls:
            page.goto(url)
            shots.append(load(page.screenshot()))
        browser.close()
        return shots


def load(png: bytes) -> RGB:
    return np.asarray(Image.open(BytesIO(png)).convert("RGB"))


def _best(pictures: Sequence[Luma], ideal: Sequence[RGB]) -> float:
    """SSIM by whichever matrix the recorder has used: BT.601 and BT.709 give the same colours another luma."""
    return max(ssim(pictures, [_luma(rgb, *matrix) for rgb in ideal]) for matrix in (BT601, BT709))


def _luma(rgb: RGB, kr: float, kb: float) -> Luma:
    weighted = rgb @ np.array([kr, 1 - kr - kb, kb])
    luma: Luma = np.round(16 + 219 / 255 * weighted).astype(np.uint8)
    return luma


def _source_pictures(clip: Path, needed: set[int], matrix: str) -> dict[int, RGB]:
    found: dict[int, RGB] = {}
    with av.open(str(clip)) as media:
        for n, frame in enumerate(media.decode(video=0)):
            if n in needed:
                colours = frame.reformat(format="rgb24", src_colorspace="ITU601" if matrix == "bt601" else "ITU709")
                found[n] = colours.to_ndarray().astype(np.uint8, copy=False)
            if n >= max(needed, default=0):
                break
    return found
