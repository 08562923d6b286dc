"""What is left when processes are killed or hang: files that play, tasks that end, and no orphan."""

from __future__ import annotations

import signal
import threading
import time
from collections import Counter

import psutil
import pytest

from recorders.log.segment_log import read_index
from tests.chaos.ledger import doubles, losses
from tests.cluster.service import IN_A_ROW, STOP_S, TERMINAL, App, Service, gone, native, page, until
from tests.oracle.demo_clock import clock_errors
from tests.oracle.hls import probe_quiet, validate
from tests.oracle.page import serve_page
from tests.processes import browser_of, title

_AGAIN_S = 10.0


@pytest.mark.parametrize("kind", ["native", pytest.param("web", marks=pytest.mark.alone)])
def test_a_killed_recorder_is_replaced_and_its_recording_goes_on(app: App, kind: str) -> None:
    with serve_page() as url:
        payload = page(url, format="mp4") if kind == "web" else native(format="mp4", users=["ada"])
        task = app.record(payload, parts=2)
        recorder = app.service.recorder(task)
        family = [recorder, *recorder.children(recursive=True)]
        assert len(family) > (5 if kind == "web" else 0)
        kept = len(read_index(app.folder(task)).parts)
        recorder.kill()
        killed = time.time()
        gone(family, 3)
        until(lambda: len(read_index(app.folder(task)).parts) >= kept + 2, 20, lambda: str(app.status(task)))
        now = app.status(task)
        assert now["state"] == "PROCESSING"
        assert now["message"] == "The recorder was lost: its process died. Attempt 2 goes on."
        assert "#EXT-X-ENDLIST" not in (app.folder(task) / "out.m3u8").read_text()
        app.stop(task)
        done = app.wait(task, "STOPPED")
    assert (done["reason"], done["error"]) == ("user_stop", "")
    reports = ["out_1_report.json", "out_2_report.json"] if kind == "web" else []
    assert done["payload"]["files"] == ["out.m3u8", "out.mp4", "out.json", *reports]
    index = read_index(app.folder(task))
    assert [attempt.attempt for attempt in index.attempts] == [1, 2]
    (loss,) = losses(index, {killed: kind})
    assert loss.lost < 1.0, "the part that was open is salvaged"
    assert loss.again < _AGAIN_S
    assert doubles(index) == []
    playlist = app.folder(task) / "out.m3u8"
    assert validate(playlist) == []
    text = playlist.read_text()
    assert text.count("#EXT-X-DISCONTINUITY\n") == 1
    for name in ("out.m3u8", "out.mp4"):
        assert probe_quiet(app.file(task, name)) == ""
    if kind == "native":
        errors = clock_errors(app.folder(task) / "out.mp4", index.epoch or 0)
        assert len(errors) > 60
        assert max(map(abs, errors)) < 0.1, "wall-clock times are true before and after the gap"


def test_a_killed_browser_is_replaced_within_the_attempt_and_the_message_tells_it(app: App) -> None:
    with serve_page() as url:
        task = app.record(page(url), parts=2)
        browser_of(app.service.recorder(task)).kill()
        killed = time.time()
        told = "The browser was replaced once, "
        until(lambda: app.status(task)["message"].startswith(told), 30, lambda: str(app.status(task)))
        assert app.status(task)["state"] == "PROCESSING"
        app.stop(task)
        done = app.wait(task, "STOPPED")
    assert done["message"].startswith(told)
    index = read_index(app.folder(task))
    assert [attempt.attempt for attempt in index.attempts] == [1]
    (loss,) = losses(index, {killed: "browser killed"})
    assert loss.lost < 1.0
    assert validate(app.folder(task) / "out.m3u8") == []
    assert probe_quiet(app.file(task, "out.m3u8")) == ""


def test_a_recorder_that_is_lost_again_and_again_is_given_up(app: App) -> None:
    task = app.record(native())
    for attempt in range(1, IN_A_ROW + 1):
        until(lambda: bool(_recorders(app, task)), 20, lambda: str(app.status(task)))
        until(lambda n=attempt: read_index(app.folder(task)).newest_attempt == n, 20, lambda: str(app.status(task)))  # type: ignore[misc]
        app.service.recorder(task).kill()
        gone(_recorders(app, task), 3)
    done = app.wait(task, "FAILED", limit_s=10)
    assert done["error"] == f"The recorder was lost: its process died. {IN_A_ROW} attempts in a row were lost."
    assert done["payload"]["files"] == ["out.m3u8", "out.json"]
    assert validate(app.folder(task) / "out.m3u8") == []
    assert probe_quiet(app.file(task, "out.m3u8")) == ""


def test_a_stop_between_two_attempts_finishes_the_files(app: App) -> None:
    task = app.record(native())
    for attempt in (1, 2):
        until(lambda n=attempt: read_index(app.folder(task)).newest_attempt == n, 20, lambda: str(app.status(task)))  # type: ignore[misc]
        app.service.recorder(task).kill()
    app.wait(task, "ENQUEUED", limit_s=5)
    app.stop(task)
    done = app.wait(task, "STOPPED", limit_s=10)
    assert done["reason"] == "user_stop"
    assert done["payload"]["files"] == ["out.m3u8", "out.json"]
    assert not _recorders(app, task)
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


def test_a_recorder_that_hangs_loses_its_lease_to_another(app: App) -> None:
    task = app.record(native())
    recorder = app.service.recorder(task)
    recorder.send_signal(signal.SIGSTOP)
    until(lambda: read_index(app.folder(task)).newest_attempt == 2, 14, lambda: str(app.status(task)))
    now = app.wait(task, "PROCESSING")
    assert now["message"] == "The recorder was lost: it gave no sign of life for 5 s. Attempt 2 goes on."
    gone([recorder], 3)
    app.stop(task)
    app.wait(task, "STOPPED")
    assert validate(app.folder(task) / "out.m3u8") == []


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
    gone([manager], 5)  # they may all have been answered before it was killed

    def recorders() -> Counter[str]:
        return Counter(title(each) for each in service.processes("ray::record "))

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


def test_recordings_go_on_while_the_manager_is_away_for_longer_than_a_lease(app: App) -> None:
    task = app.record(native())
    recorder = app.service.recorder(task)
    since = time.monotonic()
    while time.monotonic() - since < 8:  # it never gets as far as to renew a lease
        for manager in app.service.processes("ray::TaskManager"):
            manager.kill()
        time.sleep(0.1)
    app.wait(task, "PROCESSING")
    time.sleep(3)
    assert recorder.is_running()
    app.stop(task)
    app.wait(task, "STOPPED")
    index = read_index(app.folder(task))
    assert index.newest_attempt == 1
    assert index.seconds > 9


def _manager(service: Service) -> psutil.Process:
    found: list[psutil.Process] = []

    def there() -> bool:
        found[:] = service.processes("ray::TaskManager")
        return len(found) == 1

    until(there, 15, lambda: f"managers: {found}")
    return found[0]


def _recorders(app: App, task: str) -> list[psutil.Process]:
    return app.service.processes(f"ray::record {task}")
