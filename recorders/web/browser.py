"""Chromium, launched by playwright for one recording: which one, with which flags, and what its end means.

The browser ends with this process, however that ends: playwright's driver
holds the browser by a pipe and ends when our end of its own pipe closes.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from recorders.config import WebConfig
from recorders.errors import Lost, RecorderError
from recorders.spec import VideoSpec
from recorders.web.processes import kill_browser
from recorders.web.profile import Profile

if TYPE_CHECKING:
    from playwright.async_api import BrowserContext, Page, Playwright

_ON_PATH = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
_CLOSE_TIMEOUT_S = 3.0
# Playwright's driver lives for a few small messages: without room for garbage it takes a fifth less memory.
_DRIVER_OPTIONS = "--max-semi-space-size=1"
# When a browser dies, playwright tells of the end of its pages before it tells of its own.
_PAGES_FIRST_S = 0.3
# Up to this many pictures a second, the energy saver's 30 are all that is needed.
_SAVED_RATE = 30

# Chromium's own interface is never seen: the parts that are pages of their own cost a process each and a second
# of CPU at the start. The others are playwright's, for the last list of features given is the one that counts.
_DISABLED_FEATURES = (
    "InitialWebUI",
    "PreloadTopChromeWebUI",
    "SpareRendererForSitePerProcess",
    "Translate",
    "WebUIOmniboxAimPopup",
    "WebUIOmniboxFullPopup",
    "WebUIOmniboxPopup",
    "WebUIReloadButton",
    "WebUIToolbarWebView",
    "AimEnabled",
    "AvoidUnnecessaryBeforeUnloadCheckSync",
    "DestroyProfileOnBrowserClose",
    "HttpsFirstBalancedModeAutoEnable",
    "HttpsUpgrades",
    "LensOverlay",
    "MediaRouter",
    "NetworkTimeServiceQuerying",
    "OptimizationHints",
    "PaintHolding",
    "PreconnectToSearch",
    "ThirdPartyStoragePartitioning",
)
_FLAGS = (
    "--headless=new",  # the old headless, and the headless shell, refuse getDisplayMedia
    "--autoplay-policy=no-user-gesture-required",
    "--block-new-web-contents",  # no pop-ups
    "--disable-audio-output",  # the page plays to nowhere, at 48 kHz: no sound card and no sound server is asked
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
    "--disable-notifications",
    "--hide-scrollbars",
    f"--disable-features={','.join(_DISABLED_FEATURES)}",
)
_WEB_GL = ("--use-angle=swiftshader-webgl", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist")
_NO_WEB_GL = ("--disable-gpu", "--disable-3d-apis")
# The colour is one that tells by which matrix pictures are converted; it is painted again all the time, so that a
# picture of it comes even when the first one was captured before it was there.
_BLANK = """title => {
    document.title = title;
    const { style } = document.documentElement;
    const paint = () => { style.background = style.background === "rgb(0, 255, 0)" ? "#00ff02" : "#00ff00" };
    paint();
    setInterval(paint, 50);
}"""
# Nobody is there to answer; and while a dialog is up, or playwright looks at a pop-up before it is refused, Chromium
# dims the page, in what is captured, too.
_NO_DIALOGS = """
for (const [name, answer] of [["alert"], ["confirm", false], ["prompt", null], ["print"], ["open", null]])
    window[name] = () => answer;
"""
# Of playwright's own arguments, those that do not fit.
_DROPPED = ("--disable-popup-blocking", "--mute-audio", "--headless", "--headless=old", "--enable-unsafe-swiftshader")


def find_chromium(config: WebConfig, playwrights_own: str) -> str:
    """Path of the browser to use. Raises `RecorderError` when there is none."""
    if config.chromium_path is not None:
        if shutil.which(config.chromium_path) is None:
            raise RecorderError(f"The browser of setting web.chromium_path, {config.chromium_path}, does not exist.")
        return config.chromium_path
    if Path(playwrights_own).is_file():
        return playwrights_own
    found = next(filter(None, map(shutil.which, _ON_PATH)), None)
    if found is None:
        raise RecorderError(
            "No Chromium is installed on this node: install the package chromium, or run `playwright install chromium`."
        )
    return found


class Browser:
    """A browser with two tabs: the page under record, and the recorder's own."""

    def __init__(self, config: WebConfig, video: VideoSpec, web_gl: bool) -> None:
        self._config = config
        self._video = video
        self._web_gl = web_gl
        self._playwright: Playwright | None = None
        self._profile: Profile | None = None
        self._context: BrowserContext | None = None
        self.title = f"under record {secrets.token_hex(8)}"
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.driver_up = asyncio.Event()

    async def launch(self) -> None:
        """Start it. Raises `RecorderError`."""
        from playwright.async_api import Error, async_playwright

        os.environ.setdefault("NODE_OPTIONS", _DRIVER_OPTIONS)
        self._playwright = await async_playwright().start()
        self.driver_up.set()
        path = find_chromium(self._config, self._playwright.chromium.executable_path)
        width, height = self._video.width, self._video.height
        self._profile = Profile(energy_saver=self._video.frame_rate <= _SAVED_RATE)
        try:
            self._context = await self._playwright.chromium.launch_persistent_context(
                self._profile.folder,
                viewport={"width": width, "height": height},
                device_scale_factor=1,
                accept_downloads=False,
                executable_path=path,
                headless=True,
                chromium_sandbox=self._config.sandbox,
                ignore_default_args=list(_DROPPED),
                args=[
                    *_FLAGS,
                    *(_WEB_GL if self._web_gl else _NO_WEB_GL),
                    f"--auto-select-tab-capture-source-by-title={self.title}",
                    f"--window-size={width},{height}",
                ],
                timeout=self._config.launch_timeout_s * 1000,
                handle_sigint=False,
                handle_sigterm=False,
                handle_sighup=False,
            )
        except Error as error:
            root = " (as root the sandbox must be off)" if self._config.sandbox and os.geteuid() == 0 else ""
            raise Lost(f"The browser {path} did not start{root}: {_first_line(error)}.") from error
        self._context.on("close", lambda _: self._lose("The browser was closed or crashed."))

    @property
    def folder(self) -> Path:
        """The profile's. Raises `Lost` when the browser is not running."""
        if self._profile is None:
            raise Lost("The browser is not running.")
        return self._profile.folder

    async def subject(self) -> Page:
        """The tab to record: without a page, green, with a title of our own by which the capture finds it."""
        context = self._running
        page = context.pages[0] if context.pages else await context.new_page()
        page.on("crash", lambda _: self._lose("The page crashed in the browser."))
        page.on("close", lambda _: self._lose_later("The page closed itself."))
        await asyncio.gather(page.add_init_script(_NO_DIALOGS), page.evaluate(_BLANK, self.title))
        return page

    async def recorder(self, address: str) -> Page:
        """The recorder's own tab, at `address`. It is the active one of the window.

        Around an active tab that is captured, Chromium draws a border, and with it a third of the pictures' cost.
        """
        page = await self._running.new_page()
        await page.goto(address)
        return page

    def kill(self) -> None:
        """End all its processes at once; blocking, for some milliseconds."""
        if self._profile is not None:
            kill_browser(self._profile.folder)

    async def close(self) -> None:
        """End it, within a bound."""
        self.lost.cancel() if not self.lost.done() else self.lost.exception()
        with contextlib.suppress(Exception):
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                if self._context is not None:
                    await self._context.close()
        with contextlib.suppress(Exception):
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                if self._playwright is not None:
                    await self._playwright.stop()
        await asyncio.to_thread(self.kill)
        if self._profile is not None:
            await asyncio.to_thread(self._profile.delete)

    @property
    def _running(self) -> BrowserContext:
        if self._context is None:
            raise Lost("The browser is not running.")
        return self._context

    def _lose_later(self, sentence: str) -> None:
        asyncio.get_running_loop().call_later(_PAGES_FIRST_S, self._lose, sentence)

    def _lose(self, sentence: str) -> None:
        if not self.lost.done():
            self.lost.set_exception(Lost(sentence))


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0].rstrip(".")
