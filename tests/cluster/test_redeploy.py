"""A manager of another version takes over: recordings go on, and replicas that knew the former find it."""

from __future__ import annotations

from tests.cluster.service import App, native, until


def test_a_manager_of_other_settings_takes_over_in_order(app: App) -> None:
    service = app.service
    task = app.record(native())
    recorder = service.recorder(task)
    (former,) = service.processes("ray::TaskManager")
    service.redeploy(retired_s=2.5, cost={"native_memory_mb": 310})  # recorders call in each second

    assert app.status(task)["state"] == "PROCESSING"
    parts = len(list(app.folder(task).glob("*.m4s")))
    until(lambda: len(list(app.folder(task).glob("*.m4s"))) > parts, 15, lambda: "no new parts")
    assert recorder.is_running()
    (listed,) = service.http.get(f"/egress/v1/{app.name}/tasks").json()["tasks"]
    assert listed["payload"]["files"] == app.status(task)["payload"]["files"] != [], "the list tells of it, too"
    app.stop(task)
    done = app.wait(task, "STOPPED")
    assert (done["reason"], done["message"]) == ("user_stop", "")
    (now,) = service.processes("ray::TaskManager")
    assert now.pid != former.pid
