"""Finishing a recording: everything that is derived from its log once nobody writes to it any more."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from recorders.formats import codecs_of
from recorders.log import files
from recorders.log.manifest import manifest
from recorders.log.playlist import render
from recorders.log.remux import remux
from recorders.log.segment_log import read_index
from recorders.spec import Format


@dataclass(frozen=True, slots=True)
class Finished:
    """What came of a recording; `files` relative to its folder, none when nothing was recorded."""

    files: tuple[str, ...]
    seconds: float
    parts: int
    bytes: int


def finish(folder: Path, prefix: str, format: Format) -> Finished:
    """Write the final playlist, the single file that `format` asks for, and the manifest.

    Blocking and idempotent: each file is written whole or not at all, and a second call changes nothing. A
    part that the index does not name (the recorder died between the two) does not count.
    """
    folder = Path(folder)
    index = read_index(folder)
    if not index.parts:
        return Finished((), 0.0, 0, 0)
    text = render(index, ended=True)
    files.write_durably(folder / files.playlist_name(prefix), text.encode())
    codecs = codecs_of(format)
    if codecs.container is not None:
        target = folder / f"{prefix}{codecs.extension}"
        if not target.exists():
            temporary = target.with_name(f".{target.name}.tmp")
            remux(folder, index, codecs, temporary)
            _sync(temporary)
            temporary.replace(target)
            files.sync_folder(target.parent)
    files.write_durably(folder / files.manifest_name(prefix), manifest(folder, prefix, index).encode())
    names = files.listed_files(folder, prefix)
    return Finished(names, index.seconds, len(index.parts), sum(part.bytes for part in index.parts))


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
