"""A recording's folder on its way into an object store.

The spool belongs to the recording and not to a process: whoever comes next on this node goes on with it. A local file
is given up only when its copy was verified. In the store each attempt has an index of its own (`index_N_....jsonl`), so
that nodes that do not see each other never write to one object. Where each user has a log, all of them move together.
"""

from __future__ import annotations

import json
import logging
import math
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from recorders.errors import RecorderError
from recorders.formats import codecs_of
from recorders.log import files
from recorders.log.files import LogName
from recorders.log.finish import Finished, finish, together
from recorders.log.index import Attempt, Index, Part, parse, united
from recorders.log.lock import locked
from recorders.log.manifest import logged
from recorders.log.segment_log import IndexReader, read_index
from recorders.storage.place import Place
from recorders.storage.remote import Remote, Stored

log = logging.getLogger("recorders.storage")
PLACE = ".spool.json"
_UPLOADED = ".uploaded.jsonl"
_LOCK = ".spool.lock"
# An attempt's index is uploaded in pieces of so many parts, of which only the last one changes.
_PIECE = 256
# The live playlist in the store is for viewers there; the longer it has become the more seldom it is sent.
_PLAYLIST_S = 6.0
_PLAYLIST_PARTS = 512
# How often is looked while it records for logs of users who have come, and at what lies beside the log: the folder of
# a recording of days has a great many files.
_LOGS_S = 5.0
_BESIDE_S = 20.0


class _Sent:
    """What of one log is in the store already."""

    def __init__(self, folder: Path, name: LogName) -> None:
        self.name = name
        self.reader = IndexReader(folder, name.index)
        self.index = Index()  # the log as it was when all of it was in the store
        self.playlist_at = -math.inf

    def known(self, index: Index) -> Index:
        """What of the log as it is now was in the store before."""
        return self.index if index.continues(self.index) else Index()


class Spool:
    """One task's folder and its place in the store; one process at a time (`held`)."""

    def __init__(self, folder: Path, place: Place) -> None:
        self.folder = Path(folder)
        self.place = place
        self._remote = Remote(place.url, place.path)
        self._uploaded: dict[str, str] = {}
        self._logs: dict[LogName, _Sent] = {}
        self._looked_at = -math.inf
        self._beside_at = time.monotonic()
        # A single file is made of all parts, so they stay at hand; otherwise nobody needs them here again.
        self._release = codecs_of(place.format).container is None

    @contextmanager
    def held(self, within_s: float) -> Iterator[None]:
        """Be the only one at it; what others have uploaded is known on entry. Raises TimeoutError."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with locked(self.folder / _LOCK, within_s):
            if not (self.folder / PLACE).is_file():
                files.write_durably(self.folder / PLACE, json.dumps(asdict(self.place)).encode())
            self._uploaded = _read_uploaded(self.folder / _UPLOADED)
            yield

    @property
    def backlog(self) -> int:
        """Bytes of the log that are only here."""
        logs = [(sent, sent.reader.read()) for sent in self._known(_LOGS_S)]
        return sum(entry.bytes for sent, index in logs for entry in self._pending(index, sent.known(index)))

    def advance(self, *, live: bool = False) -> None:
        """Upload what the log has more than the store; raises `StorageAway`, `RecorderError` for a damaged file.

        The live playlist goes there too when the present attempt's recorder says so (`live`), and nobody else: what an
        attempt before it left on another node would be put over that of its successor, or over the finished one.
        """
        for sent in self._known(_LOGS_S if live else 0.0):
            self._advance(sent, live)
        if not live or time.monotonic() - self._beside_at >= _BESIDE_S:
            self._beside_at = time.monotonic()
            self._send_beside()

    def _send_beside(self) -> None:
        """What has changed of the files beside the log: small ones that are replaced, or come at the end."""
        for name in files.beside_in(self.folder, self.place.prefix):
            digest = sha256((self.folder / name).read_bytes()).hexdigest()
            if self._uploaded.get(name) != digest:
                self._put(name, digest)

    def _known(self, age_s: float) -> list[_Sent]:
        """Of each log that there is here, or was so many seconds ago."""
        if time.monotonic() - self._looked_at >= age_s:
            self._looked_at = time.monotonic()
            for name in files.logs_in(self.folder, self.place.prefix):
                if name not in self._logs:
                    self._logs[name] = _Sent(self.folder, name)
        return list(self._logs.values())

    def _advance(self, sent: _Sent, live: bool) -> None:
        index = sent.reader.read()
        if index is sent.index:
            return
        known = sent.known(index)
        for entry in self._pending(index, known):
            self._put(_name(entry), entry.sha256)
        for name, raw in _pieces(index, sent.name, known):
            digest = sha256(raw).hexdigest()
            if self._uploaded.get(name) != digest:
                files.write_whole(self.folder / name, raw)
                self._put(name, digest)
        if live:
            self._put_playlist(sent, len(index.parts))
        if self._release:
            # The newest stays: should its recorder die, it tells where what it left behind goes on.
            for part in index.parts[max(0, len(known.parts) - 1) : -1]:
                (self.folder / part.name).unlink(missing_ok=True)
        sent.index = index

    def _put_playlist(self, sent: _Sent, parts: int) -> None:
        name = files.playlist_name(sent.name.prefix)
        wait_s = _PLAYLIST_S * (1 + parts // _PLAYLIST_PARTS)
        if time.monotonic() - sent.playlist_at >= wait_s and (self.folder / name).is_file():
            sent.playlist_at = time.monotonic()
            self._remote.put(self.folder / name, name)

    def adopt(self, unless: Callable[[], bool] = lambda: False) -> tuple[str, ...]:
        """Take into the log here what other nodes have put into the store, unless that comes too late; nobody may be
        writing to the log.

        Returns the names of what lies beside the log there.
        """
        self._logs.clear()  # what is there is found out anew
        self._looked_at = -math.inf
        there = self._remote.names()
        names = [name for name in there if name.startswith("index")]
        for log in {*files.logs_in(self.folder, self.place.prefix), *files.logs_among(names, self.place.prefix)}:
            pieces = [name for name in names if name.startswith(log.pieces) and name.endswith(".jsonl")]
            self._adopt(log, pieces, unless)
        return files.beside_among(there, self.place.prefix)

    def _adopt(self, log: LogName, names: list[str], unless: Callable[[], bool]) -> None:
        here = read_index(self.folder, log.index)
        pieces = {name: self._remote.read(name) or b"" for name in names}
        there = parse(b"".join(pieces.values()).splitlines())
        known = {_name(entry): entry.sha256 for entry in there.entries}
        known |= {name: sha256(raw).hexdigest() for name, raw in pieces.items()}
        self._note({name: digest for name, digest in known.items() if self._uploaded.get(name) != digest})
        index = united([here, there])
        if index != here and not unless():
            files.write_durably(self.folder / log.index, index.lines)

    def settle(self) -> Finished:
        """Finish the recording, put all of it into its place, and remove what is here. Idempotent.

        Nobody may be writing to the log. Raises `StorageAway`, and `RecorderError` as `finish` does; then all is kept.
        """
        prefix, there = self.place.prefix, self.adopt()
        here = files.beside_in(self.folder, prefix)
        self._send_beside()
        logs = {log: read_index(self.folder, log.index) for log in files.logs_in(self.folder, prefix)}
        settled = [self._settled(log, index) for log, index in logs.items()]
        done = together(each for each in settled if each is not None)
        if None in settled:
            for index in logs.values():
                self._fetch(index)
            done = finish(self.folder, prefix, self.place.format)
            self.advance()
            done = replace(done, files=tuple(name for name in done.files if name not in here))
            for name in done.files:
                self._remote.put(self.folder / name, name)
        shutil.rmtree(self.folder)
        return replace(done, files=(*done.files, *files.beside_among({*here, *there}, prefix)))

    def _settled(self, log: LogName, index: Index) -> Finished | None:
        """What the store holds of a log, when that is the whole of it, finished."""
        raw = self._remote.read(files.manifest_name(log.prefix)) if not self._open(log, index) else None
        if raw is None:
            return None
        listed: list[dict[str, Any]] = json.loads(raw)["files"]
        of_log = logged(index)
        if listed[-len(of_log) :] != of_log or not self._has_playlist(log, listed):
            return None
        made = [entry["name"] for entry in listed[: -len(of_log)]]
        names = (*made, files.manifest_name(log.prefix))
        return Finished(names, index.seconds, len(index.parts), sum(part.bytes for part in index.parts))

    def _has_playlist(self, log: LogName, listed: list[dict[str, Any]]) -> bool:
        """Whether the playlist in the store is the finished one, if there is to be one."""
        name = files.playlist_name(log.prefix)
        made = next((entry["sha256"] for entry in listed if entry["name"] == name), None)
        return made is None or sha256(self._remote.read(name) or b"").hexdigest() == made

    def _open(self, log: LogName, index: Index) -> bool:
        """Whether there is something here that the store does not have."""
        journal = files.journal_name(log.prefix, index.newest_attempt)
        return bool(self._pending(index)) or (self.folder / journal).is_file() or not index.parts

    def _fetch(self, index: Index) -> None:
        """What finishing needs and is not here."""
        if not index.parts:
            return
        entries: list[Attempt | Part] = [index.attempt_of(index.parts[0])]
        if codecs_of(self.place.format).container is not None:
            entries = index.entries
        for entry in entries:
            target = self.folder / _name(entry)
            if not target.is_file() and _name(entry) in self._uploaded:
                target.parent.mkdir(parents=True, exist_ok=True)
                self._remote.fetch(_name(entry), target, Stored(entry.bytes, entry.sha256))

    def _pending(self, index: Index, known: Index = Index()) -> list[Attempt | Part]:  # noqa: B008, it is frozen
        """What of a log that continues `known`, which is in the store, is not there yet."""
        new = Index(index.attempts[len(known.attempts) :], index.parts[len(known.parts) :])
        return [entry for entry in new.entries if _name(entry) not in self._uploaded]

    def _put(self, name: str, expected: str) -> None:
        stored = self._remote.put(self.folder / name, name)
        if stored.sha256 != expected:
            raise RecorderError(f"The recording's file {name} is not what was written to it.")
        self._note({name: stored.sha256})

    def _note(self, stored: dict[str, str]) -> None:
        """Remember for good that these are in the store."""
        self._uploaded |= stored
        with (self.folder / _UPLOADED).open("ab") as file:
            file.write(b"".join(json.dumps(each).encode() + b"\n" for each in stored.items()))
            file.flush()
            os.fsync(file.fileno())


def spool_of(folder: Path) -> Spool | None:
    """The spool that somebody has begun in a folder; None when there is none."""
    try:
        return Spool(folder, Place(**json.loads((folder / PLACE).read_bytes())))
    except (OSError, ValueError, TypeError):
        return None


def _pieces(index: Index, log: LogName, known: Index) -> Iterator[tuple[str, bytes]]:
    """The log as it is kept in the store, objects that sort as the log goes on: those that are new since `known`."""
    for attempt in index.attempts:
        if attempt.attempt < known.newest_attempt:
            continue
        mine = index.of(attempt.attempt)
        whole = len(known.of(attempt.attempt).parts) // _PIECE * _PIECE
        for first in range(whole, max(1, len(mine.parts)), _PIECE):
            begun = mine.attempts if first == 0 else ()
            yield log.piece(attempt.attempt, first), Index(begun, mine.parts[first : first + _PIECE]).lines


def _name(entry: Attempt | Part) -> str:
    return entry.init if isinstance(entry, Attempt) else entry.name


def _read_uploaded(path: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for raw in path.read_bytes().splitlines() if path.is_file() else ():
        try:
            name, digest = json.loads(raw)
        except ValueError:  # a line that was cut short
            continue
        found[name] = digest
    return found
