"""The running service, as `make run` starts it, with a data folder and a port of its own, and calls to its REST API."""

from __future__ import annotations

import contextlib
import secrets
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from benchmarks.tree import Tree, running
from tests.ports import free_port

_READY_S = 60.0
_END_S = 45.0
TERMINAL = ("STOPPED", "FAILED", "TIMEOUT")


@dataclass(frozen=True)
class Service:
    """A service that is ready."""

    tree: Tree
    data: Path
    http: httpx.Client
    port: int

    def start(self, payload: Mapping[str, Any]) -> str:
        """Start a task; its id."""
        return str(self._post("", {"cmd": "record", "payload": payload})["task_id"])

    def stop(self, task: str) -> None:
        """Ask for a stop."""
        self._post(f"/{task}/stop", {})

    def status(self, task: str) -> dict[str, Any]:
        """The task as it is."""
        return self._post(f"/{task}/status", {})

    def wait(self, task: str, *states: str, limit_s: float = 30) -> dict[str, Any]:
        """The task when it is in one of these states. Raises RuntimeError when it ends otherwise or too late."""
        limit = time.monotonic() + limit_s
        while True:
            now = self.status(task)
            if now["state"] in states:
                return now
            if now["state"] in TERMINAL or time.monotonic() > limit:
                raise RuntimeError(f"Task {task} is {now['state']}: {now['error'] or now['message']}")
            time.sleep(0.02)

    def _post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        reply = self.http.post(f"/egress/v1/bench/tasks{path}", json={"request_id": secrets.token_hex(8), **body})
        answer: dict[str, Any] = reply.json()
        if reply.is_error:
            raise RuntimeError(f"HTTP {reply.status_code}: {answer}")
        return answer


NATIVE: dict[str, Any] = {
    "channel": "egress_test",
    "access_token": "benchmark-token",
    "workerUid": 42,
    "users": ["user1", "user2"],
    "filename_pattern": "bench",
}


def web(url: str) -> dict[str, Any]:
    """The payload that records a page."""
    return {"layout": "freestyle", "url": url, "filename_pattern": "bench"}


@contextlib.contextmanager
def service(settings: Mapping[str, str] | None = None) -> Iterator[Service]:
    """The service with these `EGRESS_*` variables; it and its data end with the block."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder, port = Path(name), free_port()
        env = {"EGRESS_DATA_DIR": str(folder / "data"), "EGRESS_HTTP__PORT": str(port)}
        env |= {"EGRESS_WEB__ALLOWED_NETWORKS": '["127.0.0.0/8"]', **(settings or {})}  # the benchmarks' own pages
        with (
            running([sys.executable, "-m", "egress_ray"], folder / "log.txt", env, end_s=_END_S) as tree,
            httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as http,
        ):
            _wait_until_ready(tree, http)
            yield Service(tree, folder / "data", http, port)


def _wait_until_ready(tree: Tree, http: httpx.Client) -> None:
    limit = time.monotonic() + _READY_S
    while time.monotonic() < limit:
        tree.check()
        with contextlib.suppress(httpx.HTTPError):
            if http.get("/readyz").status_code == httpx.codes.OK:
                return
        time.sleep(0.1)
    raise TimeoutError(f"The service was not ready within {_READY_S:.0f} s:\n{tree.output()[-2000:]}")
