"""Browser after browser within one attempt: one that is lost is replaced, and the page loaded again.

At the first doubt its successor is started beside it, and takes its place when it is ready and the doubt is still
there. Meanwhile, if it is known to be lost, there is the slate.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from recorders.config import WebConfig
from recorders.errors import Lost, RecorderError, Unreachable
from recorders.web.clock import Clock
from recorders.web.liveness import TICK_S, Doubt
from recorders.web.session import Beginning, Session, cancel, first
from recorders.web.sink import Sink

# The slate keeps this far behind: a browser may have begun before it has told so.
_BEHIND_S = 1.0
# How long to wait after successors that did not come up, for each of them.
_AGAIN_S = 1.0


class Succession:
    """The browsers of one attempt, made by `new`, whose media goes to `sink`, on the attempt's `clock`."""

    def __init__(self, new: Callable[[], Session], sink: Sink, config: WebConfig, clock: Clock) -> None:
        self._new = new
        self._sink = sink
        self._config = config
        self._clock = clock
        self._present = new()
        self._began = 0.0
        self._lost: RecorderError | None = None  # why the present one is no more
        self._next: Session | None = None
        self._starting: asyncio.Task[Beginning] | None = None
        self._not_before = 0.0  # when the next one may be started (monotonic)
        self._in_a_row = 0
        self._trouble_at = 0.0
        self._gone: list[asyncio.Task[None]] = []
        self._counters: dict[str, int] = {}
        self._refused = 0
        self.replaced: list[tuple[float, str]] = []
        """When (Unix seconds) another one took over, and why."""

    @property
    def present(self) -> Session:
        """The one that records, or did last."""
        return self._present

    @property
    def counters(self) -> dict[str, int]:
        """Of all of them together."""
        total = _sum(self._counters, self._present.feed.counters)
        total["requests_refused"] = self._refused + self._present.requests_refused
        total["audio_late"] = self._sink.audio_late
        filled, left_out = self._sink.slate_frames
        if filled:
            total["slate_frames"] = filled
        if filled or left_out:
            total["frames"] = total.get("frames", 0) + filled - left_out
        return total

    async def start(self, prepared: asyncio.Future[Any]) -> Beginning:
        """The first one. Raises `RecorderError`."""
        begun = await self._present.start(prepared)
        self._began = time.monotonic()
        return begun

    async def watch(self, stopped: asyncio.Future[Any]) -> None:
        """Until `stopped`, or the page says that it is at its end, seeing to it that there is a browser. Raises what
        ends the attempt otherwise."""
        while not stopped.done() and not self._present.contract.has_ended:
            if self._sink.failed.done():
                self._sink.failed.result()
            doubt = self._look()
            self._provide(doubt)
            if self._lost is not None:
                self._slate(self._clock.now() - _BEHIND_S, str(self._lost))
            events: list[asyncio.Future[Any]] = []
            if self._lost is None:
                events += [*self._present.lost, self._present.contract.ended]
            if self._starting is not None:
                events.append(self._starting)
            await first(stopped, self._sink.failed, *events, timeout=TICK_S)

    async def flush(self) -> float | None:
        """The present one's last pictures; its length by its clock, None when it does not answer."""
        if self._lost is None:
            seconds = await self._present.flush()
            self._present.feed.mute()
            return seconds
        self._slate(self._clock.now(), str(self._lost))
        return None

    async def close(self) -> None:
        """End all of them."""
        if self._starting is not None:
            await cancel(self._starting)
        for session in (self._present if self._lost is None else None, self._next):
            if session is not None:
                self._end(session)
        await asyncio.gather(*self._gone)

    def _look(self) -> Doubt | None:
        """What is wrong with the present one; None when nothing is."""
        if self._lost is None:
            try:
                doubt = self._present.look()
            except RecorderError as error:
                self._lost = error
                self._end(self._present, kill=True)
            else:
                now = time.monotonic()
                self._trouble_at = now if doubt is not None else self._trouble_at
                if now - max(self._trouble_at, self._began) >= self._config.healthy_s:
                    self._in_a_row = 0
                return doubt
        return Doubt("browser", str(self._lost))

    def _provide(self, doubt: Doubt | None) -> None:
        """See to it that a successor is started, takes over, or is sent home."""
        if self._starting is not None and self._starting.done():
            starting, self._starting = self._starting, None
            assert self._next is not None
            session, self._next = self._next, None
            error = starting.exception()
            if error is None and doubt is not None:
                self._take_over(session, starting.result(), doubt)
                return
            self._end(session)
            self._not_before = time.monotonic() + self._in_a_row * _AGAIN_S
            if error is None:
                self._in_a_row -= 1
            else:
                self._failed(error)
        elif self._starting is not None and doubt is None:
            self._send_home()
        if doubt is not None and self._starting is None and time.monotonic() >= self._not_before:
            self._begin(doubt)

    def _begin(self, doubt: Doubt) -> None:
        """Start a successor, if there may be another one."""
        # A page that hangs again when it has been loaded again is recorded as it stands.
        most = 1 if doubt.what == "page" else self._config.replace_in_a_row
        if self._in_a_row < most:
            self._in_a_row += 1
            self._next = self._new()
            self._starting = asyncio.create_task(self._next.start())
        elif self._lost is not None:
            count = self._in_a_row
            row = "1 browser was" if count == 1 else f"{count} browsers in a row were"
            raise Lost(f"{self._lost} {row} replaced." if count else str(self._lost))

    def _failed(self, error: BaseException) -> None:
        """A successor did not come up."""
        if self._lost is None:
            return
        if not isinstance(error, RecorderError) or not error.retryable:
            raise error
        if self._in_a_row >= self._config.replace_in_a_row:
            raise Lost(str(error)) if isinstance(error, Unreachable) else error

    def _take_over(self, session: Session, begun: Beginning, doubt: Doubt) -> None:
        former, self._present = self._present, session
        if self._lost is None:
            self._end(former, kill=True)
        self._lost = None
        self._counters = _sum(self._counters, former.feed.counters)
        self._refused += former.requests_refused
        self._sink.do(lambda output: output.go_on(begun, doubt.why))
        session.feed.begin()
        self._began = time.monotonic()
        self.replaced.append((begun.at, doubt.why))

    def _send_home(self) -> None:
        """The successor is not needed after all."""
        assert self._next is not None
        assert self._starting is not None
        self._end(self._next, starting=self._starting)
        self._next = self._starting = None
        self._in_a_row -= 1
        self._not_before = time.monotonic() + _AGAIN_S

    def _slate(self, until: float, why: str) -> None:
        self._sink.do(lambda output: output.slate(until, why))

    def _end(self, session: Session, kill: bool = False, starting: asyncio.Task[Beginning] | None = None) -> None:
        async def end() -> None:
            if starting is not None:
                await cancel(starting)
            await session.close(kill)

        session.feed.mute()
        self._gone = [task for task in self._gone if not task.done()]
        self._gone.append(asyncio.create_task(end()))


def _sum(a: dict[str, int], b: dict[str, int]) -> dict[str, int]:
    return {name: a.get(name, 0) + b.get(name, 0) for name in (*a, *(set(b) - set(a)))}
