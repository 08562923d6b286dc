"""What can be done to a running service, each by the pid of a process of its own."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import psutil

from tests.cluster.service import Service

# Longer than a lease, so that another has taken over when the frozen one goes on.
_FROZEN_S = 9.0


@dataclass(frozen=True)
class Hit:
    """One fault: what it was, when (Unix seconds), and the task whose recorder it hit, if it was one's."""

    fault: str
    at: float
    task: str = ""


def kill_recorder(service: Service, chance: random.Random) -> Hit | None:
    """SIGKILL to the process of a recording."""
    return _hit_recorder(service, chance, "recorder killed", psutil.Process.kill)


def freeze_recorder(service: Service, chance: random.Random) -> Hit | None:
    """SIGSTOP to the process of a recording, and SIGCONT when its lease has long run out."""

    def freeze(process: psutil.Process) -> None:
        process.suspend()
        threading.Timer(_FROZEN_S, _thaw, (process,)).start()

    return _hit_recorder(service, chance, "recorder frozen", freeze)


def kill_browser(service: Service, chance: random.Random) -> Hit | None:
    """SIGKILL to the main process of a recording's browser."""

    def kill(process: psutil.Process) -> None:
        for child in process.children(recursive=True):
            command = " ".join(child.cmdline())
            if "chrom" in command.split(" ")[0] and "--type=" not in command:
                child.kill()
                return
        raise psutil.NoSuchProcess(process.pid)

    return _hit_recorder(service, chance, "browser killed", kill)


def kill_manager(service: Service, chance: random.Random) -> Hit | None:
    """SIGKILL to the task manager."""
    return _hit(service, chance, "ray::TaskManager", "manager killed")


def kill_replica(service: Service, chance: random.Random) -> Hit | None:
    """SIGKILL to a replica of the REST deployment."""
    return _hit(service, chance, "ray::ServeReplica", "replica killed")


FAULTS: dict[str, tuple[Callable[[Service, random.Random], Hit | None], int]] = {
    "recorder": (kill_recorder, 10),
    "browser": (kill_browser, 2),
    "frozen": (freeze_recorder, 2),
    "manager": (kill_manager, 2),
    "replica": (kill_replica, 1),
}
"""Each with its weight."""


def _hit(service: Service, chance: random.Random, title: str, fault: str) -> Hit | None:
    found = service.processes(title)
    if not found:
        return None
    at = time.time()
    chance.choice(found).send_signal(signal.SIGKILL)
    return Hit(fault, at)


def _hit_recorder(
    service: Service, chance: random.Random, fault: str, do: Callable[[psutil.Process], None]
) -> Hit | None:
    found = service.processes("ray::record ")
    chance.shuffle(found)
    for process in found:
        try:
            task = " ".join(process.cmdline()).split()[1]
            at = time.time()
            do(process)
        except (psutil.Error, IndexError):
            continue
        return Hit(fault, at, task)
    return None


def _thaw(process: psutil.Process) -> None:
    try:
        process.resume()
    except psutil.Error:
        return
