"""How much of its machine a recording's browser takes, with playwright's driver; a page that takes too much is ended.

By watching, since not every machine lets us make a control group. What a single process may take has a hard limit
beside this (`cage.py`), so that nothing grows out of hand between two looks.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Callable
from pathlib import Path

from recorders.config import WebConfig
from recorders.web.processes import Process, family, parent
from recorders.web.profile import Profile

_LOG = logging.getLogger(__name__)

_LOOK_EVERY_S = 1.0
# The disk is looked at every so many times, for looking takes longer; each time once this part of it may be used.
_DISK_EVERY, _DISK_NEAR = 10, 0.25
_MB = 1024 * 1024


class Hunger:
    """Watches the browser that lives in `profile`; `lose` is told in a sentence why its page was ended."""

    def __init__(self, config: WebConfig, profile: Profile, lose: Callable[[str], None]) -> None:
        self._config = config
        self._profile = profile
        self._lose = lose
        self._size, self._free = 0, _free(profile.home)  # what it kept on its disk and what was free, as last looked
        self.ended: str | None = None  # that sentence

    async def watch(self) -> None:
        """Until a page had to be ended."""
        looks = 0
        while self.ended is None:
            await asyncio.sleep(_LOOK_EVERY_S)
            looks += 1
            await asyncio.to_thread(self._look, looks % _DISK_EVERY == 0)
        _LOG.warning("%s", self.ended)
        self._lose(self.ended)

    def _look(self, disk_too: bool) -> None:
        config = self._config
        processes = list(family(self._eldest))
        if sum(each.memory for each in processes) > config.memory_mb * _MB:
            self.ended = f"The page used more than {config.memory_mb} MB of memory and was ended."
            self._end_greediest(processes)
        elif sum(each.threads for each in processes) > config.max_threads:
            self.ended = f"The page ran more than {config.max_threads} threads and was ended."
        elif (disk_too or self._fills) and self._kept() > config.disk_mb * _MB:
            self.ended = f"The page kept more than {config.disk_mb} MB on disk and was ended."

    @property
    def _eldest(self) -> int:
        """Playwright's driver, which keeps what the page gives it, or what is left without it."""
        browser = int(self._profile.pid_file.read_text())
        driver = parent(browser)
        return driver if driver is not None and parent(driver) == os.getpid() else browser

    @property
    def _fills(self) -> bool:
        """Whether there may be too much on the disk before its turn."""
        near = _DISK_NEAR * self._config.disk_mb * _MB
        return self._size > near or self._free - _free(self._profile.home) > near

    def _kept(self) -> int:
        self._size, self._free = _size(self._profile.home), _free(self._profile.home)
        return self._size

    def _end_greediest(self, processes: list[Process]) -> None:
        """At once, for the browser may take its time to end."""
        pages = [each for each in processes if each.renders]
        greediest = max(pages, key=lambda each: each.memory, default=None)
        if greediest is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(greediest.pid, signal.SIGKILL)


def _free(folder: Path) -> int:
    """Bytes that are free on its disk."""
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize


def _size(folder: Path) -> int:
    """Bytes that the files below take on the disk."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(Path(place, name)).st_blocks * 512
    return total
