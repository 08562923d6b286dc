"""Playwright's driver, without a browser."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import psutil
import pytest

from recorders.web import driver


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def started() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if "node" in child.name()]


@pytest.mark.parametrize("ahead", [False, True])
def test_one_that_is_not_wanted_any_more_when_it_comes_is_ended(ahead: bool) -> None:
    async def run() -> None:
        if ahead:
            driver.begin()
        starting = asyncio.create_task(driver.start())
        await until(lambda: bool(started()))
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        await until(lambda: not started())

    asyncio.run(run())
