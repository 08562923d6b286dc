"""The task store as the manager uses it: one writer thread, many callers' work in one durable commit."""

from __future__ import annotations

import asyncio
import logging
import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import InterfaceError, InternalError, OperationalError

from egress_ray.store.engine import open_engine
from egress_ray.store.faults import fault_point

log = logging.getLogger("egress_ray.store")
T = TypeVar("T")
# Work done under one commit; bounds how long the first of them waits for the last.
_BATCH = 64
# How soon a database that is away is tried again.
_AGAIN_S = 0.5


@dataclass(slots=True)
class _Work:
    do: Callable[[Connection], Any]
    done: Future[Any]


# A connection that is lost, a statement that took too long, a disk that is full, a server that became a standby: what
# the database may get over. Nothing that a statement of ours is to blame for is among them.
_PASSING = (OperationalError, InterfaceError, InternalError, OSError)


class StoreAway(Exception):
    """The database cannot do it now. Nothing was changed, or at most the commit itself was done."""


class TaskStore:
    """Runs functions of `egress_ray.store.rows`, each atomically. What `run` has returned is on the disk.

    The database is connected to when it is first needed, and again whenever the connection was lost.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._engine: Engine | None = None
        self._queue: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="store", daemon=True)
        self._thread.start()

    async def run(self, do: Callable[[Connection], T]) -> T:
        """Do this in a transaction; returns after its commit.

        Raises what it raised, or `StoreAway`.
        """
        done: Future[T] = Future()
        self._queue.put(_Work(do, done))
        return await asyncio.wrap_future(done)

    async def insist(self, do: Callable[[Connection], T]) -> T:
        """As `run`, again and again until the database is there. `do` must have the same effect when done twice."""
        told = False
        while True:
            try:
                return await self.run(do)
            except StoreAway as error:
                if not told:
                    log.warning("Waiting for the task store: %s", error)
                told = True
                await asyncio.sleep(_AGAIN_S)

    def close(self) -> None:
        """Finish what is queued and disconnect."""
        self._queue.put(None)
        self._thread.join(timeout=10)
        if self._engine is not None:
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
            if self._engine is None:
                self._engine = open_engine(self._url)
            with self._engine.begin() as connection:
                for work in batch:
                    try:
                        with connection.begin_nested():
                            outcomes.append((work, work.do(connection), None))
                    except Exception as error:
                        if connection.invalidated:
                            raise
                        outcomes.append((work, None, _passing(error)))
                fault_point()
            fault_point()
        except Exception as error:  # the connection, or the commit itself: nothing of it counts
            outcomes = [(work, None, _passing(error)) for work in batch]
        for work, value, failure in outcomes:
            if work.done.cancelled() or not work.done.set_running_or_notify_cancel():
                continue
            if failure is None:
                work.done.set_result(value)
            else:
                work.done.set_exception(failure)


def _passing(error: Exception) -> Exception:
    """`StoreAway`, with what the database's driver says in one line, without the statement and its values; the error
    itself when it will not pass."""
    if not isinstance(error, _PASSING) or _is_ours(error):
        return error
    cause = error if isinstance(error, OSError) else error.orig
    return StoreAway((str(cause).strip().splitlines() or [type(cause).__name__])[0])


def _is_ours(error: Exception) -> bool:
    """SQLite has the same class for a statement that is wrong as for a disk that is full."""
    cause = getattr(error, "orig", None)
    return isinstance(cause, sqlite3.OperationalError) and cause.sqlite_errorcode & 0xFF == sqlite3.SQLITE_ERROR
