"""Playwright's driver, without a browser."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
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


def test_the_actor_of_a_page_begins_it_before_anything_that_takes_long() -> None:
    code = """
import sys
import egress_ray.recording.actor, recorders.web.driver
print({"av", "numpy", "playwright", "pydantic"} & set(sys.modules))"""
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "set()\n"


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The driver's program; processes from now on have the driver's environment."""
    for name in ("NODE_OPTIONS", "NODE_COMPILE_CACHE"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)

    async def run() -> None:
        await (await driver.start()).stop()

    asyncio.run(run())
    return Path(playwright.__file__).parent / "driver" / "node"


def printed(node: Path, *arguments: str | Path) -> str:
    return subprocess.run([node, *arguments], capture_output=True, check=True, text=True).stdout.rstrip("\n")


def test_a_page_cannot_make_it_keep_gigabytes(node: Path) -> None:
    assert int(printed(node, "-p", "require('v8').getHeapStatistics().heap_size_limit")) < 300 << 20


def test_its_large_sources_mean_the_same_with_one_byte_a_character(
    node: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    monkeypatch.setenv("NODE_COMPILE_CACHE", str(kept))
    source = tmp_path / "large.js"
    text = f"// \u2013{'x' * 1_100_000}\nmodule.exports = ['\u2013 \U0001f600', /^[\u4e00-\u4e09]$/.test('\u4e01')];"
    ask = f"JSON.stringify(require({str(source)!r}))"
    for change in ("", " // longer"):
        source.write_text(text + change)
        for _ in range(2):
            assert printed(node, "-p", ask) == '["\u2013 \U0001f600",true]'
    copies = [path.read_bytes() for path in kept.glob("large.js.*")]
    assert len(copies) == 2
    assert all(copy.isascii() for copy in copies)
    monkeypatch.setenv("NODE_COMPILE_CACHE", str(source))  # nothing can be kept there
    assert printed(node, "-p", ask) == '["\u2013 \U0001f600",true]'


def test_its_own_large_sources_are_kept_so(node: Path) -> None:
    bundles = (node.parent / "package" / "lib").glob("*Bundle.js")
    large = {path.name for path in bundles if not path.read_bytes().isascii()}
    kept = Path(os.environ["NODE_COMPILE_CACHE"]).glob("*Bundle.js.*")
    assert large <= {path.name.partition(".js")[0] + ".js" for path in kept if path.read_bytes().isascii()}
