"""A task from its start to its end, by REST on a real service."""

from __future__ import annotations

import re

import pytest

from tests.cluster.service import ENQUEUED_S, App, native, page
from tests.e2e.web_pages import serve_pages
from tests.oracle.page import serve_page


def test_a_recording_is_started_stopped_and_listed_as_documented(app: App) -> None:
    task = app.record(native(), parts=2)
    now = app.status(task)
    assert now["state"] == "PROCESSING"
    assert now["action"] == "start"
    assert now["payload"]["files"] == ["out.m3u8"]
    assert "access_token" not in now["payload"]

    answer = app.stop(task)
    assert answer == {"request_id": "stop1", "status": "enqueued", "message": f"Stop task enqueued for task {task}"}
    done = app.wait(task, "STOPPED")
    assert (done["reason"], done["error"], done["action"]) == ("user_stop", "", "stop")
    assert done["payload"]["files"] == ["out.m3u8", "out.json"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", done["created_at"])

    again = app.stop(task)
    assert again == {"request_id": "stop1", "status": "completed", "message": "Task already in terminal state: STOPPED"}
    listed = app.service.http.get(f"/egress/v1/{app.name}/tasks", params={"state": "STOPPED"}).json()
    assert [each["task_id"] for each in listed["tasks"]] == [task]
    assert app.service.http.get(f"/egress/v1/{app.name}/tasks/{task}").json()["state"] == "STOPPED"
    assert app.service.http.get(f"/egress/v1/other/tasks/{task}").status_code == 404


def test_the_same_start_twice_is_one_task_and_another_body_a_conflict(app: App) -> None:
    task = app.start(native(), "same1")
    assert app.start(native(), "same1") == task
    reply = app.post("", {"request_id": "same1", "cmd": "record", "payload": native(workerUid=8)})
    assert (reply.status_code, reply.json()["code"]) == (409, "request_id_conflict")
    app.stop(task)
    app.wait(task, "STOPPED")
    assert app.start(native(), "same1") == task


def test_what_fits_no_node_is_timed_out_with_what_was_missing(app: App) -> None:
    huge = native(video={"width": 7680, "height": 4320, "frameRate": 60, "bitrate": 1000})
    task = app.start(huge)
    done = app.wait(task, "TIMEOUT", limit_s=ENQUEUED_S + 5)
    assert re.search(r"No node had \d+\.\d+ CPU and \d+ MiB free within 12 s: the whole cluster has", done["message"])
    assert done["payload"]["files"] == []


def test_a_stop_while_enqueued_starts_no_recorder(app: App) -> None:
    huge = native(video={"width": 7680, "height": 4320, "frameRate": 60, "bitrate": 1000})
    task = app.start(huge)
    assert app.status(task)["state"] == "ENQUEUED"
    app.stop(task)
    done = app.wait(task, "STOPPED", limit_s=2)
    assert done["reason"] == "user_stop"
    assert not app.folder(task).exists()


def test_what_fits_no_node_keeps_nothing_else_from_being_started(app: App) -> None:
    huge = native(video={"width": 7680, "height": 4320, "frameRate": 60, "bitrate": 1000})
    waiting = [app.start(huge) for _ in range(20)]
    small = app.start(native())
    app.wait(small, "PROCESSING")
    assert {app.status(task)["state"] for task in waiting} == {"ENQUEUED"}
    for task in (*waiting, small):
        app.stop(task)
    for task in (*waiting, small):
        app.wait(task, "STOPPED")


def test_unknown_tasks_are_not_found(app: App) -> None:
    for path in ("/nosuchtask/stop", "/nosuchtask/status"):
        reply = app.post(path, {"request_id": "r1"})
        assert (reply.status_code, reply.json()["code"], reply.json()["request_id"]) == (404, "task_not_found", "r1")


def test_a_page_that_cannot_be_loaded_is_failed_with_that_fact(app: App) -> None:
    with serve_pages() as pages:
        task = app.start(page(f"{pages}/nothing", video=SMALL_PAGE))
        done = app.wait(task, "FAILED")
    assert done["error"] == "The page answered HTTP 404 (Not Found)."
    assert done["payload"]["files"] == ["out_1_console.txt", "out_1_report.json", "out_1_screenshot.jpg"]
    console, report, picture = (app.service.http.get(app.file(task, name)) for name in done["payload"]["files"])
    assert console.headers["content-type"] == "text/plain; charset=utf-8"
    assert "404" in console.text
    assert report.json()["error"] == done["error"]
    assert picture.headers["content-type"] == "image/jpeg"
    assert picture.content.startswith(b"\xff\xd8")


@pytest.mark.alone
def test_eight_small_channels_and_two_pages_at_once_and_one_more_waits(app: App) -> None:
    with serve_page() as url:
        tasks: list[str] = []
        payloads = [*(native(f"demo{n}") for n in range(8)), page(url), page(url)]
        for pair in zip(payloads[::2], payloads[1::2], strict=True):  # ten processes take a slow machine half a minute
            started = [app.start(payload) for payload in pair]
            for task in started:
                app.wait(task, "PROCESSING")
            tasks += started
        extra = app.start(page(url))
        done = app.wait(extra, "TIMEOUT", limit_s=ENQUEUED_S + 5)
        assert "0.00 places for pages were free" in done["message"]
        for task in tasks:
            assert app.status(task)["state"] == "PROCESSING"
            app.stop(task)
        for task in tasks:
            done = app.wait(task, "STOPPED", limit_s=40)
            assert "out.m3u8" in done["payload"]["files"], done


SMALL_PAGE = {"width": 640, "height": 360, "frameRate": 15, "bitrate": 300}
