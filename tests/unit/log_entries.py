"""Indexes of logs, made up: for hypothesis."""

from __future__ import annotations

from hypothesis import strategies as st

from recorders.log.index import Attempt, Index, Part, line, parse

EPOCHS = st.floats(0, 4e9).map(lambda unix: round(unix, 3))
NAMES = st.sampled_from(["rec", "a b", "ü/100%", "x#y?z", "deep/er/rec", "a:b", "%41"])


def entry_of(attempt: int, begins: bool, *, k: int = 0, start: float = 0.0, duration: float = 2.0) -> Attempt | Part:
    if begins:
        return Attempt(attempt, 1.5, f"rec_{attempt}_init.mp4", 7, "a", 2.0)
    return Part(attempt, k, f"rec_{attempt}_{k:05d}.m4s", start, duration, 9, "b")


@st.composite
def indexes(draw: st.DrawFn) -> Index:
    """A log of up to four attempts, each with up to five parts in order, with gaps between attempts."""
    prefix, epoch, at = draw(NAMES), draw(EPOCHS), 0.0
    index = Index()
    for attempt in range(1, draw(st.integers(1, 4)) + 1):
        init = f"{prefix}_{attempt}_init.mp4"
        digest, planned = draw(st.sampled_from("ab")), draw(st.sampled_from([0.5, 1.2, 2.0]))
        index = index.plus(Attempt(attempt, epoch, init, 700, digest, planned))
        at += draw(st.floats(0, 100))
        for k in range(draw(st.integers(0, 5))):
            duration = draw(st.floats(0.02, 11))
            index = index.plus(Part(attempt, k, f"{prefix}_{attempt}_{k:05d}.m4s", at, duration, 9, f"{k}"))
            at += duration
    return index


def lines_of(index: Index) -> list[bytes]:
    """The index as a writer would have written it."""
    lines = []
    for attempt in index.attempts:
        lines.append(line(attempt))
        lines += [line(part) for part in index.parts if part.attempt == attempt.attempt]
    assert parse(lines) == index
    return lines
