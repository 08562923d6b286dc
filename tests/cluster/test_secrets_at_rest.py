"""An access token is nowhere in clear: not in the store, a log, a reply, an argument or an environment."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import psutil

from tests.cluster.service import TOKEN, App, native


def test_the_token_is_nowhere_in_clear(app: App) -> None:
    task = app.record(native("demo-secret"))
    reply = app.post("", {"request_id": "bad", "cmd": "record", "payload": native(access_token=TOKEN + "\n" * 600)})
    assert reply.status_code == 400
    assert TOKEN not in reply.text
    assert TOKEN not in str(app.status(task))
    found = [str(path) for path in _files(app) if TOKEN.encode() in path.read_bytes()]
    found += [str(process) for process in app.service.descendants() if TOKEN in _outside(process)]
    assert found == []
    app.stop(task)
    app.wait(task, "STOPPED")


def _files(app: App) -> Iterator[Path]:
    """Everything the service writes: its data, its log, and the logs of Ray's session."""
    yield app.service.log
    yield from (path for path in app.service.data.rglob("*") if path.is_file() and path.suffix != ".m4s")
    logs = {
        Path(opened.path).parent
        for process in app.service.descendants()
        for opened in process.open_files()
        if "/logs/" in opened.path
    }
    assert logs
    for folder in logs:
        yield from (path for path in folder.rglob("*") if path.is_file() and os.access(path, os.R_OK))


def _outside(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline()) + str(process.environ())
    except psutil.Error:
        return ""
