"""A real browser publishes its (fake) camera and microphone by WHIP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import av
import numpy as np
import pytest
from playwright.async_api import Page, async_playwright

from recorders.config import NativeConfig, WebConfig
from recorders.log.finish import finish
from recorders.sources.whip import WhipSource
from recorders.web.browser import find_chromium
from tests.e2e.acceptance import until
from tests.e2e.test_whip import recorder
from tests.e2e.whip_api import TOKEN, whip_api

pytestmark = pytest.mark.paired

_CLIENT = Path(__file__).with_name("publisher.js")
# A picture that stands still for so long is not shown any more.
SEEN_S = NativeConfig().absent_after_s
_FLAGS = (
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--allow-loopback-in-peer-connection",
    "--no-sandbox",
)


@asynccontextmanager
async def browser_page(origin: str) -> AsyncIterator[Page]:
    """A page of this origin, with the client."""
    async with async_playwright() as playwright:
        path = find_chromium(WebConfig(), playwright.chromium.executable_path)
        browser = await playwright.chromium.launch(executable_path=path, args=[*_FLAGS])
        try:
            context = await browser.new_context()
            await context.add_init_script(path=_CLIENT)
            page = await context.new_page()
            await page.goto(origin)
            yield page
        finally:
            await browser.close()


def test_a_browser_publishes_restarts_ice_reloads_and_leaves(tmp_path: Path) -> None:
    """Candidates are trickled; the ports are those of the settings; a reload takes the place of the page before."""
    ports = (47100, 47139)
    recording = recorder(tmp_path, "guest", udp_ports=ports)

    async def record() -> None:
        def there(n: int) -> bool:
            return recording.progress().counters["participants"] == n

        source = recording.source
        assert isinstance(source, WhipSource)
        async with (
            whip_api(source, str(tmp_path)) as url,
            browser_page(url.partition("/egress")[0] + "/healthz") as page,
        ):
            task = asyncio.create_task(recording.run())  # not before the browser is there: it takes its time to start
            publish = f"whip.publish('{url}guest', '{TOKEN}')"
            assert (await page.evaluate(f"whip.publish('{url}guest', 'another-token')")).startswith("403 ")
            assert (await page.evaluate(f"whip.publish('{url}stranger', '{TOKEN}')")).startswith("400 ")
            assert await page.evaluate(publish) == "false 204"
            await until(lambda: there(1))
            await asyncio.sleep(2)
            before = await page.evaluate("whip.ports()")
            assert ports[0] <= before <= ports[1]
            assert await page.evaluate("whip.restart()") == "true 412"
            async with asyncio.timeout(10):
                while (after := await page.evaluate("whip.ports()")) in (before, None):  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            assert ports[0] <= after <= ports[1]
            assert there(1), "the restart was not noticed"
            await asyncio.sleep(SEEN_S + 0.5)
            assert recording.progress().idle_seconds < SEEN_S, "nothing has come since the restart"
            await page.reload()
            assert await page.evaluate(publish) == "false 204"
            await until(lambda: there(2))
            await asyncio.sleep(2)
            assert await page.evaluate("whip.leave()") == 200
            assert await page.evaluate("whip.leave()") == 404
            recording.stop()
            await asyncio.wait({task}, timeout=20)
        assert await asyncio.wait_for(task, 20) == "user_stop"

    asyncio.run(record())
    finish(tmp_path, "rec", "hls")
    changes, loud = _moves_and_sounds(tmp_path / "rec.m3u8")
    what = f"{np.round(changes, 2)} {np.round(loud, 3)} {recording.progress().counters}"
    # How much is new in a second depends on how much of this machine's time there is.
    assert (changes > 0).sum() >= 5, what
    assert (loud > 0.01).sum() >= 2, what
    if recording.progress().counters.get("frames_repeated", 0) < 30:
        # The camera makes 20 pictures a second. Neither the restart nor the reload leaves a hole.
        assert (changes > 0.4).sum() >= len(changes) - 2, what
        assert (loud > 0.01).sum() >= len(loud) - 2, what


def _moves_and_sounds(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Per second: the share of pictures that differ from the one before, and the loudest sample."""
    changed = dict[int, list[bool]]()
    peaks = dict[int, float]()
    before = None
    with av.open(str(path)) as container:
        for frame in container.decode(video=0, audio=0):
            assert isinstance(frame, av.VideoFrame | av.AudioFrame)
            second = int(frame.time or 0)
            if isinstance(frame, av.AudioFrame):
                peaks[second] = max(peaks.get(second, 0.0), float(np.abs(frame.to_ndarray()).max()))
                continue
            luma = np.asarray(frame.to_ndarray(format="gray"), np.int16)[::4, ::4]
            changed.setdefault(second, []).append(before is not None and bool((np.abs(luma - before) > 24).any()))
            before = luma
    seconds = range(max(changed))
    return (
        np.array([float(np.mean(changed.get(second, [False]))) for second in seconds]),
        np.array([peaks.get(second, 0.0) for second in seconds]),
    )
