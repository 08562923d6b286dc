"""Cutting a fragmented MP4 stream that comes in any pieces."""

from __future__ import annotations

import struct
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from recorders.log.boxes import Fragmenter, boxes, find


def box(kind: bytes, *payload: bytes) -> bytes:
    body = b"".join(payload)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def trak(track: int, timescale: int) -> bytes:
    tkhd = box(b"tkhd", struct.pack(">5I", 0, 0, 0, track, 0))
    return box(b"trak", tkhd, box(b"mdia", box(b"mdhd", struct.pack(">5I", 0, 0, 0, timescale, 0))))


def traf(track: int, start: int, *, each: list[int] | None = None, count: int = 0, default: int = 0) -> bytes:
    """A track's run, with a duration for each sample or a default one for `count` samples."""
    tfhd = box(
        b"tfhd", struct.pack(">II", 0x8 if default else 0, track), struct.pack(">I", default) if default else b""
    )
    tfdt = box(b"tfdt", struct.pack(">IQ", 1 << 24, start))
    if each is None:
        return box(b"traf", tfhd, tfdt, box(b"trun", struct.pack(">II", 0, count)))
    rows = b"".join(struct.pack(">II", duration, 1) for duration in each)  # duration, size
    return box(b"traf", tfhd, tfdt, box(b"trun", struct.pack(">II", 0x300, len(each)), rows))


INIT = box(b"ftyp", b"iso6") + box(b"moov", box(b"mvhd", bytes(8)), trak(1, 30), trak(2, 48000))
FIRST = box(
    b"moof", box(b"mfhd", bytes(8)), traf(1, 2**33, count=60, default=1), traf(2, 5, count=9, default=1024)
) + box(b"mdat", b"\0moof" * 9)
SOUND_ALONE = box(b"styp", b"msdh") + box(b"moof", traf(2, 96000, each=[1024, 1024, 960])) + box(b"mdat", b"abc")
STREAM = INIT + FIRST + box(b"sidx", bytes(9)) + SOUND_ALONE + box(b"mfra", b"the end")


@given(st.lists(st.integers(0, len(STREAM))))
def test_pieces(cuts: list[int]) -> None:
    at = [0, *sorted(cuts), len(STREAM)]
    fragmenter, taken = Fragmenter(), []
    for begin, end in pairwise(at):
        fragmenter.feed(STREAM[begin:end])
        taken += fragmenter.take()
    assert fragmenter.init == INIT
    assert [fragment.data for fragment in taken] == [FIRST, SOUND_ALONE]
    assert (taken[0].start, taken[0].duration) == (2**33 / 30, 2.0)
    assert (taken[1].start, taken[1].duration) == (2.0, 3008 / 48000)


def test_boxes_stop_at_what_is_not_whole() -> None:
    assert [kind for kind, _ in boxes(FIRST + SOUND_ALONE[:-1])] == [b"moof", b"mdat", b"styp", b"moof"]
    assert list(boxes(b"\0\0\0\3free")) == []
    large = struct.pack(">I4sQ", 1, b"mdat", 20) + b"four"
    assert list(boxes(large)) == [(b"mdat", b"four")]
    assert find(INIT, b"moov", b"trak", b"nope") is None
