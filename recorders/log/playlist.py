"""HLS playlists (RFC 8216) from the index of a log; pure."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from pathlib import PurePosixPath
from urllib.parse import quote

from recorders.log.index import Index

VERSION = 7


def render(index: Index, *, ended: bool) -> str:
    """The playlist of all parts; URIs are relative to the playlist, which lies beside the parts.

    While recording it is an EVENT playlist without end. Target duration is constant over the life of a
    playlist as section 4.3.3.1 asks, unless a part came out longer than planned.
    """
    planned = (math.ceil(attempt.part_seconds) for attempt in index.attempts)
    target = max((*planned, *(round(part.duration) for part in index.parts)), default=1)
    lines = [
        "#EXTM3U",
        f"#EXT-X-VERSION:{VERSION}",
        f"#EXT-X-TARGETDURATION:{target}",
        "#EXT-X-MEDIA-SEQUENCE:0",
        f"#EXT-X-PLAYLIST-TYPE:{'VOD' if ended else 'EVENT'}",
        "#EXT-X-INDEPENDENT-SEGMENTS",
    ]
    writer = None
    for part in index.parts:
        if part.attempt != writer:
            if writer is not None:
                lines.append("#EXT-X-DISCONTINUITY")
            lines.append(f'#EXT-X-MAP:URI="{_uri(index.init_of(part).init)}"')
            writer = part.attempt
        lines.append(f"#EXT-X-PROGRAM-DATE-TIME:{_date_time((index.epoch or 0) + part.start)}")
        lines.append(f"#EXTINF:{part.duration:.6f},")
        lines.append(_uri(part.name))
    if ended:
        lines.append("#EXT-X-ENDLIST")
    return "\n".join(lines) + "\n"


def _uri(name: str) -> str:
    return quote(PurePosixPath(name).name)


def _date_time(unix: float) -> str:
    return datetime.fromtimestamp(unix, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
