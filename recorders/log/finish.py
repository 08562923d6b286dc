"""Finishing a recording: everything that is derived from its log once nobody writes to it any more."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import av

from recorders.errors import RecorderError
from recorders.formats import codecs_of
from recorders.log import files
from recorders.log.files import LogName
from recorders.log.index import Index
from recorders.log.lock import locked
from recorders.log.manifest import manifest, vouches
from recorders.log.playlist import render
from recorders.log.remux import remux
from recorders.log.salvage import salvage
from recorders.log.segment_log import read_index
from recorders.spec import Format

# How long to wait for another that finishes the same recording.
_PATIENCE_S = 300.0


@dataclass(frozen=True, slots=True)
class Finished:
    """What came of a recording: seconds, parts and bytes of the log; `files` relative to its folder, those beside the
    log at most when nothing was recorded. Of several logs, the seconds of the longest."""

    files: tuple[str, ...]
    seconds: float
    parts: int
    bytes: int


def finish(folder: Path, prefix: str, format: Format) -> Finished:
    """Write the final playlist, the single file that `format` asks for, and the manifest, of each log.

    Blocking and idempotent: each file is written whole or not at all, two at once take turns, and a second call
    changes nothing unless the log has grown. A part that the index does not name (the recorder died between the
    two) does not count. Raises `RecorderError` with the fact when a part cannot be read or a file not written.
    """
    done = together(_finish_log(Path(folder), name, format) for name in files.logs_in(folder, prefix))
    return replace(done, files=(*done.files, *files.beside_in(folder, prefix)))


def together(logs: Iterable[Finished]) -> Finished:
    """What came of a recording, from what came of each of its logs."""
    every = list(logs)
    return Finished(
        tuple(name for each in every for name in each.files),
        max((each.seconds for each in every), default=0.0),
        sum(each.parts for each in every),
        sum(each.bytes for each in every),
    )


def _finish_log(folder: Path, name: LogName, format: Format) -> Finished:
    index = folder / name.index
    if not index.is_file():
        return Finished((), 0.0, 0, 0)
    try:
        with locked(index, _PATIENCE_S):
            salvage(folder, name)
            return _finish(folder, name.prefix, format, read_index(folder, name.index))
    except TimeoutError:
        raise RecorderError(f"Somebody else has been finishing this for {_PATIENCE_S:.0f} s.") from None
    except (OSError, av.FFmpegError) as error:
        raise RecorderError(f"The recording cannot be finished: {error}.") from error


def _finish(folder: Path, prefix: str, format: Format, index: Index) -> Finished:
    files.remove_leftovers((folder / prefix).parent)
    if not index.parts:
        return Finished((), 0.0, 0, 0)
    codecs = codecs_of(format)
    playlist, single = files.playlist_name(prefix), f"{prefix}{codecs.extension}"
    if not vouches(folder, prefix, index, (playlist, single) if codecs.container else (playlist,)):
        files.write_durably(folder / playlist, render(index, ended=True).encode())
        if codecs.container:
            draft = files.temporary(folder / single)
            remux(folder, index, codecs, draft)
            files.publish(draft, folder / single)
        files.write_durably(folder / files.manifest_name(prefix), manifest(folder, prefix, index).encode())
    return Finished(
        files.listed_files(folder, prefix), index.seconds, len(index.parts), sum(part.bytes for part in index.parts)
    )
