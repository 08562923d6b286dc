"""Recordings that belong into an object store: a real S3 server, and one that goes away."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path

import pytest

from recorders.log.index import parse
from recorders.web.redact import bare
from tests.chaos.ledger import doubles
from tests.cluster.service import App, Service, native, page, until
from tests.oracle.hls import probe_quiet, validate
from tests.oracle.page import serve_page
from tests.s3 import BUCKET, S3

_AWAY_S = 12.0


@pytest.fixture
def app(equipped: Service, request: pytest.FixtureRequest) -> App:
    return equipped.app(request.node.name.translate({ord("["): "-", ord("]"): None})[:64])


@pytest.mark.parametrize("kind", ["native", "web"])
def test_a_recording_is_in_the_store_when_it_is_stopped_and_is_served_from_there(
    app: App, s3: S3, tmp_path: Path, kind: str
) -> None:
    with serve_page() as url:
        task = app.record(native(format="mp4") if kind == "native" else page(url, format="mp4"), parts=2)
        until(lambda: any(name.endswith(".m4s") for name in _objects(s3, app, task)), 5, lambda: "no part in the store")
        app.stop(task)
        done = app.wait(task, "STOPPED")
    reports = ["out_1_report.json"] if kind == "web" else []
    assert done["payload"]["files"] == ["out.m3u8", "out.mp4", "out.json", *reports]
    for report in reports:
        assert app.service.http.get(app.file(task, report)).json()["page"] == bare(url)
    assert not app.folder(task).exists(), "the spool is empty"
    objects = _objects(s3, app, task)
    _intact(objects)
    for name in ("out.m3u8", "out.mp4"):
        assert probe_quiet(app.file(task, name)) == ""
    whole = app.service.http.get(app.file(task, "out.mp4"))
    assert whole.content == objects["out.mp4"]
    assert whole.headers["content-type"] == "video/mp4"
    for asked, expected in (
        ("bytes=100-199", objects["out.mp4"][100:200]),
        ("bytes=-50", objects["out.mp4"][-50:]),
        ("bytes=1000-", objects["out.mp4"][1000:]),
    ):
        part = app.service.http.get(app.file(task, "out.mp4"), headers={"Range": asked})
        assert (part.status_code, part.content) == (206, expected)
    beyond = app.service.http.get(app.file(task, "out.mp4"), headers={"Range": "bytes=99999999-"})
    assert beyond.status_code == 416
    assert app.service.http.head(app.file(task, "out.mp4")).headers["content-length"] == str(len(whole.content))
    assert app.service.http.get(app.file(task, "none.mp4")).status_code == 404
    assert app.service.http.get(app.file(task, "../../x/out.mp4")).status_code == 404


def test_hls_is_watched_while_its_parts_have_left_the_disk(app: App, s3: S3) -> None:
    task = app.record(native(), parts=1)
    until(lambda: len(_parts(s3, app, task)) >= 3, 20, lambda: str(_parts(s3, app, task)))
    until(lambda: len(list(app.folder(task).glob("*.m4s"))) <= 2, 5, lambda: "parts stay on the disk")
    first = app.service.http.get(app.file(task, "out_1_00000.m4s"))
    assert first.content == _objects(s3, app, task)["out_1_00000.m4s"]
    app.stop(task)
    app.wait(task, "STOPPED")
    assert validate(_download(s3, app, task, app.service.data / "got") / "out.m3u8") == []


def test_a_store_that_is_away_and_a_recorder_that_dies_meanwhile_lose_nothing(app: App, s3: S3, tmp_path: Path) -> None:
    tasks = [app.record(native(format="mp4" if n % 2 else "hls")) for n in range(4)]
    s3.cut()
    try:
        time.sleep(_AWAY_S / 2)
        app.service.recorder(tasks[0]).kill()
        time.sleep(_AWAY_S / 2)
        app.stop(tasks[3])
        until(lambda: "Finishing waits: The storage does not" in app.status(tasks[3])["message"], 15, lambda: "told")
        assert app.status(tasks[3])["state"] == "STOPPING", "its files are not where they belong yet"
        assert all(app.status(task)["state"] == "PROCESSING" for task in tasks[:3])
    finally:
        s3.mend()
    app.wait(tasks[3], "STOPPED", limit_s=40)
    for task in tasks[:3]:
        app.stop(task)
    for task in tasks:
        app.wait(task, "STOPPED", limit_s=40)
        assert not app.folder(task).exists()
        objects = _objects(s3, app, task)
        _intact(objects)
        index = parse(b"".join(body for name, body in objects.items() if name.startswith("index_")).splitlines())
        assert index.newest_attempt == (2 if task == tasks[0] else 1)
        assert doubles(index) == []
        assert index.seconds > _AWAY_S
        assert validate(_download(s3, app, task, tmp_path / task) / "out.m3u8") == []
        assert probe_quiet(tmp_path / task / "out.m3u8") == ""


def test_a_request_names_its_own_bucket_and_path_where_that_is_allowed(app: App, s3: S3) -> None:
    task = app.record(native(storage={"bucket": BUCKET, "prefix": "customers/7"}))
    app.stop(task)
    app.wait(task, "STOPPED")
    assert "out.m3u8" in s3.objects(f"customers/7/{app.name}/{task}/")
    assert probe_quiet(app.file(task, "out.m3u8")) == ""
    body = {"request_id": "elsewhere", "cmd": "record", "payload": native(storage={"bucket": "not-ours"})}
    refused = app.post("", body)
    assert refused.status_code == 400
    assert refused.json()["details"] == [
        {"field": "payload.storage.bucket", "message": "is not one that this service may write to"}
    ]


def test_credentials_are_in_no_log_and_no_store(equipped: Service, s3: S3) -> None:
    secret = s3.environment["AWS_SECRET_ACCESS_KEY"].encode()
    for path in [equipped.log, *equipped.data.rglob("*")]:
        assert not path.is_file() or secret not in path.read_bytes(), path


def _objects(s3: S3, app: App, task: str) -> dict[str, bytes]:
    return s3.objects(f"kept/{app.name}/{task}/")


def _parts(s3: S3, app: App, task: str) -> list[str]:
    return [name for name in _objects(s3, app, task) if name.endswith(".m4s")]


def _download(s3: S3, app: App, task: str, folder: Path) -> Path:
    folder.mkdir(parents=True)
    for name, body in _objects(s3, app, task).items():
        (folder / name).write_bytes(body)
    return folder


def _intact(objects: dict[str, bytes]) -> None:
    """Everything that the manifest lists is there, byte for byte, and the log says the same of its parts."""
    for entry in json.loads(objects["out.json"])["files"]:
        assert len(objects[entry["name"]]) == entry["bytes"]
        assert hashlib.sha256(objects[entry["name"]]).hexdigest() == entry["sha256"]
