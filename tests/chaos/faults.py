"""What can be done to a running service, each by the pid of a process of its own."""

from __future__ import annotations

import contextlib
import random
import signal
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import psutil

from tests.cluster.node import Node, nodes_of
from tests.cluster.service import Service
from tests.processes import browser_of, title
from tests.s3 import S3

# Longer than a lease, so that another has taken over when the frozen one goes on.
_FROZEN_S = 9.0
_NODE_FROZEN_S = 15.0
_STORE_AWAY_S = 10.0
# How long a drained node stays.
_DRAINED_S = 40.0


@dataclass(frozen=True)
class Target:
    """A running service, and the object store that it has, if it has one."""

    service: Service
    s3: S3 | None = None


@dataclass(frozen=True)
class Hit:
    """One fault: what it was, when (Unix seconds), and the tasks whose recorders it hit."""

    fault: str
    at: float
    tasks: tuple[str, ...] = ()


Fault = Callable[[Target, random.Random], Hit | None]


def kill_recorder(target: Target, chance: random.Random) -> Hit | None:
    """SIGKILL to the process of a recording."""
    return _hit_recorder(target, chance, "recorder killed", psutil.Process.kill)


def freeze_recorder(target: Target, chance: random.Random) -> Hit | None:
    """SIGSTOP to the process of a recording, and SIGCONT when its lease has long run out."""

    def freeze(process: psutil.Process) -> None:
        process.suspend()
        threading.Timer(_FROZEN_S, _thaw, ([process],)).start()

    return _hit_recorder(target, chance, "recorder frozen", freeze)


def kill_browser(target: Target, chance: random.Random) -> Hit | None:
    """SIGKILL to the main process of a recording's browser."""

    def kill(process: psutil.Process) -> None:
        browser_of(process).kill()

    return _hit_recorder(target, chance, "browser killed", kill)


def kill_manager(target: Target, chance: random.Random) -> Hit | None:
    """SIGKILL to the task manager."""
    return _hit(target, chance, "ray::TaskManager", "manager killed")


def kill_replica(target: Target, chance: random.Random) -> Hit | None:
    """SIGKILL to a replica of the REST deployment."""
    return _hit(target, chance, "ray::ServeReplica", "replica killed")


def kill_node(target: Target, chance: random.Random) -> Hit | None:
    """SIGKILL to a raylet and all its processes."""

    return _hit_node(target, chance, "node killed", Node.kill)


def freeze_node(target: Target, chance: random.Random) -> Hit | None:
    """SIGSTOP to a raylet and all its processes, SIGCONT later."""

    def freeze(node: Node) -> None:
        processes = node.processes
        for process in processes:
            with contextlib.suppress(psutil.Error):
                process.suspend()
        threading.Timer(_NODE_FROZEN_S, _thaw, (processes,)).start()

    return _hit_node(target, chance, "node frozen", freeze)


def drain_node(target: Target, chance: random.Random) -> Hit | None:
    """`ray drain-node`, and the end of the node later."""

    def drain(node: Node) -> None:
        node.drain(int(_DRAINED_S))
        threading.Timer(_DRAINED_S, _end, (node,)).start()

    return _hit_node(target, chance, "node drained", drain)


def cut_store(target: Target, chance: random.Random) -> Hit | None:
    """The way to the object store cut for a while."""
    if target.s3 is None:
        return None
    at = time.time()
    target.s3.cut()
    threading.Timer(_STORE_AWAY_S, target.s3.mend).start()
    return Hit("store away", at)


ON_ONE_MACHINE: Mapping[Fault, int] = {
    kill_recorder: 10,
    kill_browser: 2,
    freeze_recorder: 2,
    kill_manager: 2,
    kill_replica: 1,
}
"""Each with its weight."""

ON_A_CLUSTER: Mapping[Fault, int] = {kill_recorder: 1, kill_node: 4, freeze_node: 3, drain_node: 4, cut_store: 1}


def _hit(target: Target, chance: random.Random, beginning: str, fault: str) -> Hit | None:
    found = target.service.processes(beginning)
    if not found:
        return None
    at = time.time()
    chance.choice(found).send_signal(signal.SIGKILL)
    return Hit(fault, at)


def _hit_recorder(
    target: Target, chance: random.Random, fault: str, do: Callable[[psutil.Process], None]
) -> Hit | None:
    found = target.service.processes("ray::record ")
    chance.shuffle(found)
    for process in found:
        try:
            task, at = title(process).split()[1], time.time()
            do(process)
        except (psutil.Error, IndexError):
            continue
        return Hit(fault, at, (task,))
    return None


_spared_until = 0.0


def _hit_node(target: Target, chance: random.Random, fault: str, do: Callable[[Node], None]) -> Hit | None:
    """One node at a time, and the next one when there are two again."""
    global _spared_until
    nodes = nodes_of(target.service)
    if len(nodes) < 2 or time.monotonic() < _spared_until:
        return None
    _spared_until = time.monotonic() + _DRAINED_S + 15
    node = chance.choice(nodes)
    tasks = tuple(title(process).split()[1] for process in node.processes if title(process).startswith("ray::record "))
    at = time.time()
    do(node)
    return Hit(fault, at, tasks)


def _thaw(processes: list[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.resume()


def _end(node: Node) -> None:
    if node.raylet.is_running():
        node.kill()
