"""Recordings that end by themselves: after so long, at so many bytes, or when nothing has happened for a while."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator

from recorders.progress import Progress
from recorders.recorder import EndReason, Recorder
from recorders.sources.base import Source
from recorders.spec import Limits

_LOOK_S = 0.5


def reached(limits: Limits, progress: Progress, now: float) -> EndReason | None:
    """Which limit a recording has reached at `now` (Unix seconds); None when none."""
    if limits.duration_s and progress.began_at is not None and now - progress.began_at >= limits.duration_s:
        return "max_duration"
    if limits.size_mb and progress.bytes >= limits.size_mb * 1_000_000:
        return "max_size"
    if limits.idle_s and progress.idle_seconds >= limits.idle_s:
        return "idle"
    return None


class Limited:
    """A `Recorder` that is stopped when it reaches one of its limits, which is then the reason of its end."""

    def __init__(self, recorder: Recorder, limits: Limits) -> None:
        self._recorder = recorder
        self._limits = limits
        self._stopped = False

    @property
    def source(self) -> Source | None:
        """The back end of a channel that is recorded."""
        return getattr(self._recorder, "source", None)

    async def run(self) -> EndReason:
        """See `Recorder`."""
        over: list[EndReason] = []
        with self._watched(over):
            reason = await self._recorder.run()
        return over[0] if over and not self._stopped else reason

    def stop(self) -> None:
        """See `Recorder`."""
        self._stopped = True
        self._recorder.stop()

    def progress(self) -> Progress:
        """See `Recorder`."""
        return self._recorder.progress()

    @contextlib.contextmanager
    def _watched(self, over: list[EndReason]) -> Iterator[None]:
        watch = asyncio.create_task(self._watch(over))
        try:
            yield
        finally:
            watch.cancel()

    async def _watch(self, over: list[EndReason]) -> None:
        while (reason := reached(self._limits, self._recorder.progress(), time.time())) is None:  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_S)
        over.append(reason)
        self._recorder.stop()
