"""Durable starts a second by REST: the running service against the same handlers in plain uvicorn."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx

from benchmarks.load import Load, post
from benchmarks.service import NATIVE, service
from benchmarks.table import Table
from benchmarks.tree import Tree, running
from tests.ports import free_port

# Connections -> requests of one run.
_FULL = {1: 200, 16: 600, 64: 1200}
_QUICK = {1: 50, 16: 300, 64: 600}
# More than any node has: nothing is recorded while starts are counted.
_NO_ROOM = {"EGRESS_COST__NATIVE_MEMORY_MB": "100000000", "EGRESS_LIMITS__ENQUEUED_S": "900"}


def run(quick: bool) -> list[Table]:
    """Both, at several numbers of connections."""
    runs, counts = (1, _QUICK) if quick else (3, _FULL)
    table = Table(
        "API: durable starts",
        ["connections", "ours/s", "plain/s", "ratio", "ours p50", "ours p99", "plain p50", "plain p99"],
        f"Median of {runs} runs of {', '.join(map(str, counts.values()))} POSTs. Ours: the whole way through HAProxy, "
        "the Serve replica and the task manager to SQLite (WAL, synchronous=FULL); the tasks then wait for more memory "
        "than the node has. Plain: uvicorn with the same FastAPI handlers and the same store in one process. The load "
        "comes from the same machine.",
    )
    numbers = itertools.count()
    found: dict[tuple[int, str], list[Load]] = {}
    with service(_NO_ROOM) as ours, _plain() as plain:
        _measure(ours.port, 50, 4, numbers)
        _measure(plain, 50, 4, numbers)
        for _ in range(runs):
            for connections, count in counts.items():
                for name, port in (("ours", ours.port), ("plain", plain)):
                    found.setdefault((connections, name), []).append(_measure(port, count, connections, numbers))
    for connections in counts:
        ours_rate, plain_rate = (
            _median(found[connections, name], lambda load: load.rate) for name in ("ours", "plain")
        )
        table.add(
            str(connections),
            f"{ours_rate:.0f}",
            f"{plain_rate:.0f}",
            f"{ours_rate / plain_rate:.2f}x",
            *(
                f"{_median(found[connections, name], value):.1f} ms"
                for name in ("ours", "plain")
                for value in (lambda load: load.p50, lambda load: load.p99)
            ),
        )
    return [table]


def _measure(port: int, count: int, connections: int, numbers: Iterator[int]) -> Load:
    def body(_: int) -> dict[str, Any]:
        return {"request_id": f"bench{next(numbers)}", "cmd": "record", "payload": NATIVE}

    return asyncio.run(post(port, "/egress/v1/bench/tasks", body, count, connections))


def _median(loads: list[Load], value: Callable[[Load], float]) -> float:
    return statistics.median(map(value, loads))


@contextlib.contextmanager
def _plain() -> Iterator[int]:
    with tempfile.TemporaryDirectory() as name:
        port = free_port()
        command = [sys.executable, "-m", "benchmarks.plain_api", str(port), name]
        with running(command, Path(name) / "log.txt") as tree:
            _wait(tree, port)
            yield port


def _wait(tree: Tree, port: int) -> None:
    limit = time.monotonic() + 30
    while time.monotonic() < limit:
        tree.check()
        with contextlib.suppress(httpx.HTTPError):
            httpx.get(f"http://127.0.0.1:{port}/healthz")
            return
        time.sleep(0.1)
    raise TimeoutError("The plain API did not start within 30 s.")
