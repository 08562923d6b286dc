"""Memory (PSS) of the idle service, of each kind of recording in it, and of the usual ways beside them."""

from __future__ import annotations

import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from benchmarks import pages
from benchmarks.clips import moving
from benchmarks.native_ways import ffmpeg
from benchmarks.need import require
from benchmarks.service import NATIVE, Service, service, web
from benchmarks.table import Table
from benchmarks.tree import pss, running

_SETTLE_S = 5.0


def run(quick: bool) -> list[Table]:
    """One table of recordings, one of the idle service's processes."""
    require("ffmpeg", "Xvfb", "pulseaudio", "chromium")
    settle = 3.0 if quick else _SETTLE_S
    table = Table(
        "Memory, MB (PSS)",
        ["what", "MB", "processes"],
        f"Proportional set size of the whole process tree, {settle:.0f} s after it began to record. A recording's tree "
        "is its Ray worker with its children; what it shares with the service counts in parts.",
    )
    with pages.serve() as base:
        with service() as ours:
            time.sleep(settle)
            idle = ours.tree.processes()
            table.add("idle service", f"{pss(idle):.0f}", str(len(idle)))
            parts = _by_name(idle)
            payloads = {
                "native, 2 users": NATIVE,
                "web, static text": web(f"{base}/static.html"),
                "web, four videos": web(f"{base}/videos.html"),
            }
            for name, payload in payloads.items():
                table.add(name, *_recording(ours, payload, settle))
        table.add("ffmpeg CLI, 2 users", *_other(lambda folder: ffmpeg(moving(2, seconds=30), folder), settle))
        xvfb = [sys.executable, "-m", "benchmarks.xvfb_way", f"{base}/static.html"]
        table.add("Xvfb way, static text", *_other(lambda folder: [*xvfb, str(folder)], settle))
    return [table, parts]


def _recording(ours: Service, payload: Mapping[str, Any], settle: float) -> tuple[str, str]:
    task = ours.start(payload)
    ours.wait(task, "PROCESSING")
    time.sleep(settle)
    tree = _workers_tree(ours.tree.processes(), task)
    found = f"{pss(tree):.0f}", str(len(tree))
    ours.stop(task)
    ours.wait(task, "STOPPED")
    return found


def _workers_tree(processes: Sequence[psutil.Process], task: str) -> list[psutil.Process]:
    """The Ray worker whose title names this task, and its descendants."""
    for process in processes:
        title = " ".join(process.cmdline())
        if title.startswith("ray::") and task in title:
            return [process, *process.children(recursive=True)]
    raise RuntimeError(f"No Ray worker has task {task} in its title.")


def _other(command: Any, settle: float) -> tuple[str, str]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        with running(command(folder), folder / "log.txt") as tree:
            time.sleep(settle + 3)
            processes = tree.processes()
            return f"{pss(processes):.0f}", str(len(processes))


def _by_name(processes: Sequence[psutil.Process]) -> Table:
    table = Table("Memory of the idle service by process, MB (PSS)", ["process", "MB", "number"])
    sizes: Counter[str] = Counter()
    numbers: Counter[str] = Counter()
    for process in processes:
        name = _short(process)
        sizes[name] += round(pss([process]))
        numbers[name] += 1
    for name, size in sizes.most_common():
        table.add(name, str(size), str(numbers[name]))
    return table


def _short(process: psutil.Process) -> str:
    """What a process is, without paths or numbers."""
    command = process.cmdline()
    if command and command[0].startswith("ray::"):
        return command[0].split("(")[0].split(":egress")[0]
    for argument in command[1:4]:
        if argument.endswith(".py") or argument == "egress_ray":
            return Path(argument).name
    return process.name()
