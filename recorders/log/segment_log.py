"""The segment log: parts on local disk and the index that says which of them count.

A part counts once its line is in the index; everything else about a recording is derived from that.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from recorders.errors import Fenced, RecorderError, Unwritable
from recorders.lease import Lease
from recorders.log import files
from recorders.log.index import LONGEST_S, Attempt, Index, Part, Slate, entries, line, parse
from recorders.log.playlist import assemble, segment, target_duration


def read_index(folder: Path, name: str = files.INDEX) -> Index:
    """What the log in `folder` holds whose index has that name; empty when there is none."""
    return _read(Path(folder) / name)[0]


def _read(path: Path) -> tuple[Index, int]:
    """An index file and how many bytes of it were read."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return Index(), 0
    return parse(raw.splitlines()), len(raw)


class IndexReader:
    """Follows an index that somebody else may be writing to, reading only what is new."""

    def __init__(self, folder: Path, name: str = files.INDEX) -> None:
        self._path = Path(folder) / name
        self._index, self._seen = Index(), (0, 0)

    def read(self) -> Index:
        """The log as it is now; the very object of the last time when nothing has changed."""
        try:
            with self._path.open("rb") as file:
                status = os.fstat(file.fileno())
                inode, size = self._seen
                if (status.st_ino, status.st_size) == self._seen:
                    return self._index
                if status.st_ino != inode or status.st_size < size:
                    self._index, size = Index(), 0
                file.seek(size)
                whole, newline, _ = file.read().rpartition(b"\n")
        except FileNotFoundError:
            self._index, self._seen = Index(), (0, 0)
            return self._index
        for entry in entries(whole.splitlines()):
            self._index = self._index.plus(entry)
        self._seen = (status.st_ino, size + len(whole) + len(newline))
        return self._index


@contextmanager
def _named_errors(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Unwritable(f"The recording's file {name} cannot be written: {error.strerror or error}.") from error


class SegmentLog:
    """The log of one recording, open for one attempt, which begins once.

    One thread writes, others may read its figures.

    Raises `Fenced` on opening and on every write when a newer attempt has begun, and on a write without a lease;
    `Unwritable` when the disk refuses.
    """

    def __init__(
        self,
        folder: Path,
        prefix: str,
        attempt: int,
        lease: Lease | None = None,
        epoch: float | None = None,
        index: str = files.INDEX,
    ) -> None:
        self.folder = Path(folder)
        self.prefix = prefix
        self.attempt = attempt
        self._lease = lease or Lease()
        self._epoch = epoch
        self._path = self.folder / index
        self._index, self._size = Index(), 0
        self._segments: list[str] = []
        self._sequence = 0
        self._refresh()
        self._sequence = self._next_of_own()
        with _named_errors(prefix):
            (self.folder / prefix).parent.mkdir(parents=True, exist_ok=True)

    @property
    def epoch(self) -> float | None:
        """Unix seconds of media time 0; None before the first attempt began, unless it was told on opening."""
        return self._epoch if self._index.epoch is None else self._index.epoch

    @property
    def parts(self) -> tuple[Part, ...]:
        return self._index.parts

    @property
    def total_bytes(self) -> int:
        return sum(part.bytes for part in self._index.parts)

    @property
    def end(self) -> float:
        """Media seconds up to which it goes; 0 for an empty one."""
        return self._index.end

    @property
    def media_seconds(self) -> float:
        return self._index.seconds

    def begin(self, epoch: float, init: bytes, part_seconds: float) -> None:
        """Write this attempt's init section; from now on older attempts are fenced off.

        `epoch` counts only for the first attempt; `part_seconds` is the length of part that is planned. Raises
        `Fenced` when somebody has begun this very attempt before.
        """
        self._refresh()
        if self._index.newest_attempt == self.attempt:
            raise Fenced(f"Attempt {self.attempt} of this recording has begun before; each needs its own number.")
        name = files.init_name(self.prefix, self.attempt)
        digest = hashlib.sha256(init).hexdigest()
        with _named_errors(name):
            files.write_durably(self.folder / name, init)
            first = epoch if self.epoch is None else self.epoch
            self._enter(Attempt(self.attempt, first, name, len(init), digest, part_seconds))

    def append(
        self, data: bytes, *, start: float, duration: float, salvaged: bool = False, slates: tuple[Slate, ...] = ()
    ) -> Part:
        """Close a part (media seconds since the epoch); it is durable and in the live playlist on return.

        `slates` is what of it is slate; `salvaged` tells that its recorder has not closed it itself. Raises
        `RecorderError` for one that begins before media time 0.
        """
        if not 0 <= start < LONGEST_S:
            raise RecorderError(f"A part of the recording would begin {start:.3f} s after its beginning.")
        self._refresh()
        if self._index.newest_attempt != self.attempt:
            raise RecorderError(f"Attempt {self.attempt} is not in the recording's index {self._path.name}.")
        if self._next_of_own() > self._sequence:
            raise Fenced(f"Somebody else has closed part {self._sequence} of attempt {self.attempt}: it must stop.")
        named = files.salvaged_name if salvaged else files.part_name
        name = named(self.prefix, self.attempt, self._sequence)
        digest = hashlib.sha256(data).hexdigest()
        part = Part(self.attempt, self._sequence, name, start, duration, len(data), digest, slates)
        with _named_errors(name):
            files.write_durably(self.folder / name, data)
            self._enter(part)
        self._sequence += 1
        for k in range(len(self._segments), len(self._index.parts)):
            self._segments.append(segment(self._index, k))
        playlist = files.playlist_name(self.prefix)
        with _named_errors(playlist):
            text = assemble(target_duration(self._index), self._segments, ended=False)
            files.write_whole(self.folder / playlist, text.encode())
        return part

    def _next_of_own(self) -> int:
        last = self._index.parts[-1] if self._index.parts else None
        return last.sequence + 1 if last is not None and last.attempt == self.attempt else 0

    def _refresh(self) -> None:
        """Look at the index again if somebody else wrote to it, and whose the log is."""
        self._lease.check()
        with _named_errors(self._path.name):
            try:
                size = self._path.stat().st_size
            except FileNotFoundError:
                size = 0
            if size != self._size:
                self._index, self._size = _read(self._path)
                self._segments.clear()
        newest = self._index.newest_attempt
        if newest > self.attempt:
            raise Fenced(f"Attempt {newest} owns this recording; attempt {self.attempt} must stop.")

    def _enter(self, entry: Attempt | Part) -> None:
        raw = line(entry)
        with self._path.open("ab") as file:
            if file.tell() and not self._ends_with_newline():
                raw = b"\n" + raw  # after a line that was cut short
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
            size = file.tell()
        if self._size == 0:
            files.sync_folder(self.folder)
        if size == self._size + len(raw):
            self._index, self._size = self._index.plus(entry), size
        else:  # somebody else wrote between the look and the write: the order of the lines tells whose the log is
            self._refresh()

    def _ends_with_newline(self) -> bool:
        with self._path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read(1) == b"\n"
