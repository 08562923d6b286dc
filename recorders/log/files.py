"""Names of a task's files, relative to its folder, and writing that survives a crash."""

from __future__ import annotations

import os
from pathlib import Path

from recorders.formats import extensions

INDEX = "index.jsonl"


def playlist_name(prefix: str) -> str:
    return f"{prefix}.m3u8"


def manifest_name(prefix: str) -> str:
    return f"{prefix}.json"


def init_name(prefix: str, attempt: int) -> str:
    return f"{prefix}_{attempt}_init.mp4"


def part_name(prefix: str, attempt: int, sequence: int) -> str:
    return f"{prefix}_{attempt}_{sequence:05d}.m4s"


def listed_files(folder: Path, prefix: str) -> tuple[str, ...]:
    """What a user would fetch of a task: playlist, single file, manifest; those that exist."""
    names = [playlist_name(prefix), *(prefix + extension for extension in extensions())]
    return tuple(name for name in [*names, manifest_name(prefix)] if (Path(folder) / name).is_file())


def write_durably(path: Path, data: bytes) -> None:
    """Write a whole file or none: temporary name, sync, rename, sync of the folder."""
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make renames in a folder durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
