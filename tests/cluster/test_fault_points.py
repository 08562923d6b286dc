"""The task manager killed before and after every commit, one by one: nothing is lost, doubled or left open."""

from __future__ import annotations

import time
from pathlib import Path

import httpx
import pytest

from recorders.log.segment_log import read_index
from tests.chaos.ledger import doubles
from tests.cluster.service import KILL_AT, App, Service, native, until

# A start, its attempt and its claim, a loss, an attempt and a claim, a stop and the end, twice each, and a sweep.
_POINTS = 18


@pytest.mark.timeout(600)
def test_a_manager_killed_at_any_point_loses_nothing(persistent: Service) -> None:
    kill_at = persistent.data.with_name(KILL_AT)
    app = persistent.app("faults")
    hit = sum(_goes_through(app, kill_at, point) for point in range(1, _POINTS + 1))
    assert hit >= _POINTS - 2
    listed = persistent.http.get("/egress/v1/faults/tasks", params={"limit": 100}).json()["tasks"]
    assert len(listed) == _POINTS, "each start was accepted once"
    assert {task["state"] for task in listed} == {"STOPPED"}


def _goes_through(app: App, kill_at: Path, point: int) -> bool:
    """A recording with a loss, from its start to its end, with the manager killed at that point; whether it was."""
    draft = kill_at.with_suffix(".new")
    draft.write_text(str(point))
    draft.rename(kill_at)
    task = _start(app, f"request{point}")
    _until_state(app, task, "PROCESSING")
    until(lambda: any(app.folder(task).glob("*.journal")), 10, lambda: f"point {point}: nothing is recorded")
    for recorder in app.service.processes(f"ray::record {task}"):
        recorder.kill()
    until(lambda: read_index(app.folder(task)).newest_attempt == 2, 25, lambda: f"point {point}: not resumed")
    _stop(app, task)
    end = _until_state(app, task, "STOPPED")
    assert (end["reason"], end["error"]) == ("user_stop", ""), f"point {point}: {end}"
    assert end["payload"]["files"] == ["out.m3u8", "out.json"], f"point {point}"
    assert doubles(read_index(app.folder(task))) == []
    assert not app.service.processes(f"ray::record {task}"), f"point {point}: a ghost"
    hit = not kill_at.exists()
    kill_at.unlink(missing_ok=True)
    return hit


def _start(app: App, request_id: str) -> str:
    """Again and again with the same request id, as a client does that got no answer."""
    body = {"request_id": request_id, "cmd": "record", "payload": native()}
    return str(_insist(lambda: app.post("", body))["task_id"])


def _stop(app: App, task: str) -> None:
    _insist(lambda: app.post(f"/{task}/stop", {"request_id": "stop1"}))


def _until_state(app: App, task: str, state: str) -> dict:  # type: ignore[type-arg]
    limit = time.monotonic() + 30
    while True:
        now = _insist(lambda: app.post(f"/{task}/status", {"request_id": "status1"}))
        if now["state"] == state:
            return now
        assert time.monotonic() < limit, now
        time.sleep(0.05)


def _insist(call) -> dict:  # type: ignore[no-untyped-def, type-arg]
    for _ in range(20):
        reply = call()
        if reply.status_code == httpx.codes.OK:
            return dict(reply.json())
        assert reply.status_code == httpx.codes.SERVICE_UNAVAILABLE, reply.text
        time.sleep(0.2)
    raise AssertionError("no answer")
