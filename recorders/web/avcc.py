"""H.264 of a second encoder among that of a first: one description for both. Pure.

Each encoder has parameter sets of its own numbers, and a description (ISO/IEC 14496-15, 5.3.3.1) may hold several: so
pictures of both follow each other in one track, and every player has been told of both from the beginning.
"""

from __future__ import annotations

from collections.abc import Iterator

_SPS, _PPS = 7, 8
_PICTURES = range(1, 6)
_START = b"\0\0\1"


def level(avcc: bytes) -> int:
    """The level_idc that a description promises."""
    return avcc[3]


def with_sets(avcc: bytes, annex_b: bytes) -> bytes:
    """A description with the parameter sets in `annex_b` besides its own; their numbers must differ."""
    more = {kind: [nal for nal in _nals(annex_b) if nal[0] & 0x1F == kind] for kind in (_SPS, _PPS)}
    sps, at = _sets(avcc, 5, 0x1F)
    pps, end = _sets(avcc, at, 0xFF)
    sps, pps = [*sps, *more[_SPS]], [*pps, *more[_PPS]]
    head = avcc[:5] + bytes([avcc[5] & 0xE0 | len(sps)])
    return head + _listed(sps) + bytes([len(pps)]) + _listed(pps) + avcc[end:]


def length_prefixed(annex_b: bytes) -> bytes:
    """A picture as a track with a description has it: its slices alone, each after its length in four bytes."""
    slices = (nal for nal in _nals(annex_b) if nal[0] & 0x1F in _PICTURES)
    return b"".join(len(nal).to_bytes(4) + nal for nal in slices)


def _sets(avcc: bytes, at: int, mask: int) -> tuple[list[bytes], int]:
    """The parameter sets whose number is at a place, and where they end."""
    count, at, found = avcc[at] & mask, at + 1, []
    for _ in range(count):
        length = int.from_bytes(avcc[at : at + 2])
        found.append(avcc[at + 2 : at + 2 + length])
        at += 2 + length
    return found, at


def _listed(nals: list[bytes]) -> bytes:
    return b"".join(len(nal).to_bytes(2) + nal for nal in nals)


def _nals(annex_b: bytes) -> Iterator[bytes]:
    for piece in annex_b.split(_START)[1:]:
        if nal := piece.rstrip(b"\0"):
            yield nal
