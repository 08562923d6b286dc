"""`python -m tests.oracle FILE`: prints what is seen and heard in a recording; exit 1 when something is wrong."""

from __future__ import annotations

import argparse
import sys

from tests.oracle.analyse import analyse
from tests.oracle.hls import probe_quiet, validate
from tests.oracle.participants import Box
from tests.oracle.reader import is_playlist


def box(text: str) -> Box:
    """A cell as the command line has it: WxH+X+Y."""
    size, x, y = text.split("+")
    width, height = size.split("x")
    return Box(int(x), int(y), int(width), int(height))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.oracle", description=__doc__)
    parser.add_argument("file", help="a media file or an HLS playlist, a path or an http(s) URL")
    parser.add_argument("--users", default="", help="who must be there all the time: user1,user2")
    parser.add_argument("--cells", nargs="*", type=box, default=[], help="expected cells: 640x720+0+0 640x720+640+0")
    parser.add_argument("--rate", type=float, help="expected frames per second")
    args = parser.parse_args()
    users = [name for name in args.users.split(",") if name]
    report = analyse(args.file, users=users or None, cells=args.cells, frame_rate=args.rate)
    print(report)
    wrong = list(report.problems)
    if is_playlist(args.file):
        broken = validate(args.file)
        print("playlist:", "\n  ".join(broken) or "valid (RFC 8216)")
        wrong += broken
    said = probe_quiet(args.file)
    print("ffprobe and ffmpeg say:", said.strip() or "nothing")
    return 1 if wrong or said else 0


if __name__ == "__main__":
    sys.exit(main())
