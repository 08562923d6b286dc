"""`python -m benchmarks [name ...] [--quick]`: runs benchmarks, prints their tables, writes results.md."""

from __future__ import annotations

import argparse
import importlib
import sys
import time
import traceback

from benchmarks.need import Missing
from benchmarks.table import LONG, ORDER, machine, write

_KNOWN = ", ".join((*ORDER, *LONG))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="name", help=f"one or more of {_KNOWN}; by default all but {', '.join(LONG)}"
    )
    parser.add_argument("--quick", action="store_true", help="fewer and shorter runs; results.md is left as it is")
    args = parser.parse_args()
    unknown = [name for name in args.names if name not in (*ORDER, *LONG)]
    if unknown:
        parser.error(f"there is no benchmark {', '.join(unknown)}; there are {_KNOWN}")
    print(machine(), flush=True)
    failed = False
    for name in args.names or ORDER:
        begun = time.monotonic()
        try:
            tables = importlib.import_module(f"benchmarks.{name}").run(args.quick)
        except Missing as missing:
            print(f"\n{name}: {missing}", file=sys.stderr, flush=True)
            failed = True
            continue
        except Exception:  # the other benchmarks can still be run
            print(f"\n{name} failed:\n{traceback.format_exc()}", file=sys.stderr, flush=True)
            failed = True
            continue
        for table in tables:
            print(f"\n{table}", flush=True)
        print(f"\n({name}: {time.monotonic() - begun:.0f} s)", flush=True)
        if not args.quick:
            write(name, tables)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
