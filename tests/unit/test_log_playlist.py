"""Playlists against RFC 8216, for any log."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import PurePosixPath
from urllib.parse import unquote

import m3u8  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorders.log.index import Attempt, Index, Part
from recorders.log.playlist import date_time, render
from tests.unit.log_entries import indexes


@given(indexes(), st.booleans())
def test_a_playlist_says_what_the_log_holds(index: Index, ended: bool) -> None:
    text = render(index, ended=ended)
    playlist = m3u8.loads(text)
    assert (playlist.version, playlist.media_sequence) == ("7", 0) or (playlist.version, playlist.media_sequence) == (
        7,
        0,
    )
    assert playlist.is_independent_segments
    assert playlist.is_endlist == ended
    assert playlist.playlist_type == ("vod" if ended else "event")
    assert len(playlist.segments) == len(index.parts)
    begun = None
    for segment, part in zip(playlist.segments, index.parts, strict=True):
        assert segment.duration == pytest.approx(part.duration, abs=1e-6)
        assert math.floor(segment.duration + 0.5) <= playlist.target_duration  # 4.3.3.1
        assert unquote(segment.uri) == PurePosixPath(part.name).name
        assert segment.uri.isascii()
        assert not set(segment.uri) & set(' "#?:')
        assert segment.discontinuity == (begun is not None and part.attempt != begun)
        init = next(
            attempt
            for attempt in index.attempts
            if PurePosixPath(attempt.init).name == unquote(segment.init_section.uri)
        )
        assert init.sha256 == index.attempt_of(part).sha256
        at = segment.program_date_time.timestamp() - (index.epoch or 0)
        assert at == pytest.approx(part.start, abs=0.002)
        begun = part.attempt


@given(indexes())
def test_a_live_playlist_only_grows(index: Index) -> None:
    """Section 6.2.1: lines are appended and none is changed; at the end the type changes and the end is told."""
    texts = [render(Index(index.attempts, index.parts[:k]), ended=False) for k in range(len(index.parts) + 1)]
    bodies = [text.split("#EXT-X-INDEPENDENT-SEGMENTS\n")[1] for text in texts]
    for before, after in pairwise(bodies):
        assert after.startswith(before)
    last = texts[-1].replace(":EVENT", ":VOD") + "#EXT-X-ENDLIST\n"
    assert render(index, ended=True) == last


def two_attempts(first: str, second: str, part_seconds: float = 2.0, duration: float = 2.0) -> Index:
    attempts = [
        Attempt(k, 0.0, f"rec_{k}_init.mp4", 1, digest, part_seconds) for k, digest in ((1, first), (2, second))
    ]
    parts = [Part(k, 0, f"rec_{k}_00000.m4s", 10.0 * k, duration, 1, "") for k in (1, 2)]
    return Index(tuple(attempts), tuple(parts))


def test_an_init_section_is_named_where_it_changes() -> None:
    text = render(two_attempts("a", "b"), ended=True)
    assert text.index('#EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI="rec_2_init.mp4"\n') > text.index("rec_1_00000.m4s")
    same = render(two_attempts("a", "a"), ended=True)
    assert same.count("#EXT-X-MAP") == 1
    assert "#EXT-X-DISCONTINUITY\n#EXT-X-PROGRAM-DATE-TIME" in same


@pytest.mark.parametrize(
    ("planned", "longest", "target"), [(2.0, 2.0, 2), (1.2, 1.2, 2), (2.0, 2.5, 3), (2.0, 2.49, 2)]
)
def test_target_duration(planned: float, longest: float, target: int) -> None:
    assert f"#EXT-X-TARGETDURATION:{target}\n" in render(two_attempts("a", "a", planned, longest), ended=False)


@pytest.mark.parametrize(
    ("unix", "text"),
    [
        (0.0, "1970-01-01T00:00:00.000Z"),
        (1.9996, "1970-01-01T00:00:02.000Z"),
        (1.7e9 + 0.25, "2023-11-14T22:13:20.250Z"),
    ],
)
def test_dates(unix: float, text: str) -> None:
    assert date_time(unix) == text
