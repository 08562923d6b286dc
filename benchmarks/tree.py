"""CPU time and memory of a command with all of its descendants, over any span of its life."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

import psutil

ROOT = Path(__file__).parents[1]


class Tree:
    """A running command under `benchmarks.meter`."""

    def __init__(self, meter: subprocess.Popen[bytes], log: IO[bytes]) -> None:
        self._meter = meter
        self._log = log
        self.pid = meter.pid

    def cpu(self) -> float:
        """CPU-seconds (user and system) that the command and its descendants have used so far.

        Living processes count with their own time and that of the children they have waited for; a process that
        has ended is in its parent's children time, at the latest in the meter's. The meter itself is left out.
        """
        meter = psutil.Process(self.pid)
        total = 0.0
        for process in meter.children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                total += sum(process.cpu_times()[:4])
        times = meter.cpu_times()
        return float(total + times.children_user + times.children_system)

    def processes(self) -> list[psutil.Process]:
        """The living descendants."""
        return psutil.Process(self.pid).children(recursive=True)

    def cpu_rate(self, seconds: float) -> float:
        """CPU-seconds a second from now on, over `seconds`. Raises `Ended` when the command ends meanwhile."""
        begun, before = time.monotonic(), self.cpu()
        while time.monotonic() - begun < seconds:
            self.check()
            time.sleep(0.05)
        return (self.cpu() - before) / (time.monotonic() - begun)

    def check(self) -> None:
        """Raises `Ended` when the command has ended."""
        if self._meter.poll() is not None:
            raise Ended(f"It ended with {self._meter.returncode}:\n{self.output()[-2000:]}")

    def output(self) -> str:
        """What it has printed."""
        return Path(self._log.name).read_text(errors="replace")

    def stop(self, limit_s: float = 20) -> int:
        """Ask it to end by SIGINT, wait, else kill all of it; the exit code."""
        if self._meter.poll() is None:
            self._meter.send_signal(signal.SIGINT)
            try:
                self._meter.wait(limit_s)
            except subprocess.TimeoutExpired:
                for process in self.processes():
                    with contextlib.suppress(psutil.NoSuchProcess):
                        process.kill()
                self._meter.wait(10)
        return self._meter.returncode


class Ended(Exception):
    """A measured command ended before it should."""


@contextlib.contextmanager
def running(
    command: Sequence[str | Path], log: Path, env: Mapping[str, str] | None = None, *, end_s: float = 20
) -> Iterator[Tree]:
    """The command under a meter; whatever is left of it ends with the block. `log` gets its output.

    The command has `end_s` seconds to end by itself.
    """
    with log.open("wb") as out:
        meter = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.meter", *map(str, command)],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(env or {})},
            start_new_session=True,
        )
        tree = Tree(meter, out)
        try:
            yield tree
        finally:
            tree.stop(end_s)


def pss(processes: Sequence[psutil.Process]) -> float:
    """Proportional set size of these processes together, in MB (10^6 bytes): shared pages count in parts."""
    total = 0
    for process in processes:
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
    return total / 1e6
