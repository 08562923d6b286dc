"""What an attempt at a page leaves beside its log: its report, and when it fails how the page looked and what its
console said last."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING

from recorders.errors import Fenced, RecorderError
from recorders.log import files
from recorders.spec import PageSpec, RecordingSpec
from recorders.web.redact import bare, redacted
from recorders.web.report import Report

if TYPE_CHECKING:
    from playwright.async_api import ConsoleMessage, Page

# How long a page may take to be looked at, which may be what is the matter with it.
_LOOK_S = 5.0
_SETTLE_S = 1.0
_SHOTS, _AGAIN_S = 3, 0.3
_QUALITY = 80
# The driver has the newest 200 lines; of them so many bytes, each line cut to so many characters.
_CONSOLE_BYTES = 64 * 1024
_LINE = 500
# How soon what is new in the report is on the disk.
_WRITE_S = 2.0


class Notes:
    """Of one attempt, which has one report whatever browsers it uses up."""

    def __init__(self, spec: RecordingSpec, page: PageSpec) -> None:
        self._folder, self._prefix, self._attempt = Path(spec.folder), spec.prefix, spec.attempt
        self._fenced = False
        self.report = Report(page.url, spec.attempt)

    @property
    def files(self) -> tuple[str, ...]:
        """The names of those that there are."""
        return files.beside_of(self._folder, self._prefix, self._attempt)

    async def keep(self) -> None:
        """Write the report whenever it has changed, until cancelled: it is to outlive this process."""
        while True:
            await self.report.changed.wait()
            await self._write_report()
            await asyncio.sleep(_WRITE_S)

    async def failed(self, error: RecorderError, page: Page | None) -> None:
        """Note why the attempt ended, and what can be had of `page` within a bound. Does not raise."""
        if isinstance(error, Fenced):
            self._fenced = True  # what lies here is another's now
            return
        self.report.failed(str(error))
        if page is not None:
            await self._write(files.screenshot_name, await _bounded(_screenshot(page)))
            await self._write(files.console_name, await _bounded(_console(page)))

    async def close(self) -> None:
        """The report as it is in the end."""
        if not self._fenced:
            await self._write_report()

    async def _write_report(self) -> None:
        self.report.changed.clear()
        await self._write(files.report_name, self.report.json.encode(errors="replace"))

    async def _write(self, name: Callable[[str, int], str], data: bytes) -> None:
        path = self._folder / name(self._prefix, self._attempt)

        def write() -> None:
            with contextlib.suppress(OSError):  # a disk that takes nothing is told of by the recording
                path.parent.mkdir(parents=True, exist_ok=True)
                files.write_whole(path, data)

        if data:
            await asyncio.to_thread(write)


async def _bounded(look: Coroutine[None, None, bytes]) -> bytes:
    """Nothing when the page, or the browser, does not answer."""
    from playwright.async_api import Error

    try:
        return await asyncio.wait_for(look, _LOOK_S)
    except (Error, TimeoutError):
        return b""


async def _console(page: Page) -> bytes:
    return tail([_line(message) for message in await page.console_messages(filter="all")])


async def _screenshot(page: Page) -> bytes:
    """An error page, the browser's or the site's, may still be on its way when it is known to be one."""
    from playwright.async_api import Error

    with contextlib.suppress(Error):
        await page.wait_for_load_state("load", timeout=1000 * _SETTLE_S)
    for _ in range(_SHOTS):
        with contextlib.suppress(Error):
            return await page.screenshot(type="jpeg", quality=_QUALITY, timeout=1000 * _LOOK_S, caret="initial")
        await asyncio.sleep(_AGAIN_S)
    return b""


def tail(lines: list[str]) -> bytes:
    """The last lines, as many as there is room for."""
    kept: list[bytes] = []
    room = _CONSOLE_BYTES
    for line in reversed(lines):
        data = line.encode(errors="replace") + b"\n"
        room -= len(data)
        if room < 0:
            break
        kept.append(data)
    return b"".join(reversed(kept))


def _line(message: ConsoleMessage) -> str:
    source = message.location.get("url", "")
    where = f" ({bare(source)})" if source.startswith(("http:", "https:")) else ""
    return f"{message.type}: {redacted(message.text, _LINE)}{where}"
