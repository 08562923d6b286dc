"""Chromium, launched by playwright for one recording: which one, with which flags, and what its end means.

The browser ends with this process, however that ends: playwright's driver
holds the browser by a pipe and ends when our end of its own pipe closes.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import shutil
from collections.abc import Awaitable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from recorders.config import WebConfig
from recorders.errors import Lost, RecorderError
from recorders.spec import PageSpec, VideoSpec
from recorders.web import driver, refusals
from recorders.web.cage import LAUNCHER, Cage, open_to_all
from recorders.web.hunger import Hunger
from recorders.web.processes import kill_browser
from recorders.web.profile import Profile

if TYPE_CHECKING:
    from playwright.async_api import BrowserContext, Page, Playwright

_ON_PATH = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
_CLOSE_TIMEOUT_S = 3.0
_SMALL = {"width": 200, "height": 150}
# When a browser dies, playwright tells of the end of its pages before it tells of its own.
_PAGES_FIRST_S = 0.3

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
# A process of its own for the network takes 17 MB, and is not in a sandbox on Linux either. The one that mixes sound is
# in its sandbox if asked for, and takes 15 MB less, as a fork of what is there already. The others are playwright's.
_ENABLED_FEATURES = (
    "AudioServiceSandbox",
    "NetworkServiceInProcess2",
    "CDPScreenshotNewSurface",
    "SkipListAccountsWithoutGaiaCookies",
)
_FLAGS = (
    "--headless=new",  # the old headless, and the headless shell, refuse getDisplayMedia
    "--autoplay-policy=no-user-gesture-required",
    "--disable-audio-output",  # the page plays to nowhere, at 44.1 kHz: no sound card and no sound server is asked
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-crashpad-for-testing",  # two processes, 3.5 MB: what they would write goes with the profile
    "--disable-renderer-backgrounding",
    "--hide-scrollbars",
    f"--disable-features={','.join(_DISABLED_FEATURES)}",
    f"--enable-features={','.join(_ENABLED_FEATURES)}",
)
_WEB_GL = ("--use-angle=swiftshader-webgl", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist")
# Without a rasterizer that nobody asks for, the GPU process takes 15 MB less and is in its sandbox.
_NO_WEB_GL = ("--disable-gpu", "--disable-3d-apis", "--disable-software-rasterizer")
# The colour is one that tells by which matrix pictures are converted; it is painted again all the time, so that a
# picture of it comes even when the first one was captured before it was there.
_BLANK = """title => {
    document.title = title;
    const { style } = document.documentElement;
    const paint = () => { style.background = style.background === "rgb(0, 255, 0)" ? "#00ff02" : "#00ff00" };
    paint();
    setInterval(paint, 50);
}"""
# Of playwright's own arguments, those that do not fit.
_DROPPED = ("--disable-popup-blocking", "--mute-audio", "--headless", "--headless=old", "--enable-unsafe-swiftshader")


def find_chromium(config: WebConfig, playwrights_own: str, for_all: bool = False) -> str:
    """Path of the browser to use, `for_all` users to run. Raises `RecorderError` when there is none."""
    if config.chromium_path is not None:
        if shutil.which(config.chromium_path) is None:
            raise RecorderError(f"The browser of setting web.chromium_path, {config.chromium_path}, does not exist.")
        return config.chromium_path
    installed = Path(playwrights_own).is_file()
    if installed and (not for_all or open_to_all(playwrights_own)):
        return playwrights_own
    found = next(filter(None, map(shutil.which, _ON_PATH)), None)
    if found is None and installed:
        raise RecorderError(
            f"The browser {playwrights_own} is for its owner alone, but would run as another user (setting web.uids): "
            "install the package chromium, or set PLAYWRIGHT_BROWSERS_PATH to a folder that all may read."
        )
    if found is None:
        raise RecorderError(
            "No Chromium is installed on this node: install the package chromium, or run `playwright install chromium`."
        )
    return found


class Needs(NamedTuple):
    """What a browser has to be launched for. Anything else is set at use."""

    web_gl: bool
    scale: float


def needs(page: PageSpec) -> Needs:
    """What a browser for this recording has to be launched for."""
    return Needs(page.web_gl, page.scale)


class Browser:
    """A browser with two tabs: the page under record, and the recorder's own."""

    def __init__(self, config: WebConfig, video: VideoSpec, page: PageSpec) -> None:
        self._config = config
        self._video = video
        self._needs = needs(page)
        self._playwright: Playwright | None = None
        self._cage: Cage | None = None
        self._profile: Profile | None = None
        self._hunger: Hunger | None = None
        self._watching: asyncio.Task[None] | None = None
        self._context: BrowserContext | None = None
        self.title = f"under record {secrets.token_hex(8)}"
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def launch(self, ways: Awaitable[list[str]]) -> None:
        """Start it, with the arguments that tell it its `ways` to the network. Raises `RecorderError`."""
        from playwright.async_api import Error

        starting = asyncio.create_task(driver.start())
        try:
            self._cage = cage = await asyncio.to_thread(Cage, self._config)
            self._playwright = await starting
        finally:
            starting.cancel()
        path = find_chromium(self._config, self._playwright.chromium.executable_path, cage.uid is not None)
        width, height = self._layout(self._video)
        ways_out = await ways
        self._profile = profile = Profile(cage.uid)
        try:
            self._context = await self._playwright.chromium.launch_persistent_context(
                profile.folder,
                viewport={"width": width, "height": height},
                device_scale_factor=self._needs.scale,
                accept_downloads=False,
                executable_path=LAUNCHER,
                env=dict(cage.environment(path, profile.home, profile.pid_file)),
                headless=True,
                chromium_sandbox=self._config.sandbox,
                ignore_default_args=list(_DROPPED),
                args=[
                    *_FLAGS,
                    *refusals.FLAGS,
                    *(_WEB_GL if self._needs.web_gl else _NO_WEB_GL),
                    *ways_out,
                    f"--auto-select-tab-capture-source-by-title={self.title}",
                    f"--window-size={width},{height}",
                    # What playwright alone makes of a scale is not in what is captured.
                    f"--force-device-scale-factor={self._needs.scale:g}",
                ],
                timeout=self._config.launch_timeout_s * 1000,
                handle_sigint=False,
                handle_sigterm=False,
                handle_sighup=False,
            )
        except Error as error:
            if (why := cage.why(error.message)) is not None:
                raise RecorderError(why) from error
            raise Lost(f"The browser {path} did not start: {first_line(error)}.") from error
        self._hunger = Hunger(self._config, profile, self._lose)
        self._watching = asyncio.create_task(self._hunger.watch())
        self._context.on("close", lambda _: self._lose("The browser was closed or crashed."))

    @property
    def folder(self) -> Path:
        """The profile's. Raises `Lost` when the browser is not running."""
        if self._profile is None:
            raise Lost("The browser is not running.")
        return self._profile.folder

    async def suit(self, video: VideoSpec) -> None:
        """Have pictures of this size, whatever it was launched for; the needs must be the same."""
        context = self._running
        width, height = self._layout(video)
        if (width, height) != self._layout(self._video):
            await context.pages[0].set_viewport_size({"width": width, "height": height})
        self._video = video

    async def subject(self) -> Page:
        """The tab to record: without a page, green, with a title of our own by which the capture finds it."""
        context = self._running
        page = context.pages[0] if context.pages else await context.new_page()
        page.on("crash", lambda _: self._lose(self._why_crashed))
        page.on("close", lambda _: self._lose_later("The page closed itself."))
        await asyncio.gather(page.add_init_script(refusals.NO_DIALOGS), page.evaluate(_BLANK, self.title))
        return page

    async def recorder(self, address: str) -> Page:
        """The recorder's own tab, at `address`. It is the active one of the window.

        Around an active tab that is captured, Chromium draws a border, and with it a third of the pictures' cost.
        """
        page = await self._running.new_page()
        await page.goto(address)
        return page

    async def make_small(self, own: Page) -> None:
        """Of the window, only the recorder's `own` tab is drawn, which nobody sees: as small, it takes 5 MB less.

        The tab to record keeps the size that it has been given.
        """
        cdp = await self._running.new_cdp_session(own)
        window = await cdp.send("Browser.getWindowForTarget")
        await cdp.send("Browser.setWindowBounds", {"windowId": window["windowId"], "bounds": _SMALL})
        await cdp.detach()

    def kill(self) -> None:
        """End all its processes at once; blocking, for some milliseconds."""
        if self._profile is not None:
            kill_browser(self._profile.folder)

    async def close(self) -> None:
        """End it, within a bound."""
        if self._watching is not None:
            self._watching.cancel()
        self.lost.cancel() if not self.lost.done() else self.lost.exception()
        with contextlib.suppress(Exception):
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                if self._context is not None:
                    await self._context.close()
        with contextlib.suppress(Exception):
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                if self._playwright is not None:
                    await self._playwright.stop()
                await driver.ended()
        await asyncio.to_thread(self._clear_away)

    @property
    def _why_crashed(self) -> str:
        return (self._hunger and self._hunger.ended) or "The page crashed in the browser."

    def _layout(self, video: VideoSpec) -> tuple[int, int]:
        """Pixels of the page, as wide and as high as pictures of this size show."""
        return round(video.width / self._needs.scale), round(video.height / self._needs.scale)

    @property
    def _running(self) -> BrowserContext:
        if self._context is None:
            raise Lost("The browser is not running.")
        return self._context

    def _clear_away(self) -> None:
        self.kill()
        if self._cage is not None:
            self._cage.release()
        if self._profile is not None:
            self._profile.delete()

    def _lose_later(self, sentence: str) -> None:
        asyncio.get_running_loop().call_later(_PAGES_FIRST_S, self._lose, sentence)

    def _lose(self, sentence: str) -> None:
        if not self.lost.done():
            self.lost.set_exception(Lost(sentence))


def first_line(error: Exception) -> str:
    """Of what it says, without a full stop."""
    return str(error).strip().splitlines()[0].rstrip(".")
