"""Browsers that are kept ready: used once, replaced, found again by the next manager, gone with the service."""

from __future__ import annotations

import psutil
import pytest

from tests.cluster.service import Service, gone, page, until
from tests.oracle.page import serve_page
from tests.processes import browser_of


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
def test_a_browser_that_is_ready_is_used_once_and_replaced(equipped: Service) -> None:
    app = equipped.app("warm")
    first = one_idle(equipped)
    browser = first.children(recursive=True)
    with serve_page() as url:
        small = {"width": 640, "height": 360, "frameRate": 24, "bitrate": 300}
        task = app.record(page(url, video=small, format="mp4"))
        assert equipped.recorder(task) == first, "it is the process that was ready"
        second = one_idle(equipped, first)
        assert equipped.recorder(task) == first, "and is called so from then on"

        manager = equipped.processes("ray::TaskManager")
        for each in manager:
            each.kill()
        gone(manager, 5)
        until(lambda: app.post(f"/{task}/stop", {"request_id": "stop"}).status_code == 200, 60, lambda: "no manager")
        done = app.wait(task, "STOPPED")
        assert done["message"] == "", "the next manager has found its recorder"
        gone([first, *browser], 10)
        assert one_idle(equipped) == second, "and has kept the one that was idle"

        browser_of(second).kill()
        third = one_idle(equipped, second)
        gone([second], 10)

        large = app.record(page(url, video=small, scale=2))
        assert equipped.recorder(large) != third, "what it does not suit has a browser of its own"
        app.stop(large)
        app.wait(large, "STOPPED")
    assert one_idle(equipped) == third

    equipped.redeploy(cost={"native_memory_mb": 310})
    gone([third], 10)
    one_idle(equipped, third)
