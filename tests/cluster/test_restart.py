"""The service ended and started again over the same data."""

from __future__ import annotations

import sqlite3
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from recorders.log.segment_log import read_index
from tests.cluster.service import command, native, running, until
from tests.oracle.hls import probe_quiet, validate
from tests.ports import free_port


@pytest.mark.timeout(600)
def test_a_crash_leaves_recordings_to_go_on_a_long_absence_ends_them_and_ctrl_c_closes_them(tmp_path: Path) -> None:
    with running(command(), tmp_path, free_port(), {}) as service:
        app = service.app("restart")
        going_on, late = app.record(native()), app.record(native())
        _die(service.process, service.descendants())

    with running(command(), tmp_path, free_port(), {}) as service:
        app = service.app("restart")
        logs = [app.folder(task) for task in (going_on, late)]
        until(lambda: all(read_index(log).newest_attempt == 2 for log in logs), 20, lambda: str(app.status(late)))
        app.wait(going_on, "PROCESSING")
        app.stop(going_on)
        app.wait(going_on, "STOPPED")
        assert probe_quiet(app.file(going_on, "out.m3u8")) == ""
        app.wait(late, "PROCESSING")
        _die(service.process, service.descendants())

    with sqlite3.connect(tmp_path / "data" / "tasks.db") as store:
        store.execute("UPDATE managers SET alive_at = ?", (time.time() - 3600,))
    with running(command(), tmp_path, free_port(), {}) as service:
        app = service.app("restart")
        end = app.wait(late, "FAILED", limit_s=20)
        assert end["error"].startswith("The service was away for 36")
        assert end["payload"]["files"] == ["out.m3u8", "out.json"]
        assert probe_quiet(app.file(late, "out.m3u8")) == ""
        closed = app.record(native())
        folder = app.folder(closed)

    assert validate(folder / "out.m3u8") == []
    assert (folder / "out.json").is_file()
    with sqlite3.connect(tmp_path / "data" / "tasks.db") as store:
        query = "SELECT state, reason FROM tasks WHERE task_id = ?"
        assert store.execute(query, (closed,)).fetchall() == [("STOPPED", "shutdown")]


def _die(process: subprocess.Popen[bytes], family: list[psutil.Process]) -> None:
    """As when the machine loses its power."""
    process.kill()
    for each in family:
        if each.is_running():
            each.kill()
