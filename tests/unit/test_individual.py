"""Individual recordings: what users' files are called, and what H.264 says of itself."""

from __future__ import annotations

import re
from fractions import Fraction

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorders.individual.h264 import TICKS, describe, parameter_sets
from recorders.individual.keys import key_of
from recorders.log import files
from recorders.log.files import LogName, log_of, logs_among

PLAIN = st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-", min_size=1, max_size=32)


@given(PLAIN)
def test_a_users_name_is_its_key(name: str) -> None:
    assert key_of(name, "7", ()) == name


@given(st.text(max_size=200), st.text(max_size=200))
def test_keys_are_fit_for_files_and_tell_names_apart(one: str, other: str) -> None:
    keys = [key_of(name, "7", ()) for name in (one, other)]
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,49}", key) for key in keys)
    assert (keys[0] == keys[1]) == (one == other)


def test_two_of_one_name_at_once() -> None:
    first = key_of("Ada", "1", ())
    assert (first, key_of("Ada", "2", {first})) == ("Ada", "Ada-2")


@given(st.lists(st.tuples(st.sampled_from(["bob", "bob-1", "bob-2", "ü"]), st.sampled_from(["1", "2", "1-2"]))))
def test_no_two_who_are_there_have_one_key(people: list[tuple[str, str]]) -> None:
    taken: list[str] = []
    for name, uid in people:
        taken.append(key_of(name, uid, taken))
    assert len(set(taken)) == len(taken)
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,49}", key) for key in taken)


def test_a_name_that_is_anothers_with_its_uid() -> None:
    taken = {key_of("bob-2", "9", ()), key_of("bob", "1", ())}
    key = key_of("bob", "2", taken)
    assert key not in taken
    assert key == key_of("bob", "2", taken), "who comes back goes on in the same log"
    assert key.startswith("bob-")


@given(
    st.sets(PLAIN, min_size=2, max_size=6), st.sampled_from(["rec_{user}", "{user}", "{user}/x", "a/{user}.1.0_init"])
)
def test_no_users_file_has_the_name_of_anothers(users: set[str], pattern: str) -> None:
    seen: set[str] = set()
    for user in users:
        name = log_of(pattern, user)
        numbers = [attempt * files.RUNS + run for attempt in (1, 2) for run in (0, 1)]
        mine = {
            name.index,
            files.playlist_name(name.prefix),
            files.manifest_name(name.prefix),
            f"{name.prefix}.mp4",
            *(files.init_name(name.prefix, n) for n in numbers),
            *(files.part_name(name.prefix, n, k) for n in numbers for k in (0, 1)),
            *(files.salvaged_name(name.prefix, n, 0) for n in numbers),
            *(files.journal_name(name.prefix, n) for n in numbers),
            *(name.piece(n, 256 * k) for n in numbers for k in (0, 1)),
        }
        assert not mine & seen
        seen |= mine


@given(st.sets(PLAIN, max_size=6))
def test_logs_are_known_by_their_indices(users: set[str]) -> None:
    logs = [log_of("rec_{user}", user) for user in sorted(users)]
    others = ["index.jsonl", "rec_x.m3u8", ".spool.json", "index_000001_00000000.jsonl", "index.a.b.jsonl"]
    assert logs_among([*(log.index for log in logs), *others], "rec_{user}") == logs
    assert logs_among([log.piece(files.RUNS, 0) for log in logs], "rec_{user}") == logs
    assert logs_among(["index.x.jsonl"], "rec") == [LogName("rec")]


def test_pieces_sort_as_a_log_goes_on() -> None:
    name = log_of("{user}", "ada")
    numbers = [attempt * files.RUNS + run for attempt in (1, 9, 10) for run in (0, 2, 10)]
    names = [name.piece(number, first) for number in numbers for first in (0, 256)]
    assert names == sorted(names)
    assert LogName("rec").piece(3, 256) == "index_000003_00000256.jsonl"


def test_a_composites_files_are_called_as_ever() -> None:
    names = [files.init_name("rec", 2), files.part_name("rec", 2, 7), files.salvaged_name("rec", 2, 7)]
    assert names == ["rec_2_init.mp4", "rec_2_00007.m4s", "rec_2_00007s.m4s"]
    assert (files.journal_name("rec", 2), LogName("rec").index) == ("rec_2.journal", "index.jsonl")


@pytest.fixture(scope="module")
def keyframe() -> bytes:
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = 322, 182, "yuv420p", Fraction(1, 30)
    encoder.options = {"tune": "zerolatency", "x264-params": "aud=1"}
    (packet,) = encoder.encode(av.VideoFrame(322, 182, "yuv420p"))
    return bytes(packet)


def test_parameter_sets(keyframe: bytes) -> None:
    sets = parameter_sets(keyframe)
    assert [nal[0] & 0x1F for nal in sets.split(b"\0\0\0\1")[1:]] == [7, 8]
    assert parameter_sets(sets) == sets
    track = describe(sets, keyframe)
    assert track is not None
    assert (track.width, track.height, track.frame_rate, track.extradata) == (322, 182, TICKS, sets)


@given(st.binary(max_size=60))
def test_what_is_no_h264_has_no_parameter_sets_that_break_anything(data: bytes) -> None:
    assert parameter_sets(data) == b"" or b"\0\0\1" in data
    assert parameter_sets(b"\0\0\1\x41" + data) == b""


def test_what_cannot_be_decoded_is_no_track(keyframe: bytes) -> None:
    assert describe(b"", b"\0\0\1\x65\x88") is None
    assert describe(parameter_sets(keyframe), b"") is None
