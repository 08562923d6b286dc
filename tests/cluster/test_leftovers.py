"""What recordings of pages leave on their node when they have ended: nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from recorders.web.processes import family as processes_of
from tests.cluster.service import App, Service, gone, page, until
from tests.e2e.web_pages import serve_pages
from tests.processes import arguments

_RECORDINGS = 10
_GROWTH = 1.05
_PROFILE = "--user-data-dir="


@pytest.mark.timeout(600)
def test_ten_pages_one_after_the_other_leave_no_process_no_profile_and_no_memory(app: App) -> None:
    with serve_pages() as origin:
        _records(app, f"{origin}/static")
        before = _memory(app.service)
        for _ in range(_RECORDINGS - 1):
            _records(app, f"{origin}/static")

    def grown() -> float:
        return _memory(app.service) / before

    # Ray starts workers ahead, and ends those that have had nothing to do for a while.
    until(lambda: grown() <= _GROWTH, 30, lambda: f"the node's processes have grown by {grown():.2f}")


def _records(app: App, url: str) -> None:
    task = app.begin(page(url))
    family = app.service.recorder(task).children(recursive=True)
    folders = {folder for process in family for folder in _folders(process)}
    assert len(folders) == 1
    app.stop(task)
    app.wait(task, "STOPPED")
    gone(family, 5)
    assert not [folder for folder in folders if folder.exists()]


def _folders(process: psutil.Process) -> Iterator[Path]:
    """Of a browser, with its home and its profile in it."""
    for argument in arguments(process):
        if argument.startswith(_PROFILE):
            yield Path(argument.removeprefix(_PROFILE)).parents[1]


def _memory(service: Service) -> int:
    """Bytes that are its processes' own; how much of a program counts as theirs is a matter of who else runs it."""
    return sum(each.memory for each in processes_of(service.process.pid))
