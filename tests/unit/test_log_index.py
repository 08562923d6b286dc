"""The index: what was written is read, whatever was cut short; the order of its lines fences."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from recorders.log.index import Attempt, Index, Part, line, parse
from tests.unit.log_entries import entry_of, indexes, lines_of


@given(indexes())
def test_what_is_written_is_read(index: Index) -> None:
    assert parse(lines_of(index)) == index


@given(indexes(), st.data())
def test_a_file_cut_anywhere_is_the_log_up_to_there(index: Index, data: st.DataObject) -> None:
    raw = b"".join(lines_of(index))
    found = parse(raw[: data.draw(st.integers(0, len(raw)))].splitlines())
    assert found.attempts == index.attempts[: len(found.attempts)]
    assert found.parts == index.parts[: len(found.parts)]


_CUT = [b'{"kind":"pa', b"\xff\xfe", b"[]", b"null", b"", b'{"kind":"x"}']
_IMPOSSIBLE = [
    line(entry_of(attempt, False, k=99, start=at)) for attempt in (1, 2) for at in (2.0**64 / 90000, -8.0, math.nan)
]


@given(indexes(), st.integers(0, 30), st.sampled_from([*_CUT, *_IMPOSSIBLE]))
def test_a_broken_line_spoils_no_other(index: Index, at: int, broken: bytes) -> None:
    lines = lines_of(index)
    assert parse([*lines[:at], broken, *lines[at:]]) == index


@given(st.lists(st.tuples(st.integers(1, 4), st.booleans())))
def test_only_the_newest_attempt_writes(writes: list[tuple[int, bool]]) -> None:
    """Whoever writes whatever in whatever order: a part counts only before the next attempt's beginning."""
    entries = [entry_of(attempt, begins, k=k) for k, (attempt, begins) in enumerate(writes)]
    index, one_by_one = parse(map(line, entries)), Index()
    newest, counted = 0, []
    for entry in entries:
        one_by_one = one_by_one.plus(entry)
        if isinstance(entry, Attempt):
            newest = max(newest, entry.attempt)
        elif entry.attempt == newest:
            counted.append(entry)  # their numbers only rise
    assert index == one_by_one
    assert list(index.parts) == counted
    numbers = [attempt.attempt for attempt in index.attempts]
    assert numbers == sorted(set(numbers))
    assert index.newest_attempt == newest


@given(indexes(), st.data())
def test_what_an_attempt_has_written(index: Index, data: st.DataObject) -> None:
    attempt = data.draw(st.integers(0, 5))
    mine = index.of(attempt)
    assert [*mine.attempts] == [entry for entry in index.attempts if entry.attempt == attempt]
    assert [*mine.parts] == [part for part in index.parts if part.attempt == attempt]


@given(indexes(), st.integers(0, 30))
def test_a_log_continues_what_it_was(index: Index, at: int) -> None:
    before = parse(lines_of(index)[:at])
    assert index.continues(before)
    assert before.continues(index) == (before == index)
    assert not index.parts or not Index(index.attempts, index.parts[1:]).continues(index)


def test_figures() -> None:
    index = Index()
    assert (index.epoch, index.seconds, index.newest_attempt, index.end) == (None, 0.0, 0, 0.0)
    for entry in (
        entry_of(1, True),
        entry_of(1, False),
        entry_of(3, True),
        entry_of(3, False, start=7.0, duration=0.5),
    ):
        index = index.plus(entry)
    assert (index.epoch, index.seconds, index.newest_attempt, index.end) == (1.5, 2.5, 3, 7.5)
    late = index.parts[-1]
    assert isinstance(late, Part)
    assert index.attempt_of(late).init == "rec_3_init.mp4"
