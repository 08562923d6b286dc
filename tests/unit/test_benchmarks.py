"""The benchmarks' own instruments: CPU time of a whole tree, picture numbers, sections of the results."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks import barcode, drift, table
from benchmarks.tree import Ended, running

# A child that burns half a second of CPU and is orphaned at once; its parent ends without waiting for it.
_ORPHAN = """
import os, time
if os.fork() == 0:
    if os.fork() == 0:
        while time.process_time() < 0.5: pass
        os._exit(0)
    os._exit(0)
os.wait()
time.sleep(30)
"""


def test_cpu_time_of_an_orphan_is_counted_while_it_runs_and_after(tmp_path: Path) -> None:
    with running([sys.executable, "-c", _ORPHAN], tmp_path / "log", end_s=1) as tree:
        limit = time.monotonic() + 20
        while tree.cpu() < 0.3:
            assert time.monotonic() < limit
            time.sleep(0.02)
        assert len(tree.processes()) == 2
        while len(tree.processes()) > 1:
            assert time.monotonic() < limit
            time.sleep(0.02)
        assert 0.45 < tree.cpu() < 1.5


def test_nothing_of_a_tree_is_left(tmp_path: Path) -> None:
    command = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(60)'])"
    with running([sys.executable, "-c", command], tmp_path / "log", end_s=1) as tree:
        while len(processes := tree.processes()) < 2:
            tree.check()
    assert not any(process.is_running() and process.status() != "zombie" for process in processes)


def test_a_command_that_ends_early_is_told_with_what_it_said(tmp_path: Path) -> None:
    with (
        running([sys.executable, "-c", "print('no such thing'); raise SystemExit(3)"], tmp_path / "log") as tree,
        pytest.raises(Ended, match="ended with 3:\nno such thing"),
    ):
        tree.cpu_rate(20)


@pytest.mark.parametrize("width", [1280, 640, 426])
@pytest.mark.parametrize("n", [0, 1, 511, 1023])
def test_picture_numbers(width: int, n: int) -> None:
    luma = np.full((width * 9 // 16, width), 90, np.uint8)
    assert barcode.read(luma) is None
    barcode.write(luma, n)
    assert barcode.read(luma) == n


def test_a_benchmark_replaces_its_own_section(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "RESULTS", tmp_path / "results.md")
    for name, value in (("web", "1"), ("native", "2"), ("web", "3")):
        one = table.Table(f"About {name}", ["a"])
        one.add(value)
        table.write(name, [one])
    text = (tmp_path / "results.md").read_text()
    assert text.index("## native") < text.index("## web")
    assert "| 1 |" not in text
    assert "| 2 |" in text
    assert text.count("| 3 |") == 1


@pytest.mark.parametrize("sender", drift.SENDERS[1:], ids=lambda sender: str(sender.name))
def test_a_sender_whose_clocks_are_wrong_stays_in_step(sender: drift.Sender) -> None:
    """A minute and a half of what the benchmark does for an hour: 9 ms at 100 ppm."""
    offsets, lateness = drift.simulate(sender, 90)
    assert len(offsets) > 60
    assert np.abs(offsets).max() <= 40, "milliseconds from a flash to its beep"
    assert np.ptp(lateness) <= 5, "milliseconds by which the sound moves against the wall clock"
