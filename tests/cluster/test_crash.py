"""What is left when processes are killed or hang: files that play, tasks that end, and no orphan."""

from __future__ import annotations

import signal
import threading
import time
from collections import Counter

import psutil
import pytest

from tests.cluster.service import STOP_S, TERMINAL, App, Service, gone, native, page, until
from tests.oracle.hls import probe_quiet, validate
from tests.oracle.page import serve_page


@pytest.mark.parametrize("kind", ["native", "web"])
def test_a_killed_recorder_leaves_a_failed_task_that_plays_and_no_process(app: App, kind: str) -> None:
    with serve_page() as url:
        task = app.record(page(url) if kind == "web" else native(), parts=2)
        recorder = app.service.recorder(task)
        family = [recorder, *recorder.children(recursive=True)]
        assert len(family) > (5 if kind == "web" else 0)
        parts = len(list(app.folder(task).glob("*.m4s")))
        recorder.kill()
        killed = time.monotonic()
        done = app.wait(task, "FAILED", limit_s=10)
        assert time.monotonic() - killed < 2
        gone(family, 3 - (time.monotonic() - killed))
    assert done["error"] == "The recorder was lost: its process died."
    assert done["payload"]["files"] == ["out.m3u8", "out.json"]
    playlist = app.folder(task) / "out.m3u8"
    assert validate(playlist) == []
    assert playlist.read_text().count("#EXTINF") >= parts
    assert probe_quiet(app.file(task, "out.m3u8")) == ""


def test_a_recorder_that_hangs_while_stopping_is_killed_and_finished(app: App) -> None:
    task = app.record(native())
    recorder = app.service.recorder(task)
    recorder.send_signal(signal.SIGSTOP)
    app.stop(task)
    done = app.wait(task, "STOPPED", limit_s=STOP_S + 6)
    assert "did not stop within 4 s and was killed" in done["message"]
    assert done["reason"] == "user_stop"
    assert probe_quiet(app.file(task, "out.m3u8")) == ""
    gone([recorder], 3)


def test_a_recorder_that_hangs_loses_its_lease(app: App) -> None:
    task = app.record(native())
    recorder = app.service.recorder(task)
    recorder.send_signal(signal.SIGSTOP)
    done = app.wait(task, "FAILED", limit_s=14)
    assert "no sign of life for 8 s" in done["error"]
    assert done["payload"]["files"] == ["out.m3u8", "out.json"]
    gone([recorder], 3)


def test_the_manager_killed_during_twenty_starts_loses_none_and_doubles_none(app: App) -> None:
    service = app.service
    manager = _manager(service)
    tasks: list[str] = []
    threads = [threading.Thread(target=lambda: tasks.append(app.start(native()))) for _ in range(20)]
    for thread in threads:
        thread.start()
    until(lambda: len(tasks) >= 3, 10, lambda: f"{len(tasks)} accepted")
    manager.kill()
    for thread in threads:
        thread.join(30)
    assert len(set(tasks)) == 20
    assert _manager(service).pid != manager.pid

    def recorders() -> Counter[str]:
        return Counter(" ".join(each.cmdline()) for each in service.processes("ray::record "))

    until(lambda: all(app.status(task)["state"] != "ENQUEUED" for task in tasks), 30, lambda: str(recorders()))
    assert set(recorders().values()) <= {1}, "a task has two recorders"
    for task in tasks:
        app.stop(task)
    for task in tasks:
        until(lambda task=task: app.status(task)["state"] in TERMINAL, 40, lambda: str(recorders()))  # type: ignore[misc]
    ends = Counter(app.status(task)["state"] for task in tasks)
    assert set(ends) <= {"STOPPED", "TIMEOUT"}, ends
    assert not recorders()


def test_recordings_outlive_their_manager(app: App) -> None:
    task = app.record(native())
    recorder = app.service.recorder(task)
    _manager(app.service).kill()
    parts = len(list(app.folder(task).glob("*.m4s")))
    until(lambda: len(list(app.folder(task).glob("*.m4s"))) > parts + 1, 15, lambda: "no new parts")
    assert recorder.is_running()
    app.stop(task)
    assert app.wait(task, "STOPPED")["reason"] == "user_stop"
    assert validate(app.folder(task) / "out.m3u8") == []


def _manager(service: Service) -> psutil.Process:
    found: list[psutil.Process] = []

    def there() -> bool:
        found[:] = service.processes("ray::TaskManager")
        return len(found) == 1

    until(there, 15, lambda: f"managers: {found}")
    return found[0]
