"""The index of a segment log: one JSON line an entry, in the order in which things became durable.

Pure parsing and writing of lines; the file itself belongs to `segment_log`.
"""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass

# Media times (seconds) are from 0 to before this: no recording lasts for thirty years.
LONGEST_S = 1e9
# Times of the same moment that were reckoned in two ways.
_SAME_S = 0.001


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt begins to write: its init section, and the part length (seconds) it plans."""

    attempt: int
    epoch: float  # Unix seconds of media time 0, the same for all attempts
    init: str
    bytes: int
    sha256: str
    part_seconds: float


@dataclass(frozen=True, slots=True)
class Slate:
    """A stretch (media seconds since the epoch) in which there was nothing to record: its picture is the last one."""

    start: float
    end: float
    why: str


def within(slates: Iterable[Slate], start: float, end: float, least: float) -> tuple[Slate, ...]:
    """What of them is in a stretch, and longer than `least` (media seconds)."""
    cut = (Slate(max(each.start, start), min(each.end, end), each.why) for each in slates)
    return tuple(each for each in cut if each.end - each.start > least)


@dataclass(frozen=True, slots=True)
class Part:
    """A closed part. `start` and `duration` are media seconds since the epoch; `slates` is what of it is slate."""

    attempt: int
    sequence: int
    name: str
    start: float
    duration: float
    bytes: int
    sha256: str
    slates: tuple[Slate, ...] = ()


@dataclass(frozen=True, slots=True)
class Index:
    """What has become durable so far; parts in the order of their attempts."""

    attempts: tuple[Attempt, ...] = ()
    parts: tuple[Part, ...] = ()

    @property
    def epoch(self) -> float | None:
        return self.attempts[0].epoch if self.attempts else None

    @property
    def newest_attempt(self) -> int:
        return self.attempts[-1].attempt if self.attempts else 0

    @property
    def seconds(self) -> float:
        """Recorded media, gaps left out."""
        return sum(part.duration for part in self.parts)

    @property
    def end(self) -> float:
        """Media seconds up to which it goes."""
        return max((part.start + part.duration for part in self.parts), default=0.0)

    @property
    def slates(self) -> tuple[Slate, ...]:
        """All slates, those that reach over the borders of parts in one piece."""
        found: list[Slate] = []
        for slate in (slate for part in self.parts for slate in part.slates):
            if found and found[-1].why == slate.why and abs(slate.start - found[-1].end) <= _SAME_S:
                found[-1] = Slate(found[-1].start, slate.end, slate.why)
            else:
                found.append(slate)
        return tuple(found)

    def attempt_of(self, part: Part) -> Attempt:
        return next(entry for entry in self.attempts if entry.attempt == part.attempt)

    def plus(self, entry: Attempt | Part) -> Index:
        """This index with one more entry at its end, if that counts there.

        A part counts only while its attempt is the newest that has begun, and with a number above those of that
        attempt's other parts; an attempt only when it is newer than all before it. So what a fenced-off writer still
        got in behind its successor's beginning is nothing to any reader, whatever it checked before it wrote.
        """
        newest = self.newest_attempt
        if isinstance(entry, Attempt):
            return Index((*self.attempts, entry), self.parts) if entry.attempt > newest else self
        return Index(self.attempts, (*self.parts, entry)) if _follows(entry, newest, self.parts) else self

    @property
    def entries(self) -> list[Attempt | Part]:
        """Both kinds."""
        return [*self.attempts, *self.parts]

    def of(self, attempt: int) -> Index:
        """Only what one attempt has written."""
        mine = (entry for entry in self.attempts if entry.attempt == attempt)
        first = bisect_left(self.parts, attempt, key=lambda part: part.attempt)
        last = bisect_right(self.parts, attempt, first, key=lambda part: part.attempt)
        return Index(tuple(mine), self.parts[first:last])

    def continues(self, before: Index) -> bool:
        """Whether it is that one, with more at its end or nothing."""
        attempts, parts = len(before.attempts), len(before.parts)
        same = self.attempts[:attempts] == before.attempts
        return same and self.parts[max(0, parts - 1) : parts] == before.parts[-1:]

    @property
    def lines(self) -> bytes:
        """As a file."""
        return b"".join(line(entry) for entry in sorted(self.entries, key=lambda entry: entry.attempt))


def _follows(part: Part, newest: int, parts: Sequence[Part]) -> bool:
    last = parts[-1] if parts and parts[-1].attempt == newest else None
    return part.attempt == newest and (last is None or part.sequence > last.sequence)


def united(copies: Iterable[Index]) -> Index:
    """One log from copies of it, each of which may lack whole attempts, or the last parts of an attempt."""
    best: dict[int, Index] = {}
    for copy in copies:
        for attempt in (entry.attempt for entry in copy.attempts):
            mine = copy.of(attempt)
            if attempt not in best or len(mine.parts) > len(best[attempt].parts):
                best[attempt] = mine
    logs = [best[attempt] for attempt in sorted(best)]
    return Index(
        tuple(entry for log in logs for entry in log.attempts), tuple(part for log in logs for part in log.parts)
    )


def line(entry: Attempt | Part) -> bytes:
    """One entry as one line."""
    kind = "attempt" if isinstance(entry, Attempt) else "part"
    plain = asdict(entry)
    if not plain.get("slates", True):
        del plain["slates"]
    return (json.dumps({"kind": kind, **plain}, separators=(",", ":")) + "\n").encode()


def entries(lines: Iterable[bytes]) -> Iterator[Attempt | Part]:
    """What the lines say; left out is one that is not whole (a write cut short), or of a time that there cannot be."""
    for raw in lines:
        try:
            entry = json.loads(raw)
            kind = entry.pop("kind")
            if kind == "attempt":
                yield Attempt(**entry)
            elif kind == "part":
                slates = tuple(Slate(**slate) for slate in entry.pop("slates", ()))
                part = Part(**entry, slates=slates)
                if 0 <= part.start < LONGEST_S:
                    yield part
        except (ValueError, TypeError, KeyError, AttributeError):
            continue


def parse(lines: Iterable[bytes]) -> Index:
    """The index in the lines, by the rule of `Index.plus`."""
    attempts: list[Attempt] = []
    parts: list[Part] = []
    newest = 0
    for entry in entries(lines):
        if isinstance(entry, Part):
            if _follows(entry, newest, parts):
                parts.append(entry)
        elif entry.attempt > newest:
            attempts.append(entry)
            newest = entry.attempt
    return Index(tuple(attempts), tuple(parts))
