"""The service ended and started again over the same data."""

from __future__ import annotations

import sqlite3
import subprocess
import time
from pathlib import Path

import psutil

from recorders.log.segment_log import read_index
from tests.cluster.service import command, free_port, native, running, until
from tests.oracle.hls import probe_quiet, validate


def test_ctrl_c_closes_recordings_and_a_crash_leaves_them_to_go_on(tmp_path: Path) -> None:
    with running(command(), tmp_path, free_port(), {}) as service:
        app = service.app("restart")
        closed = app.record(native())
    folder = tmp_path / "data" / "recordings" / "restart"
    assert validate(folder / closed / "out.m3u8") == []
    assert (folder / closed / "out.json").is_file()

    with running(command(), tmp_path, free_port(), {}) as service:
        app = service.app("restart")
        end = app.status(closed)
        assert (end["state"], end["reason"]) == ("STOPPED", "shutdown")
        going_on = app.record(native())
        _die(service.process, service.descendants())

    with running(command(), tmp_path, free_port(), {}) as service:
        app = service.app("restart")
        until(lambda: read_index(app.folder(going_on)).newest_attempt == 2, 20, lambda: str(app.status(going_on)))
        app.wait(going_on, "PROCESSING")
        app.stop(going_on)
        app.wait(going_on, "STOPPED")
        assert probe_quiet(app.file(going_on, "out.m3u8")) == ""


def test_after_a_long_time_recordings_are_finished_and_not_resumed(tmp_path: Path) -> None:
    with running(command(), tmp_path, free_port(), {}) as service:
        task = service.app("late").record(native())
        _die(service.process, service.descendants())
    with sqlite3.connect(tmp_path / "data" / "tasks.db") as store:
        store.execute("UPDATE managers SET alive_at = ?", (time.time() - 3600,))
    with running(command(), tmp_path, free_port(), {}) as service:
        app = service.app("late")
        end = app.wait(task, "FAILED", limit_s=20)
        assert end["error"].startswith("The service was away for 36")
        assert end["payload"]["files"] == ["out.m3u8", "out.json"]
        assert probe_quiet(app.file(task, "out.m3u8")) == ""


def _die(process: subprocess.Popen[bytes], family: list[psutil.Process]) -> None:
    """As when the machine loses its power."""
    process.kill()
    for each in family:
        if each.is_running():
            each.kill()
