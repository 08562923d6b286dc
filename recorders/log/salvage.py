"""Closing the part that a recorder had open when it died, from its journal."""

from __future__ import annotations

from pathlib import Path

from recorders.lease import Lease
from recorders.log import files
from recorders.log.boxes import Fragmenter
from recorders.log.cmaf import Muxer, slack_of
from recorders.log.files import LogName
from recorders.log.index import Index, within
from recorders.log.journal import Heading, Kind, decodable, read
from recorders.log.segment_log import SegmentLog, read_index
from recorders.spec import RecordingSpec


def open_log(spec: RecordingSpec, lease: Lease | None = None, user: str = "") -> SegmentLog:
    """The log for an attempt (of a user's key, where each has one), with what the attempt before it has left salvaged.

    Raises as `SegmentLog` does.
    """
    folder, name = Path(spec.folder), files.log_of(spec.prefix, user) if user else LogName(spec.prefix)
    number = spec.attempt * files.RUNS if user else spec.attempt
    log = SegmentLog(folder, name.prefix, number, lease, spec.epoch, name.index)
    if spec.standby:
        return log
    salvage(folder, name)  # nothing is salvaged from a newer one, which may be writing: it would have raised
    return SegmentLog(folder, name.prefix, number, lease, spec.epoch, name.index)


def salvage(folder: Path, name: LogName) -> None:
    """Append what the newest attempt has encoded but not closed; it must not be writing any more. Idempotent.

    Raises `RecorderError` when the disk refuses.
    """
    index = read_index(folder, name.index)
    path = folder / files.journal_name(name.prefix, index.newest_attempt)
    found = read(path)
    if found is not None:
        heading, packets, slates = found
        muxer = Muxer(heading.video, heading.audio, heading.part_seconds)
        left = decodable(packets, _ends(folder, index, heading, muxer))
        for packet in left:
            muxer.put(packet)
        muxer.close()
        fragments = muxer.take() if left else []
        if fragments:
            log = SegmentLog(folder, name.prefix, index.newest_attempt, index=name.index)
            start, duration = fragments[0].start, sum(fragment.duration for fragment in fragments)
            data = b"".join(fragment.data for fragment in fragments)
            shown = within(slates, start, start + duration, slack_of(heading.video))
            log.append(data, start=start, duration=duration, salvaged=True, slates=shown)
    path.unlink(missing_ok=True)


def _ends(folder: Path, index: Index, heading: Heading, muxer: Muxer) -> dict[Kind, int]:
    """Where the tracks of this attempt's last part end: a recorder may have died before its journal was cut there."""
    own = [part for part in index.parts if part.attempt == heading.attempt]
    if not own:
        return {}
    fragmenter = Fragmenter()
    fragmenter.feed((folder / index.attempt_of(own[-1]).init).read_bytes())
    fragmenter.feed((folder / own[-1].name).read_bytes())
    ends: dict[Kind, int] = {}
    for fragment in fragmenter.take():
        ends |= muxer.ends(fragment)
    return ends
