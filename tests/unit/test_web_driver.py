"""Playwright's driver, without a browser."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Callable
from pathlib import Path

import playwright
import psutil
import pytest

from recorders.web import driver
from tests.processes import program


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def drivers() -> set[int]:
    return {child.pid for child in psutil.Process().children() if "node" in program(child)}


@pytest.mark.parametrize("ahead", [False, True])
def test_one_that_is_not_wanted_any_more_when_it_comes_is_ended(ahead: bool) -> None:
    async def run() -> None:
        others = drivers()  # what a test before has left goes when its loop is collected
        if ahead:
            driver.begin()
        starting = asyncio.create_task(driver.start())
        await until(lambda: bool(drivers() - others))
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        await asyncio.wait_for(driver.ended(), 30)
        assert not drivers() - others

    asyncio.run(run())


def test_a_page_cannot_make_it_keep_gigabytes(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NODE_OPTIONS", "NODE_COMPILE_CACHE"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)

    async def run() -> None:
        await (await driver.start()).stop()

    asyncio.run(run())
    node = Path(playwright.__file__).parent / "driver" / "node"
    asked = [str(node), "-p", "require('v8').getHeapStatistics().heap_size_limit"]
    assert int(subprocess.run(asked, capture_output=True, check=True).stdout) < 300 << 20
