"""Participants that are media URLs (file, RTSP, RTMP, HTTP), demultiplexed by FFmpeg.

One thread a URL. Everything is paced by its own timestamps, so that a file plays as if it were live.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from recorders.config import MediaConfig
from recorders.errors import Lost, Refused, Unreachable
from recorders.screens import asked_for
from recorders.sources.base import Sink
from recorders.sources.media_player import MediaPlayer
from recorders.spec import ChannelSpec


class MediaSource:
    """The users of `config.urls[channel]`: the requested ones, or all."""

    def __init__(self, spec: ChannelSpec, config: MediaConfig) -> None:
        self._channel = spec.channel
        urls = config.urls.get(spec.channel, {})
        self._urls = {user: url for user, url in urls.items() if asked_for(spec.users, user)}
        self._config = config
        self._ended = threading.Event()

    async def run(self, sink: Sink) -> None:
        """Play every URL to its end; a live one has none, and is opened again whenever it breaks off.

        Who cannot be opened is absent and counted (`sources_failed`), as is what breaks off; what comes over a network
        is tried again as long as anybody else is there. Raises `Refused` when no URL is configured for those who are
        asked for, `Unreachable` when none can be opened, `Lost` when all broke off.
        """
        if not self._urls:
            raise Refused(f"No media URL is configured for the requested users of channel {self._channel}.")
        started, loop, changed = time.monotonic(), asyncio.get_running_loop(), asyncio.Event()
        tell = partial(_call_soon, loop, changed.set)
        players = [
            MediaPlayer(user, url, self._config, sink, self._ended, started, tell) for user, url in self._urls.items()
        ]
        played = [asyncio.create_task(_in_thread(player.play)) for player in players]
        for task in played:
            task.add_done_callback(lambda _: changed.set())
        try:
            while not all(_is_over(task) or player.absent for task, player in zip(played, players, strict=True)):
                await changed.wait()
                changed.clear()
        finally:
            self._ended.set()
            for task in played:
                task.cancel()
        if all(player.failure for player in players):
            broken = [player.failure for player in players if player.opened]
            raise Lost(broken[0]) if broken else Unreachable(players[0].failure)

    def keyframe(self, uid: str) -> None:
        """A URL cannot be asked for one; the next comes by itself."""


def _is_over(task: asyncio.Task[None]) -> bool:
    """Raises what it has failed with."""
    if task.done():
        task.result()
    return task.done()


def _call_soon(loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
    """From another thread."""
    with contextlib.suppress(RuntimeError):  # the loop has been closed: nobody waits any more
        loop.call_soon_threadsafe(callback)


async def _in_thread(work: Any) -> None:
    """Run `work` in a thread of its own: the loop's executor has few, and a URL keeps one for as long as it lives."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def settle(error: BaseException | None) -> None:
        if not done.done():
            done.set_result(None) if error is None else done.set_exception(error)

    def body() -> None:
        error: BaseException | None = None
        try:
            work()
        except BaseException as caught:
            error = caught
        _call_soon(loop, partial(settle, error))

    threading.Thread(target=body, name="media", daemon=True).start()
    await done
