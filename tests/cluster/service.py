"""The running service for tests: started as `make run` starts it, reached as its users reach it."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import yaml

from tests.ports import free_port
from tests.processes import program, title

ROOT = Path(__file__).parents[2]
TERMINAL = ("STOPPED", "FAILED", "TIMEOUT")
TOKEN = "a-token-to-look-for-0123456789"
ENQUEUED_S, STOP_S, IN_A_ROW, PAGES = 12.0, 4.0, 3, 2
# The app that has an Agora certificate in the settings, after the test that it is for.
CERTIFIED = "test_two_publishers_push_into_the_recording_by_whip"
# In a service's folder: at which of its manager's commits that is killed, where the service has it in its settings.
KILL_AT = "kill-at"
_READY_S = 60.0
_BUSY = 3.0
_END_S = 40.0

# The pages of the tests are on loopback, where pages may not go by default.
OWN_PAGES = {"EGRESS_WEB__ALLOWED_NETWORKS": '["127.0.0.0/8"]'}

SMALL = {"width": 320, "height": 180, "frameRate": 15, "bitrate": 200}


def native(channel: str = "demo", **changes: Any) -> dict[str, Any]:
    """The payload of a small native recording of synthetic participants."""
    payload = {"channel": channel, "access_token": TOKEN, "workerUid": 7, "filename_pattern": "out", "video": SMALL}
    return {**payload, **changes}


def page(url: str, **changes: Any) -> dict[str, Any]:
    """The payload of a web recording."""
    return {"layout": "freestyle", "url": url, "filename_pattern": "out", **changes}


@dataclass(frozen=True)
class Service:
    """A service that is ready. Each test uses an app id of its own."""

    process: subprocess.Popen[bytes]
    http: httpx.Client
    data: Path
    log: Path

    def app(self, name: str) -> App:
        """Calls on behalf of one app."""
        return App(self, name)

    def descendants(self) -> list[psutil.Process]:
        """All processes of the service."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def processes(self, beginning: str) -> list[psutil.Process]:
        """Those whose command line begins so."""
        return [process for process in self.descendants() if title(process).startswith(beginning)]

    def programs(self, name: str) -> list[psutil.Process]:
        """Those that run a program of that name."""
        return [process for process in self.descendants() if program(process) == name]

    def recorder(self, task: str) -> psutil.Process:
        """The process that records a task."""
        (found,) = self.processes(f"ray::record {task}")
        return found

    def redeploy(self, retired_s: float = 0.0, **changes: dict[str, Any]) -> None:
        """Deploy the task manager with these sections of its settings changed, but for what its environment says; the
        former one takes so long to end."""
        (former,) = self.processes("ray::TaskManager")
        (gcs,) = self.programs("gcs_server")
        port = next(each.laddr.port for each in gcs.net_connections("tcp") if each.status == "LISTEN")
        command = [sys.executable, "-m", "tests.cluster.redeploy", f"127.0.0.1:{port}"]
        subprocess.run(
            [*command, str(retired_s), json.dumps(changes)],
            cwd=ROOT,
            env=psutil.Process(self.process.pid).environ(),
            check=True,
            timeout=60,
        )
        until(lambda: not former.is_running(), 5, lambda: "the former manager is still there")


@dataclass(frozen=True)
class App:
    """The REST API for one app."""

    service: Service
    name: str

    def post(self, path: str, body: Mapping[str, Any]) -> httpx.Response:
        return self.service.http.post(f"/egress/v1/{self.name}/tasks{path}", json=body)

    def start(self, payload: Mapping[str, Any], request_id: str | None = None) -> str:
        """Start a recording; its task id."""
        body = {"request_id": request_id or secrets.token_hex(8), "cmd": "record", "payload": payload}
        reply = self.post("", body)
        assert reply.status_code == 200, reply.text
        answer = reply.json()
        assert answer["request_id"] == body["request_id"]
        return str(answer["task_id"])

    def stop(self, task: str) -> dict[str, Any]:
        reply = self.post(f"/{task}/stop", {"request_id": "stop1"})
        assert reply.status_code == 200, reply.text
        answer: dict[str, Any] = reply.json()
        return answer

    def status(self, task: str) -> dict[str, Any]:
        reply = self.post(f"/{task}/status", {"request_id": "status1"})
        assert reply.status_code == 200, reply.text
        answer: dict[str, Any] = reply.json()
        return answer

    def wait(self, task: str, *states: str, limit_s: float = 30) -> dict[str, Any]:
        """The task as soon as it is in one of these states; fails when it ends otherwise."""
        now: dict[str, Any] = {}

        def there() -> bool:
            nonlocal now
            now = self.status(task)
            assert now["state"] in states or now["state"] not in TERMINAL, now
            return now["state"] in states

        until(there, limit_s, lambda: f"task {task} is {now}")
        return now

    def begin(self, payload: Mapping[str, Any]) -> str:
        """Start a recording and wait until something is recorded."""
        task = self.start(payload)
        until(lambda: self.status(task)["payload"]["files"] != [], 60, lambda: str(self.status(task)))
        return task

    def record(self, payload: Mapping[str, Any], parts: int = 1) -> str:
        """Start a recording and wait until that many parts are closed."""
        task = self.start(payload)
        self.wait(task, "PROCESSING")
        folder = self.folder(task)

        def listed() -> int:
            return sum(playlist.read_text().count("#EXTINF") for playlist in folder.glob("*.m3u8"))

        until(lambda: listed() >= parts, 30, lambda: f"parts of {task}: {self.status(task)}")
        return task

    def folder(self, task: str) -> Path:
        """Where a task's files are."""
        return self.service.data / "recordings" / self.name / task

    def file(self, task: str, name: str) -> str:
        """The URL of a task's file."""
        return f"{self.service.http.base_url}/egress/v1/{self.name}/tasks/{task}/files/{name}"


def until(condition: Callable[[], bool], limit_s: float, what: Callable[[], str]) -> None:
    """Wait for a condition; fails with `what` after the limit, which is that of a machine that does nothing else."""
    limit = time.monotonic() + limit_s * _BUSY
    while not condition():
        assert time.monotonic() < limit, f"not within {limit_s * _BUSY:g} s: {what()}"
        time.sleep(0.02)


def gone(processes: list[psutil.Process], limit_s: float) -> None:
    """Wait until processes have ended."""

    def alive() -> list[psutil.Process]:
        return [each for each in processes if _lives(each)]

    until(lambda: not alive(), limit_s, lambda: f"still there: {[title(each) for each in alive()]}")


def ports() -> dict[str, str]:
    """Ports for HAProxy's own use that no other service of this machine has."""
    return {
        "RAY_SERVE_HAPROXY_METRICS_PORT": str(free_port()),
        "RAY_SERVE_HAPROXY_STATS_PORT": str(free_port()),
        "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": str(free_port()),
    }


@contextmanager
def running(command: list[str], folder: Path, port: int, settings: Mapping[str, str]) -> Iterator[Service]:
    """A service by that command, ready at that port; ended with all its processes at the end."""
    log, data = folder / "service.log", folder / "data"
    env = {
        **os.environ,
        **ports(),
        "EGRESS_DATA_DIR": str(data),
        "EGRESS_HTTP__PORT": str(port),
        **OWN_PAGES,
        **settings,
    }
    # Whoever runs the tests in the background may ignore Ctrl-C, and its children with it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, cwd=ROOT, env=env, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
        )
    known: list[psutil.Process] = []
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as http:
            until(lambda: _ready(http, process, log), _READY_S, log.read_text)
            service = Service(process, http, data, log)
            yield service
            known = _family(process)
    finally:
        known = known or _family(process)
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        try:
            process.wait(_END_S)
            gone(known, 10)
        finally:
            for each in [*known, psutil.Process(process.pid)] if process.poll() is None else known:
                if each.is_running():
                    each.kill()


def _family(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """All processes of a service, none when a test has killed it with them."""
    return psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []


def _ready(http: httpx.Client, process: subprocess.Popen[bytes], log: Path) -> bool:
    assert process.poll() is None, f"the service ended with {process.returncode}: {log.read_text()}"
    try:
        return http.get("/readyz").status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def serve_config(folder: Path, port: int, **args: Any) -> Path:
    """A copy of `serve_config.yaml` with these settings more; 8091, which it has, may be somebody's."""
    config = yaml.safe_load((ROOT / "serve_config.yaml").read_text())
    assert (config["http_options"]["host"], config["http_options"]["port"]) == ("127.0.0.1", 8091)
    config["http_options"]["port"] = port
    config["applications"][0]["args"].update(args)
    path = folder / "serve_config.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def command() -> list[str]:
    """As `make run` does it."""
    return [sys.executable, "-m", "egress_ray"]
