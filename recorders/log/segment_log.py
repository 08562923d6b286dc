"""The segment log: parts on local disk and the index that says which of them count.

A part counts once its line is in the index; everything else about a recording is derived from that.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from recorders.errors import Fenced
from recorders.log import files
from recorders.log.index import Attempt, Index, Part, line, parse
from recorders.log.playlist import render


def read_index(folder: Path) -> Index:
    """What the log in `folder` holds; empty when there is none."""
    try:
        return parse((Path(folder) / files.INDEX).read_bytes().splitlines())
    except FileNotFoundError:
        return Index()


class SegmentLog:
    """The log of one recording, open for one attempt. One thread writes, others may read its figures.

    Raises `Fenced` on opening and on every write when a newer attempt has begun.
    """

    def __init__(self, folder: Path, prefix: str, attempt: int) -> None:
        self.folder = Path(folder)
        self.prefix = prefix
        self.attempt = attempt
        self._path = self.folder / files.INDEX
        (self.folder / prefix).parent.mkdir(parents=True, exist_ok=True)
        self._index = Index()
        self._size = -1
        self._refresh()
        self._sequence = len([part for part in self._index.parts if part.attempt == attempt])

    @property
    def epoch(self) -> float | None:
        """Unix seconds of media time 0; None before the first attempt began."""
        return self._index.epoch

    @property
    def parts(self) -> tuple[Part, ...]:
        return self._index.parts

    @property
    def total_bytes(self) -> int:
        return sum(part.bytes for part in self._index.parts)

    @property
    def media_seconds(self) -> float:
        return self._index.seconds

    def begin(self, epoch: float, init: bytes, part_seconds: float) -> None:
        """Write this attempt's init section; `epoch` counts only for the first attempt."""
        self._refresh()
        name = files.init_name(self.prefix, self.attempt)
        files.write_durably(self.folder / name, init)
        digest = hashlib.sha256(init).hexdigest()
        self._enter(Attempt(self.attempt, self.epoch or epoch, name, len(init), digest, part_seconds))

    def append(self, data: bytes, *, start: float, duration: float) -> Part:
        """Close a part (media seconds since the epoch); it is durable and in the live playlist on return."""
        self._refresh()
        name = files.part_name(self.prefix, self.attempt, self._sequence)
        digest = hashlib.sha256(data).hexdigest()
        part = Part(self.attempt, self._sequence, name, start, duration, len(data), digest)
        files.write_durably(self.folder / name, data)
        self._enter(part)
        self._sequence += 1
        text = render(self._index, ended=False)
        files.write_durably(self.folder / files.playlist_name(self.prefix), text.encode())
        return part

    def _refresh(self) -> None:
        """Read the index again if somebody else wrote to it."""
        try:
            size = self._path.stat().st_size
        except FileNotFoundError:
            size = 0
        if size != self._size:
            self._index, self._size = read_index(self.folder), size
        if self._index.newest_attempt > self.attempt:
            raise Fenced(f"Attempt {self._index.newest_attempt} owns this recording; attempt {self.attempt} must stop.")

    def _enter(self, entry: Attempt | Part) -> None:
        raw = line(entry)
        with self._path.open("ab") as file:
            if file.tell() and not self._ends_with_newline():
                raw = b"\n" + raw  # after a line that was cut short
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
            self._size = file.tell()
        if isinstance(entry, Attempt):
            self._index = Index((*self._index.attempts, entry), self._index.parts)
        else:
            self._index = Index(self._index.attempts, (*self._index.parts, entry))

    def _ends_with_newline(self) -> bool:
        with self._path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read(1) == b"\n"
