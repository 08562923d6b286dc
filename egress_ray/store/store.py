"""The task store as the manager uses it: one writer thread, many callers' work in one durable commit."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine

from egress_ray.store.engine import open_engine

T = TypeVar("T")
# Work done under one commit; bounds how long the first of them waits for the last.
_BATCH = 64


@dataclass(slots=True)
class _Work:
    do: Callable[[Connection], Any]
    done: Future[Any]


class TaskStore:
    """Runs functions of `egress_ray.store.rows`, each atomically. What `run` has returned is on the disk."""

    def __init__(self, url: str) -> None:
        self._engine: Engine = open_engine(url)
        self._queue: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="store", daemon=True)
        self._thread.start()

    async def run(self, do: Callable[[Connection], T]) -> T:
        """Do this in a transaction; returns after its commit, raises what it or the database raised."""
        done: Future[T] = Future()
        self._queue.put(_Work(do, done))
        return await asyncio.wrap_future(done)

    def close(self) -> None:
        """Finish what is queued and disconnect."""
        self._queue.put(None)
        self._thread.join(timeout=10)
        self._engine.dispose()

    def _serve(self) -> None:
        while True:
            work = self._queue.get()
            if work is None:
                return
            batch = [work]
            last = False
            while len(batch) < _BATCH and not self._queue.empty():
                more = self._queue.get()
                if more is None:
                    last = True
                    break
                batch.append(more)
            self._commit(batch)
            if last:
                return

    def _commit(self, batch: list[_Work]) -> None:
        """One transaction for all; each in a savepoint, so that one's failure is its own."""
        outcomes: list[tuple[_Work, Any, BaseException | None]] = []
        try:
            with self._engine.begin() as connection:
                for work in batch:
                    try:
                        with connection.begin_nested():
                            outcomes.append((work, work.do(connection), None))
                    except Exception as error:
                        outcomes.append((work, None, error))
        except Exception as error:  # the commit itself: nothing of it happened
            outcomes = [(work, None, error) for work in batch]
        for work, value, failure in outcomes:
            if work.done.cancelled() or not work.done.set_running_or_notify_cancel():
                continue
            if failure is None:
                work.done.set_result(value)
            else:
                work.done.set_exception(failure)
