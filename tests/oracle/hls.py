"""Validates a media playlist against RFC 8216, and asks ffprobe and ffmpeg what they have to complain of."""

from __future__ import annotations

import math
import re
import subprocess
from datetime import datetime
from pathlib import Path

from tests.oracle.reader import fetch, is_url, resolve

_ATTRIBUTE = re.compile(r'([A-Z0-9-]+)=("[^"]*"|[^,]*)(?:,|$)')
_ONCE = (
    "#EXT-X-VERSION",
    "#EXT-X-TARGETDURATION",
    "#EXT-X-MEDIA-SEQUENCE",
    "#EXT-X-DISCONTINUITY-SEQUENCE",
    "#EXT-X-PLAYLIST-TYPE",
    "#EXT-X-INDEPENDENT-SEGMENTS",
    "#EXT-X-ENDLIST",
)
# Section 4.3.3: these apply to the whole playlist and come before the first segment.
_BEFORE_SEGMENTS = ("#EXT-X-TARGETDURATION", "#EXT-X-MEDIA-SEQUENCE", "#EXT-X-DISCONTINUITY-SEQUENCE")
_OF_SEGMENT = ("#EXTINF", "#EXT-X-DISCONTINUITY", "#EXT-X-PROGRAM-DATE-TIME", "#EXT-X-BYTERANGE", "#EXT-X-GAP")


def validate(playlist: str | Path, *, finished: bool = True) -> list[str]:
    """What is wrong with a media playlist (path or http(s) URL), as sentences; section numbers are RFC 8216's.

    Besides the rules themselves: version, independent segments and a date are there, the dates go on as the
    durations do, every URI can be read, and with `finished` the playlist ends.
    """
    where = str(playlist)
    raw = fetch(where)
    problems: list[str] = []
    if raw.startswith(b"\xef\xbb\xbf"):
        problems.append("It starts with a byte order mark (4.1).")
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return [*problems, "It is not UTF-8 (4.1)."]
    lines = text.splitlines()
    if not lines or lines[0] != "#EXTM3U":
        return [*problems, "It does not start with #EXTM3U (4.3.1.1)."]
    if "#EXT-X-STREAM-INF" in text:
        return [*problems, "It is a master playlist, not a media playlist (4.3.4)."]
    return problems + _Checker(where, lines, finished).run()


class _Checker:
    def __init__(self, where: str, lines: list[str], finished: bool) -> None:
        self.where, self.lines, self.finished = where, lines, finished
        self.problems: list[str] = []
        self.tags: dict[str, str] = {}
        self.segments = 0
        self.durations: list[float] = []
        self.map: str | None = None
        self.discontinuity = False
        self.maps: list[str] = []
        self.expected_date: datetime | None = None
        self.date: datetime | None = None
        self.dates = 0
        self.extinf: float | None = None

    def run(self) -> list[str]:
        for number, line in enumerate(self.lines[1:], 2):
            if line != line.strip():
                self.say(number, "white space around it (4.1)")
            if line.startswith("#EXT"):
                name, _, value = line.partition(":")
                self.tag(number, name, value)
            elif line and not line.startswith("#"):
                self.segment(number, line)
        self.whole()
        return self.problems

    def say(self, number: int, what: str) -> None:
        self.problems.append(f"Line {number}: {what}.")

    def tag(self, number: int, name: str, value: str) -> None:
        if name in _ONCE:
            if name in self.tags:
                self.say(number, f"a second {name} (4.3.3)")
            self.tags[name] = value
        if name in _BEFORE_SEGMENTS and self.segments:
            self.say(number, f"{name} after the first segment (4.3.3)")
        if "#EXT-X-ENDLIST" in self.tags and name in _OF_SEGMENT:
            self.say(number, f"{name} after #EXT-X-ENDLIST (4.3.3.4)")
        match name:
            case "#EXTM3U":
                self.say(number, "a second #EXTM3U (4.3.1.1)")
            case "#EXTINF":
                self.inf(number, value)
            case "#EXT-X-DISCONTINUITY":
                self.discontinuity, self.expected_date = True, None
            case "#EXT-X-MAP":
                self.init(number, value)
            case "#EXT-X-PROGRAM-DATE-TIME":
                self.dated(number, value)
            case "#EXT-X-PLAYLIST-TYPE" if value not in ("VOD", "EVENT"):
                self.say(number, f"the playlist type is {value}, not VOD or EVENT (4.3.3.5)")

    def inf(self, number: int, value: str) -> None:
        match = re.fullmatch(r"(\d+(?:\.\d+)?),.*", value)
        if match is None:
            self.say(number, f"#EXTINF has no duration with a comma: {value!r} (4.3.2.1)")
        if self.extinf is not None:
            self.say(number, "a second #EXTINF for one segment (4.3.2.1)")
        self.extinf = float(match[1]) if match else 0.0

    def init(self, number: int, value: str) -> None:
        uri = dict(_ATTRIBUTE.findall(value)).get("URI", "")
        if len(uri) < 3 or not uri.startswith('"'):
            self.say(number, "#EXT-X-MAP has no quoted URI (4.3.2.5)")
            return
        name = uri[1:-1]
        if self.map is not None and name != self.map and not self.discontinuity:
            self.say(number, "the init section changes without a discontinuity before it")
        if name not in self.maps:
            self.maps.append(name)
            self.readable(number, name)
        self.map = name

    def dated(self, number: int, value: str) -> None:
        try:
            date = datetime.fromisoformat(value)
        except ValueError:
            self.say(number, f"{value!r} is not an ISO 8601 date (4.3.2.6)")
            return
        if date.tzinfo is None:
            self.say(number, "the date has no time zone (4.3.2.6)")
            return
        self.dates += 1
        self.date = date

    def segment(self, number: int, uri: str) -> None:
        if self.extinf is None:
            self.say(number, "a segment without #EXTINF (4.3.2.1)")
        duration = self.extinf or 0.0
        if uri.endswith((".m4s", ".mp4", ".cmfv", ".cmfa")) and self.map is None:
            self.say(number, "a fragmented MP4 segment without #EXT-X-MAP (3.3)")
        if self.date and self.expected_date and abs((self.date - self.expected_date).total_seconds()) > 0.05:
            off = (self.date - self.expected_date).total_seconds()
            self.say(number, f"the date is {off:+.3f} s from where the durations lead (4.3.2.6)")
        self.readable(number, uri)
        self.segments += 1
        self.durations.append(duration)
        start = self.date or self.expected_date
        self.expected_date = start and datetime.fromtimestamp(start.timestamp() + duration, tz=start.tzinfo)
        self.date, self.extinf, self.discontinuity = None, None, False

    def readable(self, number: int, uri: str) -> None:
        try:
            empty = not fetch(resolve(self.where, uri))
        except OSError as error:
            self.say(number, f"{uri} cannot be read: {error}")
            return
        if empty:
            self.say(number, f"{uri} is empty")

    def whole(self) -> None:
        say = self.problems.append
        for name in ("#EXT-X-VERSION", "#EXT-X-TARGETDURATION", "#EXT-X-INDEPENDENT-SEGMENTS"):
            if name not in self.tags:
                say(f"There is no {name}.")
        if self.finished and "#EXT-X-ENDLIST" not in self.tags:
            say("There is no #EXT-X-ENDLIST.")
        if not self.segments:
            say("There is no segment.")
        if self.segments and not self.dates:
            say("There is no #EXT-X-PROGRAM-DATE-TIME.")
        if self.extinf is not None:
            say("The last #EXTINF has no segment (4.3.2.1).")
        version = _whole(self.tags.get("#EXT-X-VERSION", "1"))
        needed = 6 if self.maps else 3  # section 7: #EXT-X-MAP in a playlist that is not I-frames only
        if "#EXT-X-VERSION" in self.tags and (version is None or version < needed):
            say(f"#EXT-X-VERSION is {self.tags['#EXT-X-VERSION']}, its tags need {needed} (7).")
        target = _whole(self.tags.get("#EXT-X-TARGETDURATION", ""))
        if "#EXT-X-TARGETDURATION" in self.tags and target is None:
            say("#EXT-X-TARGETDURATION is not a whole number of seconds (4.3.3.1).")
        longest = max(self.durations, default=0.0)
        if target is not None and math.floor(longest + 0.5) > target:
            say(f"A segment of {longest:.3f} s is longer than the target duration of {target} s (4.3.3.1).")


def _whole(value: str) -> int | None:
    return int(value) if value.isdecimal() else None


def probe_quiet(where: str | Path, limit_s: float = 60) -> str:
    """What ffprobe and ffmpeg print about a file or playlist at log level warning while they read all of it."""
    options = [] if not is_url(str(where)) else ["-protocol_whitelist", "file,http,https,tcp,tls"]
    said = ""
    for command in (
        ["ffprobe", "-v", "warning", *options, "-i", str(where)],
        # A gap of more than 10 s is a gap, and not a clock that jumped, by which ffmpeg would move what follows.
        [
            "ffmpeg",
            "-v",
            "warning",
            "-nostdin",
            "-dts_delta_threshold",
            "1e9",
            *options,
            "-i",
            str(where),
            "-f",
            "null",
            "-",
        ],
    ):
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit_s, check=False)
        said += done.stdout + done.stderr
        if done.returncode:
            said += f"{command[0]} ended with {done.returncode}\n"
    return said
