"""A manager of another version takes over: recordings go on, and replicas that knew the former find it."""

from __future__ import annotations

from tests.cluster.service import App, native, until


def test_a_manager_of_other_settings_takes_over_in_order(app: App) -> None:
    service = app.service
    task = app.record(native())
    recorder = service.recorder(task)
    (former,) = service.processes("ray::TaskManager")
    service.redeploy()

    assert app.status(task)["state"] == "PROCESSING"
    parts = len(list(app.folder(task).glob("*.m4s")))
    until(lambda: len(list(app.folder(task).glob("*.m4s"))) > parts, 15, lambda: "no new parts")
    assert recorder.is_running()
    app.stop(task)
    assert app.wait(task, "STOPPED")["reason"] == "user_stop"
    (now,) = service.processes("ray::TaskManager")
    assert now.pid != former.pid
