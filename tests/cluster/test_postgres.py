"""The service on PostgreSQL, which is killed under load."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping

import httpx

from recorders.log.segment_log import read_index
from tests.cluster.conftest import Elsewhere
from tests.cluster.service import App, native, until

_AWAY_S = 6.5  # longer than a lease
_RECORDINGS = 3


def test_postgres_killed_under_load_interrupts_no_recording_and_loses_no_state(elsewhere: Elsewhere) -> None:
    service, postgres = elsewhere.service, elsewhere.postgres
    app = service.app("load")
    tasks = [app.record(native()) for _ in range(_RECORDINGS)]
    recorders = [service.recorder(task) for task in tasks]
    accepted: list[str] = []
    refused: list[int] = []
    enough = threading.Event()
    load = threading.Thread(target=_load, args=(app, accepted, refused, enough))
    load.start()
    try:
        until(lambda: len(accepted) >= 5, 20, lambda: f"{len(accepted)} accepted")
        postgres.kill()
        time.sleep(_AWAY_S)
        assert service.http.get("/healthz").status_code == httpx.codes.OK
        assert service.http.get("/readyz").status_code == httpx.codes.SERVICE_UNAVAILABLE
        postgres.start()
        before = len(accepted)
        until(lambda: len(accepted) >= before + 5, 20, lambda: "nothing is accepted again")
    finally:
        enough.set()
        load.join(30)
    assert set(refused) == {503}
    for task, recorder in zip(tasks, recorders, strict=True):
        assert recorder.is_running()
        assert app.status(task)["state"] == "PROCESSING"
        app.stop(task)
    for task in tasks:
        app.wait(task, "STOPPED")
        index = read_index(app.folder(task))
        assert index.newest_attempt == 1
        assert index.seconds > _AWAY_S
    for task in accepted:
        assert app.wait(task, "STOPPED")["reason"] == "user_stop"
    assert b"a-password" not in service.log.read_bytes()


def _load(app: App, accepted: list[str], refused: list[int], enough: threading.Event) -> None:
    """Starts and stops, one after the other: never more of them than their stops."""
    number = 0
    with httpx.Client(base_url=app.service.http.base_url, timeout=30) as http:
        while not enough.is_set():
            number += 1
            body = {"request_id": f"load{number}", "cmd": "record", "payload": native()}
            task = _insist(http, f"/egress/v1/{app.name}/tasks", body, refused).get("task_id", "")
            _insist(http, f"/egress/v1/{app.name}/tasks/{task}/stop", {"request_id": "stop"}, refused)
            accepted.append(task)
            enough.wait(0.3)


def _insist(http: httpx.Client, path: str, body: Mapping[str, object], refused: list[int]) -> dict[str, str]:
    for _ in range(100):
        reply = http.post(path, json=body)
        if reply.status_code == httpx.codes.OK:
            return dict(reply.json())
        refused.append(reply.status_code)
        time.sleep(0.3)
    raise AssertionError("no answer")
