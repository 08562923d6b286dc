"""The link's receiver: hands what the browser sends to the output, in order, on a thread of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from recorders.errors import RecorderError

if TYPE_CHECKING:
    from recorders.web.output import Output


class Sink:
    """Media that comes before `begin` waits; `failed` holds the first error of the output.

    Lives on the event loop that makes it; only the output runs on the thread.
    """

    def __init__(self, keep_counters: Callable[[dict[str, int]], None]) -> None:
        self._keep_counters = keep_counters
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="web-output")
        self._loop = asyncio.get_running_loop()
        self._output: Output | None = None
        self._early: list[Callable[[Output], None]] = []
        self._closing = False
        self.failed: asyncio.Future[None] = self._loop.create_future()

    def begin(self, make: Callable[[], Output]) -> None:
        """Make the output and give it what has come already."""
        self._thread.submit(self._guarded, lambda: self._begin(make))

    async def close(self, seconds: float | None) -> None:
        """Close the last part and the thread; idempotent. Raises `RecorderError` when the log cannot be written."""
        self._do(lambda output: output.close(seconds))
        self._closing = True  # what comes now is too late for the recording
        await self._loop.run_in_executor(None, self._thread.shutdown)
        await asyncio.sleep(0)  # a failure of the last job has been posted to the loop before
        if self.failed.done():
            self.failed.result()

    def description(self, data: bytes) -> None:
        """See `link.Receiver`."""
        self._do(lambda output: output.description(data))

    def picture(self, n: int, key: bool, data: bytes) -> None:
        """See `link.Receiver`."""
        self._do(lambda output: output.picture(n, key, data))

    def sound(self, seconds: float, sample_rate: int, channels: int, planes: bytes) -> None:
        """See `link.Receiver`."""
        self._do(lambda output: output.sound(seconds, sample_rate, channels, planes))

    def status(self, seconds: float, counters: dict[str, int]) -> None:
        """See `link.Receiver`."""
        self._keep_counters(counters)
        self._do(lambda output: output.elapsed(seconds))

    def _do(self, job: Callable[[Output], None]) -> None:
        if not self._closing:
            self._thread.submit(self._guarded, lambda: self._run(job))

    def _begin(self, make: Callable[[], Output]) -> None:
        self._output = make()
        early, self._early = self._early, []
        for job in early:
            job(self._output)

    def _run(self, job: Callable[[Output], None]) -> None:
        if self._output is None:
            self._early.append(job)
        elif not self.failed.done():
            job(self._output)

    def _guarded(self, job: Callable[[], None]) -> None:
        try:
            job()
        except Exception as error:
            fact = f"{type(error).__name__}: {error}"
            known = error if isinstance(error, RecorderError) else RecorderError(f"Writing broke off: {fact}.")
            self._loop.call_soon_threadsafe(self._fail, known)

    def _fail(self, error: RecorderError) -> None:
        if not self.failed.done():
            self.failed.set_exception(error)
            self.failed.exception()  # retrieved: not everybody waits for it
