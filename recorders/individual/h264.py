"""H.264 as it comes from a publisher (ITU-T H.264, annex B): its parameter sets, and what a decoder makes of them."""

from __future__ import annotations

from collections.abc import Iterator

import av

from recorders.log.tracks import UNSPECIFIED, VideoTrack

# Capture times are kept in the ticks of RTP (RFC 6184, section 5.1).
TICKS = 90_000

_SLICES = range(1, 6)
_PARAMETER_SETS = (7, 8)
_START = b"\0\0\1"


def parameter_sets(data: bytes) -> bytes:
    """The sequence and picture parameter sets before a picture's first slice, in annex B; empty when there are none."""
    sets = (nal for nal in _before_slices(data) if nal[0] & 0x1F in _PARAMETER_SETS)
    return b"".join(b"\0" + _START + nal for nal in sets)


def _before_slices(data: bytes) -> Iterator[bytes]:
    at = data.find(_START)
    while 0 <= at < len(data) - 3 and data[at + 3] & 0x1F not in _SLICES:
        end = data.find(_START, at + 3)
        nal = data[at + 3 : end if end >= 0 else len(data)].rstrip(b"\0")
        if nal:
            yield nal
        at = end


def describe(sets: bytes, keyframe: bytes) -> VideoTrack | None:
    """The track that begins with this keyframe, its pictures timed in `TICKS`; None when it cannot be decoded."""
    decoder = av.CodecContext.create("h264", "r")
    decoder.thread_count = 1
    decoder.extradata = sets
    try:
        pictures = [*decoder.decode(av.Packet(keyframe)), *decoder.decode(None)]
    except av.FFmpegError:
        return None
    if not pictures:
        return None
    return VideoTrack("h264", pictures[0].width, pictures[0].height, TICKS, sets, UNSPECIFIED)
