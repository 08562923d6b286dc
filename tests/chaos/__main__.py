"""`make chaos`: random kills over a service of its own; prints what was lost and fails when a promise was broken."""

from __future__ import annotations

import argparse
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path

from tests.chaos.run import chaos
from tests.cluster.service import command, free_port, running


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--natives", type=int, default=8)
    parser.add_argument("--pages", type=int, default=1)
    parser.add_argument("--pause", type=float, default=2.0, help="mean seconds between two faults")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="where to leave the recordings, which are else deleted")
    given = parser.parse_args()
    # Faults come faster here than anybody's patience with a recording that is lost again and again.
    settings = {"EGRESS_ATTEMPTS__IN_A_ROW": "1000", "EGRESS_ATTEMPTS__BACKOFF_S": "0"}
    with (
        nullcontext(given.keep) if given.keep else tempfile.TemporaryDirectory(prefix="chaos-") as folder,
        running(command(), Path(folder), free_port(), settings) as service,
    ):
        result = chaos(
            service,
            kills=given.kills,
            natives=given.natives,
            pages=given.pages,
            pause_s=given.pause,
            seed=given.seed,
        )
    print(result.table())
    return 1 if result.ghosts or result.doubles or result.unplayable or result.unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
