"""Names of a task's files, relative to its folder, and writing that survives a crash.

Beside the log of a page lies what each attempt noted of it (`docs/decisions/0018-what-a-page-is-told-and-tells.md`).
A task has one log, or one of each user (`docs/decisions/0013-a-log-of-each-user.md`); which ones a folder holds is
told by the names of their indices alone.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from recorders.formats import extensions

INDEX = "index.jsonl"
# In a task's prefix: there is a log of each user, whose key goes here.
USER = "{user}"
# A log of a user counts its runs (stretches with an init section of their own) by attempts x this: so a run is to its
# log what an attempt is to the log of a composite, newer ones fence older ones off, and those of a newer attempt all.
RUNS = 1_000_000

_KEY = r"[A-Za-z0-9_-]+"
_OF_USER = re.compile(rf"index\.({_KEY})(?:\.\d+_\d+)?\.jsonl")
_TEMPORARY = re.compile(r"\.[0-9a-f]{16}\.tmp")


@dataclass(frozen=True, slots=True)
class LogName:
    """One of a task's logs: the prefix of its files, and the key of its user, empty for the only log."""

    prefix: str
    user: str = ""

    @property
    def index(self) -> str:
        """The name of its index here."""
        return f"index.{self.user}.jsonl" if self.user else INDEX

    @property
    def pieces(self) -> str:
        """How the names of its index's pieces in a store begin."""
        return f"index.{self.user}." if self.user else "index_"

    def piece(self, attempt: int, first: int) -> str:
        """The piece that begins with an attempt's part `first`; names sort as the log goes on."""
        return f"{self.pieces}{attempt:0{12 if self.user else 6}d}_{first:08d}.jsonl"


def log_of(prefix: str, user: str) -> LogName:
    """The log of a user's key under a task's prefix."""
    return LogName(prefix.replace(USER, user), user)


def logs_among(names: Iterable[str], prefix: str) -> list[LogName]:
    """The logs of the task whose indices, or pieces of them, are among these file names; the only one, if it is one."""
    if USER not in prefix:
        return [LogName(prefix)]
    found = map(_OF_USER.fullmatch, names)
    return [log_of(prefix, user) for user in sorted({match[1] for match in found if match})]


def logs_in(folder: Path, prefix: str) -> list[LogName]:
    """The logs in a task's folder."""
    return logs_among(_names_in(Path(folder)) if USER in prefix else (), prefix)


def playlist_name(prefix: str) -> str:
    return f"{prefix}.m3u8"


def manifest_name(prefix: str) -> str:
    return f"{prefix}.json"


def init_name(prefix: str, attempt: int) -> str:
    return f"{_stem(prefix, attempt)}_init.mp4"


def part_name(prefix: str, attempt: int, sequence: int) -> str:
    return f"{_stem(prefix, attempt)}_{sequence:05d}.m4s"


def salvaged_name(prefix: str, attempt: int, sequence: int) -> str:
    """A part that another has closed: its recorder, should it live after all, writes to another name."""
    return f"{_stem(prefix, attempt)}_{sequence:05d}s.m4s"


def journal_name(prefix: str, attempt: int) -> str:
    return f"{_stem(prefix, attempt)}.journal"


def report_name(prefix: str, attempt: int) -> str:
    """What was the matter with a page in this attempt."""
    return f"{_stem(prefix, attempt)}_report.json"


def screenshot_name(prefix: str, attempt: int) -> str:
    """The page as it was when the attempt failed."""
    return f"{_stem(prefix, attempt)}_screenshot.jpg"


def console_name(prefix: str, attempt: int) -> str:
    """The end of the page's console when the attempt failed."""
    return f"{_stem(prefix, attempt)}_console.txt"


def beside_of(folder: Path, prefix: str, attempt: int) -> tuple[str, ...]:
    """The files beside the log that an attempt has left; those that exist."""
    names = (report_name(prefix, attempt), screenshot_name(prefix, attempt), console_name(prefix, attempt))
    return tuple(name for name in names if (Path(folder) / name).is_file())


def beside_among(names: Iterable[str], prefix: str) -> tuple[str, ...]:
    """Those of these names that are files beside the log, of whatever attempt, in the order of attempts."""
    pattern = re.compile(rf"{re.escape(prefix)}_(\d+)_(?:report\.json|screenshot\.jpg|console\.txt)")
    found = [(int(match[1]), name) for name in names if (match := pattern.fullmatch(name))]
    return tuple(name for _, name in sorted(found))


def beside_in(folder: Path, prefix: str) -> tuple[str, ...]:
    """Those in a task's folder."""
    above = prefix[: prefix.rfind("/") + 1]
    return beside_among((above + name for name in _names_in(Path(folder) / above)), prefix)


def _names_in(folder: Path) -> Iterator[str]:
    """Without a path for each: a recording of days has a great many files."""
    if folder.is_dir():
        with os.scandir(folder) as found:
            yield from (entry.name for entry in found)


def _stem(prefix: str, attempt: int) -> str:
    """Keys of users have no dot, so that no user's file can have the name of another's."""
    of_task, run = divmod(attempt, RUNS)
    return f"{prefix}.{of_task}.{run}" if of_task else f"{prefix}_{attempt}"


def listed_files(folder: Path, prefix: str) -> tuple[str, ...]:
    """What a user would fetch of a task: playlist, single file, manifest; those that exist."""
    names = [playlist_name(prefix), *(prefix + extension for extension in extensions())]
    return tuple(name for name in [*names, manifest_name(prefix)] if (Path(folder) / name).is_file())


def temporary(path: Path) -> Path:
    """A name beside `path` that nobody else uses; what a crash leaves of it, `remove_leftovers` finds."""
    return path.with_name(f".{secrets.token_hex(8)}.tmp")


def remove_leftovers(folder: Path) -> None:
    """Remove what writers that are no more left half-written in a folder."""
    for path in folder.iterdir():
        if _TEMPORARY.fullmatch(path.name):
            path.unlink(missing_ok=True)


def write_durably(path: Path, data: bytes) -> None:
    """Write a whole file or none, on the disk on return."""
    draft = temporary(path)
    try:
        with draft.open("wb") as file:
            file.write(data)
        publish(draft, path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def write_whole(path: Path, data: bytes) -> None:
    """Write a whole file or none, for a file that can be made again: it is not forced to the disk."""
    draft = temporary(path)
    try:
        draft.write_bytes(data)
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def publish(draft: Path, path: Path) -> None:
    """Give a temporary file that is written to its end its name: data first, then the name, both on the disk."""
    _sync(draft, os.O_RDONLY)
    draft.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make new names in a folder durable."""
    _sync(folder, os.O_RDONLY | os.O_DIRECTORY)


def _sync(path: Path, flags: int) -> None:
    handle = os.open(path, flags)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
