"""`make chaos`: random faults over services of its own; prints what was lost and fails when a promise was broken.

First on one machine with its disk, then on a cluster of three nodes with an object store.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path

from tests.chaos.faults import ON_A_CLUSTER, ON_ONE_MACHINE, Target
from tests.chaos.run import Result, chaos
from tests.cluster.service import command, running
from tests.ports import free_port
from tests.s3 import BUCKET, s3_server

# Faults come faster here than anybody's patience with a recording that is lost again and again.
_PATIENT = {"EGRESS_ATTEMPTS__IN_A_ROW": "1000", "EGRESS_ATTEMPTS__BACKOFF_S": "0"}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--kills", type=int, default=200, help="faults on one machine")
    parser.add_argument("--node-kills", type=int, default=12, help="faults on a cluster")
    parser.add_argument("--natives", type=int, default=8)
    parser.add_argument("--pages", type=int, default=1)
    parser.add_argument("--pause", type=float, default=2.0, help="mean seconds between two faults")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="where to leave the recordings, which are else deleted")
    given = parser.parse_args()
    broken = False
    with nullcontext(given.keep) if given.keep else tempfile.TemporaryDirectory(prefix="chaos-") as name:
        folder = Path(name)
        if given.kills:
            broken |= _tell("On one machine", _on_one_machine(folder / "one", given))
        if given.node_kills:
            broken |= _tell("On three nodes with an object store", _on_a_cluster(folder / "cluster", given))
    return int(broken)


def _tell(where: str, result: Result) -> bool:
    print(f"{where}:\n{result.table()}\n", flush=True)
    return bool(result.ghosts or result.doubles or result.unplayable or result.unexplained)


def _on_one_machine(folder: Path, given: argparse.Namespace) -> Result:
    folder.mkdir(parents=True)
    with running(command(), folder, free_port(), _PATIENT) as service:
        return chaos(
            Target(service),
            ON_ONE_MACHINE,
            kills=given.kills,
            natives=given.natives,
            pages=given.pages,
            pause_s=given.pause,
            seed=given.seed,
        )


def _on_a_cluster(folder: Path, given: argparse.Namespace) -> Result:
    folder.mkdir(parents=True)
    nodes = [sys.executable, "-m", "tests.cluster.nodes"]
    with s3_server(folder / "s3.log") as s3:
        settings = {**_PATIENT, **s3.environment, "EGRESS_STORAGE__URL": f"s3://{BUCKET}/kept"}
        with running(nodes, folder, free_port(), settings) as service:
            return chaos(
                Target(service, s3),
                ON_A_CLUSTER,
                kills=given.node_kills,
                natives=max(2, given.natives // 2),
                pages=given.pages,
                pause_s=10 * given.pause,
                seed=given.seed,
            )


if __name__ == "__main__":
    sys.exit(main())
