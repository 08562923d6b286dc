"""HLS playlists (RFC 8216) from the index of a log; pure."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath
from urllib.parse import quote

from recorders.log.index import Index

VERSION = 7
_UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def render(index: Index, *, ended: bool) -> str:
    """The playlist of all parts; URIs are relative to the playlist, which lies beside the parts.

    While recording it is an EVENT playlist without end, afterwards a VOD one with it.
    """
    return assemble(target_duration(index), (segment(index, k) for k in range(len(index.parts))), ended=ended)


def target_duration(index: Index) -> int:
    """Seconds. Constant over the life of a playlist as section 6.2.1 asks, unless a part comes out longer than planned:
    no part may, rounded, be longer (4.3.3.1)."""
    planned = (math.ceil(attempt.part_seconds) for attempt in index.attempts)
    return max((*planned, *(math.floor(part.duration + 0.5) for part in index.parts)), default=1)


def segment(index: Index, k: int) -> str:
    """The lines of part `k`; they depend on nothing that comes after it.

    Each attempt after the first begins with a discontinuity. The map holds until the next one (4.3.2.5): it is not
    repeated for an init section that is the same byte for byte, for FFmpeg warns of one that is named twice.
    """
    part = index.parts[k]
    lines = []
    before = index.parts[k - 1] if k else None
    if before is None or before.attempt != part.attempt:
        init = index.attempt_of(part)
        if before is not None:
            lines.append("#EXT-X-DISCONTINUITY")
        if before is None or index.attempt_of(before).sha256 != init.sha256:
            lines.append(f'#EXT-X-MAP:URI="{_uri(init.init)}"')
    lines.append(f"#EXT-X-PROGRAM-DATE-TIME:{date_time((index.epoch or 0) + part.start)}")
    lines.append(f"#EXTINF:{part.duration:.6f},")
    lines.append(_uri(part.name))
    return "\n".join(lines) + "\n"


def assemble(target: int, segments: Iterable[str], *, ended: bool) -> str:
    """Head, segments and, if `ended`, the end."""
    head = (
        "#EXTM3U\n"
        f"#EXT-X-VERSION:{VERSION}\n"
        f"#EXT-X-TARGETDURATION:{target}\n"
        "#EXT-X-MEDIA-SEQUENCE:0\n"
        f"#EXT-X-PLAYLIST-TYPE:{'VOD' if ended else 'EVENT'}\n"
        "#EXT-X-INDEPENDENT-SEGMENTS\n"
    )
    return head + "".join(segments) + ("#EXT-X-ENDLIST\n" if ended else "")


def date_time(unix: float) -> str:
    """Unix seconds as ISO 8601 in UTC, rounded to a millisecond."""
    moment = _UNIX_EPOCH + timedelta(milliseconds=round(unix * 1000))
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _uri(name: str) -> str:
    return quote(PurePosixPath(name).name)
