"""`python -m recorders SPEC.json`: record a specification with no cluster.

SPEC (or standard input, as `-`) is a `RecordingSpec` in JSON, to which a `config` (`RecorderConfig`) may be
added. A channel's access token may come from the environment instead, as EGRESS_ACCESS_TOKEN.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import uvloop
from pydantic import TypeAdapter, ValidationError

from recorders.config import RecorderConfig
from recorders.errors import RecorderError
from recorders.recorder import EndReason, Recorder, build
from recorders.spec import RecordingSpec


def read(text: str) -> tuple[RecordingSpec, RecorderConfig]:
    """Parse SPEC. Raises `ValueError` with a sentence per fault, without the values that were given."""
    try:
        given: dict[str, Any] = json.loads(text)
        if not isinstance(given, dict):
            raise ValueError("The specification must be a JSON object.")
        config = RecorderConfig.model_validate(given.pop("config", {}))
        subject = given.get("subject")
        if isinstance(subject, dict) and "channel" in subject and "access_token" not in subject:
            subject["access_token"] = os.environ.get("EGRESS_ACCESS_TOKEN", "")
        return TypeAdapter(RecordingSpec).validate_python(given), config
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()]
        raise ValueError("\n".join(faults)) from None


async def record(recorder: Recorder, seconds: float | None) -> EndReason:
    """Run until the subject ends, `seconds` have passed or Ctrl-C."""
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, recorder.stop)
    if seconds is not None:
        loop.call_later(seconds, recorder.stop)
    return await recorder.run()


def main() -> int:
    """Exit codes: 0 recorded, 1 the recording failed (its files are printed all the same), 2 bad specification."""
    parser = argparse.ArgumentParser(prog="python -m recorders", description=__doc__)
    parser.add_argument("spec", metavar="SPEC", help="a JSON file, or - for standard input")
    parser.add_argument("--seconds", type=float, help="stop after this long; by default on Ctrl-C or at the end")
    arguments = parser.parse_args()
    try:
        text = sys.stdin.read() if arguments.spec == "-" else Path(arguments.spec).read_text()
        spec, config = read(text)
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    failed = False
    try:
        recorder = build(spec, config)
        print(uvloop.run(record(recorder, arguments.seconds)))  # the loop of Ray's actors
        print(json.dumps(recorder.progress().counters))
    except RecorderError as error:
        print(error, file=sys.stderr)
        failed = True
    from recorders.log.finish import finish

    for name in finish(Path(spec.folder), spec.prefix, spec.format).files:
        print(Path(spec.folder) / name)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
