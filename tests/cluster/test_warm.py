"""Browsers that are kept ready: used once, replaced, found again by the next manager, gone with the service."""

from __future__ import annotations

from collections.abc import Iterator

import psutil
import pytest

from tests.cluster.service import Service, command, free_port, gone, page, running, title, until
from tests.oracle.page import serve_page

_MEMORY_MB = 300


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    settings = {"EGRESS_WARM__BROWSERS": "1", "EGRESS_COST__WEB_MEMORY_MB": str(_MEMORY_MB)}
    with running(command(), tmp_path_factory.mktemp("warm"), free_port(), settings) as started:
        yield started


def idle(service: Service) -> list[psutil.Process]:
    """Recorders that have a browser open, and no recording."""
    return service.processes("ray::kept ready")


def one_idle(service: Service, *but: psutil.Process) -> psutil.Process:
    """The only one that is idle, once it is another one than these."""
    found: list[psutil.Process] = []

    def there() -> bool:
        found[:] = [each for each in idle(service) if each not in but]
        return len(found) == 1

    until(there, 60, lambda: f"idle: {idle(service)}")
    return found[0]


@pytest.mark.timeout(600)
def test_a_browser_that_is_ready_is_used_once_and_replaced(warm: Service) -> None:
    app = warm.app("warm")
    first = one_idle(warm)
    browser = first.children(recursive=True)
    with serve_page() as url:
        small = {"width": 640, "height": 360, "frameRate": 24, "bitrate": 300}
        task = app.record(page(url, video=small, format="mp4"))
        assert warm.recorder(task) == first, "it is the process that was ready"
        second = one_idle(warm, first)

        warm_manager = warm.processes("ray::TaskManager")
        for each in warm_manager:
            each.kill()
        gone(warm_manager, 5)
        app.stop(task)
        done = app.wait(task, "STOPPED")
        assert done["message"] == "", "the next manager has found its recorder"
        gone([first, *browser], 10)
        assert one_idle(warm) == second, "and has kept the one that was idle"

        next(each for each in second.children(recursive=True) if "--type=" not in title(each)).kill()
        third = one_idle(warm, second)
        gone([second], 10)

        large = app.record(page(url, video=small, scale=2))
        assert warm.recorder(large) != third, "what it does not suit has a browser of its own"
        app.stop(large)
        app.wait(large, "STOPPED")
    assert one_idle(warm) == third

    warm.redeploy()
    gone([third], 10)
    assert idle(warm) == [], "a manager that is to keep none ready ends what the former one kept"
