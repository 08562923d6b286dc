"""The links' receivers: what one browser after the other sends goes to the output, in order, on a thread of its own."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from recorders.errors import RecorderError

if TYPE_CHECKING:
    from recorders.web.output import Output

Job = Callable[["Output"], None]


class Sink:
    """`failed` holds the first error of the output.

    Lives on the event loop that makes it; only the output runs on the thread.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        # Not an executor: there are fifty jobs a second, and nobody waits for any of them.
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="web-output", daemon=True)
        self._thread.start()
        self._output: Output | None = None
        self._closing = False
        self.failed: asyncio.Future[None] = self._loop.create_future()

    @property
    def slate_frames(self) -> tuple[int, int]:
        """How many pictures were of the slate, and how many of browsers were left out for it."""
        return (self._output.filled, self._output.left_out) if self._output is not None else (0, 0)

    @property
    def audio_late(self) -> int:
        """How many blocks of sound came too late to be recorded, or only in part."""
        return self._output.audio_late if self._output is not None else 0

    def open(self, make: Callable[[], Output]) -> None:
        """Make the output, before there is anything to `do`."""
        self._jobs.put(lambda: self._open(make))

    def do(self, job: Job) -> None:
        """Next, unless it is closing or has failed."""
        if not self._closing:
            self._jobs.put(lambda: self._run(job))

    async def close(self, seconds: float | None) -> None:
        """Close the last part and the thread; idempotent. Raises `RecorderError` when the log cannot be written."""
        self.do(lambda output: output.close(seconds))
        self._closing = True  # what comes now is too late for the recording
        self._jobs.put(None)
        await self._loop.run_in_executor(None, self._thread.join)
        await asyncio.sleep(0)  # a failure of the last job has been posted to the loop before
        if self.failed.done():
            self.failed.result()

    def _open(self, make: Callable[[], Output]) -> None:
        self._output = make()

    def _run(self, job: Job) -> None:
        if self._output is not None and not self.failed.done():
            job(self._output)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                job()
            except Exception as error:
                fact = f"{type(error).__name__}: {error}"
                known = error if isinstance(error, RecorderError) else RecorderError(f"Writing broke off: {fact}.")
                self._loop.call_soon_threadsafe(self._fail, known)
            del job  # it holds the last picture's data, or the output

    def _fail(self, error: RecorderError) -> None:
        if not self.failed.done():
            self.failed.set_exception(error)
            self.failed.exception()  # retrieved: not everybody waits for it


class Feed:
    """What one browser sends: it waits until `begin`, and is nothing after `mute`."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._early: list[Job] | None = []
        self._muted = False
        self._counters: dict[str, int] = {}
        self._slots = 0

    @property
    def counters(self) -> dict[str, int]:
        """As it last told; what a browser that is gone has counted but not sent is left out."""
        if self._muted and "frames" in self._counters:
            return {**self._counters, "frames": self._slots}
        return self._counters

    def begin(self) -> None:
        """It is this browser's turn."""
        early, self._early = self._early or [], None
        for job in early:
            self._sink.do(job)

    def mute(self) -> None:
        """It is another's turn."""
        self._muted, self._early = True, None

    def description(self, data: bytes) -> None:
        """See `link.Receiver`."""
        self._do(lambda output: output.description(data))

    def picture(self, n: int, key: bool, data: bytes) -> None:
        """See `link.Receiver`."""
        self._slots = self._slots if self._muted else n + 1
        self._do(lambda output: output.picture(n, key, data))

    def sound(self, seconds: float, sample_rate: int, channels: int, planes: bytes) -> None:
        """See `link.Receiver`."""
        self._do(lambda output: output.sound(seconds, sample_rate, channels, planes))

    def status(self, seconds: float, counters: dict[str, int]) -> None:
        """See `link.Receiver`."""
        self._counters = self._counters if self._muted else counters
        self._do(lambda output: output.elapsed(seconds))

    def _do(self, job: Job) -> None:
        if self._muted:
            return
        if self._early is not None:
            self._early.append(job)
        else:
            self._sink.do(job)
