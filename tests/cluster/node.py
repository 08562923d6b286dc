"""The nodes of a test cluster (`tests.cluster.nodes`), from outside."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil

from egress_ray import environment
from tests.cluster.service import Service
from tests.processes import title


@dataclass(frozen=True)
class Node:
    """One that records; `address` is its cluster's."""

    id: str
    raylet: psutil.Process
    data: Path
    address: str

    @property
    def processes(self) -> list[psutil.Process]:
        """All of it."""
        return [self.raylet, *self.raylet.children(recursive=True)]

    @property
    def lives(self) -> bool:
        """Whether its raylet runs."""
        try:
            return self.raylet.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    @property
    def kept_ready(self) -> list[psutil.Process]:
        """Recorders that have a browser open here, and no recording."""
        return [each for each in self.processes if title(each).startswith("ray::kept ready")]

    def kill(self) -> None:
        """As when the machine is gone; nothing when it is."""
        for process in self.processes if self.lives else ():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()

    def recorder(self, task: str) -> psutil.Process:
        """The process that records a task here."""
        (found,) = (each for each in self.processes if title(each).startswith(f"ray::record {task}"))
        return found

    def records(self, task: str) -> bool:
        """Whether a task is recorded here."""
        return any(title(each).startswith(f"ray::record {task}") for each in self.processes)

    def drain(self, within_s: int = 60) -> None:
        """Tell Ray that the node will be gone soon."""
        command = [str(Path(sys.executable).with_name("ray")), "drain-node", "--address", self.address]
        reason = ["--reason", "DRAIN_NODE_REASON_PREEMPTION", "--reason-message", "a test"]
        done = subprocess.run(
            [*command, "--node-id", self.id, *reason, "--deadline-remaining-seconds", str(within_s)],
            env={**os.environ, **environment.variables()},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def nodes_of(service: Service) -> list[Node]:
    """Those that record, as they are now; without those that have just ended."""
    told = json.loads((service.data / "nodes.json").read_text())
    return [
        Node(each["node_id"], psutil.Process(each["raylet"]), Path(each["data"]), told["address"])
        for each in told["nodes"]
        if psutil.pid_exists(each["raylet"])
    ]
