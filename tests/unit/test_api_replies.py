"""What the REST application answers: tasks, errors, files and the OpenAPI document."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from egress_ray.api.models import StartReply, StartRequest, StatusReply
from egress_ray.folders import task_folder
from egress_ray.manager.states import Event
from tests.unit.api_client import TOKEN, Api, serving
from tests.unit.test_api_requests import WEB

NATIVE: dict[str, Any] = {"channel": "room", "access_token": TOKEN, "workerUid": 1}
SDP = {"content-type": "application/sdp"}


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with serving(tmp_path) as client:
        yield client


def move(api: Api, task: str, event: Event, **changes: Any) -> None:
    assert asyncio.run(api.manager.move("app", task, event, **changes)) is not None


def test_defaults_are_filled_in_and_the_token_stays_inside(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    task = api.start(NATIVE).json()["task_id"]
    reply = api.post(f"/{task}/status", {"request_id": "other1"})
    status = reply.json()
    assert (status["request_id"], status["task_id"], status["state"]) == ("other1", task, "ENQUEUED")
    assert status["payload"] == {
        "layout": "flat",
        "channel": "room",
        "workerUid": 1,
        "files": [],
        "format": "hls",
        "video": {"width": 1280, "height": 720, "frameRate": 30, "bitrate": 1000},
        "audio": {"sampleRate": 48000, "channels": 2, "bitrate": 128},
    }
    (new,) = api.manager.started
    assert new.access_token == TOKEN
    assert TOKEN not in repr(new) + repr(new.payload) + reply.text + caplog.text
    assert TOKEN not in repr(StartRequest.model_validate({"request_id": "r", "cmd": "record", "payload": NATIVE}))
    assert all(TOKEN.encode() not in path.read_bytes() for path in api.data.rglob("*") if path.is_file())


def test_what_is_not_to_be_recorded_stays_null(api: Api) -> None:
    task = api.start({**NATIVE, "mode": "individual", "video": None}, "null1").json()["task_id"]
    payload = api.post(f"/{task}/status", {"request_id": "other1"}).json()["payload"]
    assert (payload["mode"], payload["video"], payload["audio"]["channels"]) == ("individual", None, 2)


def test_a_start_is_idempotent_and_its_token_counts(api: Api) -> None:
    first = api.start(NATIVE).json()
    assert first["status"] == "enqueued"
    assert api.start(NATIVE).json() == first
    for other in ({**NATIVE, "workerUid": 2}, {**NATIVE, "access_token": TOKEN + "2"}, WEB):
        reply = api.start(other)
        assert (reply.status_code, reply.json()["code"]) == (409, "request_id_conflict")
        assert first["task_id"] in reply.json()["error"]


def test_stops_and_another_apps_tasks(api: Api) -> None:
    task = api.start(NATIVE).json()["task_id"]
    for path in ("stop", "status"):
        reply = api.http.post(f"/egress/v1/other/tasks/{task}/{path}", json={"request_id": "r1"})
        assert (reply.status_code, reply.json()["code"], reply.json()["request_id"]) == (404, "task_not_found", "r1")
    message = f"Stop task enqueued for task {task}"
    assert api.post(f"/{task}/stop", {"request_id": "r1"}).json() == {
        "request_id": "r1",
        "status": "enqueued",
        "message": message,
    }
    assert api.post(f"/{task}/stop", {"request_id": "r2"}).json() == {
        "request_id": "r2",
        "status": "completed",
        "message": "Task already in terminal state: STOPPED",
    }
    shown = api.http.get(f"/egress/v1/app/tasks/{task}").json()
    assert (shown["state"], shown["action"], shown["reason"], shown["request_id"]) == (
        "STOPPED",
        "stop",
        "user_stop",
        "request1",
    )


def test_lists_have_cursors(api: Api) -> None:
    tasks = [api.start({**NATIVE, "channel": "demo"}, f"request{n}").json()["task_id"] for n in range(5)]
    found: list[str] = []
    query: dict[str, str] = {"limit": "2", "state": "ENQUEUED", "cmd": "record"}
    while True:
        listed = api.http.get("/egress/v1/app/tasks", params=query).json()
        found += [each["task_id"] for each in listed["tasks"]]
        if listed["cursor"] is None:
            break
        query["cursor"] = listed["cursor"]
    assert found == tasks[::-1]
    for name, value in (("limit", "0"), ("limit", "501"), ("state", "LOST"), ("cursor", "x"), ("cmd", "stop")):
        reply = api.http.get("/egress/v1/app/tasks", params={name: value})
        assert (reply.status_code, reply.json()["details"][0]["field"]) == (400, name)


def test_a_manager_that_cannot_be_reached_is_503_and_a_defect_says_nothing(api: Api) -> None:
    api.manager.failure = ConnectionError("secret detail")
    for reply in (api.start(NATIVE), api.post("/t1/stop", {"request_id": "r1"}), api.http.get("/readyz")):
        assert (reply.status_code, reply.json()["code"]) == (503, "unavailable")
        assert "secret detail" not in reply.text
    api.manager.failure = None
    assert api.http.get("/readyz").json() == {"status": "ready"}
    assert api.http.get("/healthz").status_code == 200


def test_files_are_served_in_ranges_and_nothing_beyond_the_task(api: Api, tmp_path: Path) -> None:
    folder = task_folder(api.data, "app", "t1")
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "out.m3u8").write_text("#EXTM3U\n")
    (folder / "out_1_00001.m4s").write_bytes(bytes(range(100)))
    (folder / "index.jsonl").write_text("{}")
    (folder / ".hidden.m4s").write_text("")
    (tmp_path / "secret.json").write_text("{}")
    (folder / "link.json").symlink_to(tmp_path / "secret.json")
    base = "/egress/v1/app/tasks/t1/files"
    playlist = api.http.get(f"{base}/deep/out.m3u8")
    assert playlist.headers["content-type"].startswith("application/vnd.apple.mpegurl")
    assert playlist.headers["cache-control"] == "no-cache"
    part = api.http.get(f"{base}/out_1_00001.m4s", headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, bytes(range(10, 20)))
    assert api.http.get(f"{base}/out_1_00001.m4s", headers={"Range": "bytes=500-"}).status_code == 416
    assert api.http.head(f"{base}/out_1_00001.m4s").headers["content-length"] == "100"
    for name in (
        "nothing.mp4",
        "index.jsonl",
        ".hidden.m4s",
        "link.json",
        "..%2f..%2f..%2fsecret.json",
        "deep/%2e%2e/%2e%2e/%2e%2e/%2e%2e/secret.json",
        "%2fetc%2fpasswd",
        "a%00b.json",
        "x" * 300 + ".json",
        "deep",
        "",
    ):
        reply = api.http.get(f"{base}/{name}")
        assert reply.status_code == 404, name
        assert reply.json()["error"]


def test_the_player_shows_what_there_is(api: Api) -> None:
    task = api.start({**NATIVE, "filename_pattern": "a&b"}).json()["task_id"]
    assert "Nothing has been recorded yet" in api.http.get(f"/play/app/{task}").text
    move(api, task, Event.CLAIMED)
    move(api, task, Event.CLOSED, files=["a&b.m3u8", "a&b.mp4", "a&b.json"])
    page = api.http.get(f"/play/app/{task}")
    assert page.headers["content-type"].startswith("text/html")
    assert f'src="/egress/v1/app/tasks/{task}/files/a%26b.mp4"' in page.text
    assert "a&amp;b.m3u8" in page.text
    assert api.http.get("/play/app/unknown").status_code == 404


def test_whip_needs_a_live_channel_and_its_token(api: Api) -> None:
    url = "/egress/v1/app/channels/room/whip/user1"
    bearer = {**SDP, "Authorization": f"Bearer {TOKEN}"}
    assert api.http.post(url, content="v=0", headers=SDP).status_code == 401
    assert api.http.post(url, content="v=0", headers=bearer).json()["code"] == "channel_not_live"
    move(api, api.start(NATIVE).json()["task_id"], Event.CLAIMED)
    wrong = {**SDP, "Authorization": "Bearer another-token"}
    assert api.http.post(url, content="v=0", headers=wrong).status_code == 403
    assert api.http.post(url, content="v=0", headers={**bearer, "content-type": "text/plain"}).status_code == 415
    assert api.http.post(url, content="", headers=bearer).status_code == 400
    early = api.http.post(url, content="early", headers=bearer)
    assert (early.status_code, early.json()["error"]) == (503, "The recording has not begun yet.")
    assert early.headers["retry-after"] == "1"
    created = api.http.post(url, content="v=0", headers=bearer)
    assert (created.status_code, created.text) == (201, "v=0 answer")
    assert created.headers["content-type"] == "application/sdp"
    assert created.headers["location"] == f"{url}/session1"
    assert api.http.delete(f"{url}/session2", headers=bearer).status_code == 404
    assert api.http.delete(created.headers["location"], headers=bearer).status_code == 200


def test_whip_sessions_are_patched_as_rfc_9725_says(api: Api) -> None:
    url = "/egress/v1/app/channels/room/whip/user1"
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    fragment = {**bearer, "content-type": "application/trickle-ice-sdpfrag"}
    move(api, api.start(NATIVE).json()["task_id"], Event.CLAIMED)
    created = api.http.post(url, content="v=0", headers={**SDP, **bearer})
    assert created.headers["etag"] == '"ice1"'
    assert created.headers["accept-patch"] == "application/trickle-ice-sdpfrag"
    assert created.headers.get_list("link") == [
        '<stun:stun.example:3478>; rel="ice-server"',
        '<turn:turn.example>; rel="ice-server"; username="me"; credential="pass\\"word"; credential-type="password"',
    ]
    session = created.headers["location"]

    def patch(headers: dict[str, str], to: str = session) -> Any:
        return api.http.patch(to, content="a=ice-ufrag:abcd", headers=headers)

    assert patch(fragment).status_code == 428
    assert patch({**bearer, **SDP, "if-match": "*"}).status_code == 415
    assert patch({**fragment, "Authorization": "Bearer another-token", "if-match": "*"}).status_code == 403
    taken = patch({**fragment, "if-match": '"ice1"'})
    assert (taken.status_code, "etag" in taken.headers) == (204, False)
    assert patch({**fragment, "if-match": '"ice0"'}).status_code == 412
    assert patch({**fragment, "if-match": "*"}, f"{url}/session2").status_code == 404
    restarted = patch({**fragment, "if-match": "*"})
    assert (restarted.status_code, restarted.text) == (200, "a=ice-ufrag:ours")
    assert restarted.headers["content-type"] == "application/trickle-ice-sdpfrag"
    assert restarted.headers["etag"] == '"ice2"'


@pytest.mark.parametrize(
    ("user", "headers", "content", "status"),
    [
        ("user1", {}, "v=0", 401),
        ("user1", {"Authorization": f"Bearer {TOKEN}", "content-type": "text/plain"}, "v=0", 415),
        ("user1", {"Authorization": f"Bearer {TOKEN}", **SDP}, "v=0", 404),
        ("user1", {"Authorization": f"Bearer {TOKEN}", **SDP}, b"\xff", 400),
        ("a user", {"Authorization": f"Bearer {TOKEN}", **SDP}, "v=0", 400),
    ],
)
def test_a_script_of_another_origin_may_read_what_is_wrong(
    api: Api, user: str, headers: dict[str, str], content: str | bytes, status: int
) -> None:
    reply = api.http.post(f"/egress/v1/app/channels/room/whip/{user}", content=content, headers=headers)
    assert (reply.status_code, reply.headers.get("access-control-allow-origin")) == (status, "*")
    assert set(reply.json()) == {"request_id", "error", "code", "details"}


def test_publishers_push_to_one_recording_of_a_channel(api: Api) -> None:
    first = api.start(NATIVE).json()["task_id"]
    assert api.start(NATIVE, "atonce").status_code == 409, "one that waits for its recorder is one, too"
    move(api, first, Event.CLAIMED)
    refused = api.start(NATIVE, "another")
    assert (refused.status_code, refused.json()["code"]) == (409, "channel_is_recorded")
    assert first in refused.json()["error"]
    assert api.start(NATIVE).json()["task_id"] == first, "the same request again is no other recording"
    assert api.start({**NATIVE, "channel": "demo1"}, "demo1").status_code == 200
    assert api.start({**NATIVE, "channel": "demo1"}, "demo2").status_code == 200
    move(api, first, Event.STOP_ASKED)
    assert api.start(NATIVE, "another").status_code == 200


def test_unknown_paths_and_methods_have_the_documented_shape(api: Api) -> None:
    for reply, status in ((api.http.get("/nothing"), 404), (api.http.put("/egress/v1/app/tasks"), 405)):
        assert reply.status_code == status
        assert set(reply.json()) == {"request_id", "error", "code", "details"}
    assert "egress-ray" in api.http.get("/").text


def test_the_openapi_document_is_complete(api: Api) -> None:
    document = api.http.get("/openapi.json").json()
    assert "HTTPValidationError" not in json.dumps(document), "FastAPI's own 422 is never sent"
    schemas = document["components"]["schemas"]
    examples = schemas["StartRequest"]["examples"]
    assert [StartRequest.model_validate(each).payload.layout for each in examples] == ["flat", "freestyle"]
    assert set(schemas["StartReply"]["properties"]) == set(StartReply.model_fields)
    assert set(schemas["StatusReply"]["properties"]) == set(StatusReply.model_fields)
    seen: set[str] = set()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert operation["operationId"] not in seen
            seen.add(operation["operationId"])
            assert operation.get("description"), (method, path)
            statuses = set(operation["responses"])
            assert "422" not in statuses
            if "{app_id}" in path:
                assert "400" in statuses, (method, path)
            if "requestBody" in operation:
                assert "413" in statuses, (method, path)
