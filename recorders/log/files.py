"""Names of a task's files, relative to its folder, and writing that survives a crash."""

from __future__ import annotations

import os
import re
import secrets
from pathlib import Path

from recorders.formats import extensions

INDEX = "index.jsonl"

_TEMPORARY = re.compile(r"\.[0-9a-f]{16}\.tmp")


def playlist_name(prefix: str) -> str:
    return f"{prefix}.m3u8"


def manifest_name(prefix: str) -> str:
    return f"{prefix}.json"


def init_name(prefix: str, attempt: int) -> str:
    return f"{prefix}_{attempt}_init.mp4"


def part_name(prefix: str, attempt: int, sequence: int) -> str:
    return f"{prefix}_{attempt}_{sequence:05d}.m4s"


def salvaged_name(prefix: str, attempt: int, sequence: int) -> str:
    """A part that another has closed: its recorder, should it live after all, writes to another name."""
    return f"{prefix}_{attempt}_{sequence:05d}s.m4s"


def journal_name(prefix: str, attempt: int) -> str:
    return f"{prefix}_{attempt}.journal"


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
