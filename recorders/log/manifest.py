"""The manifest: what a recording consists of, for machines; JSON."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from recorders.log import files
from recorders.log.index import Index


def manifest(folder: Path, prefix: str, index: Index) -> str:
    """Every file with bytes and SHA-256, every attempt, every gap (media seconds); stable for a finished log."""
    epoch = index.epoch or 0.0
    document: dict[str, Any] = {
        "epoch": datetime.fromtimestamp(epoch, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "media_seconds": round(index.seconds, 6),
        "attempts": [
            {
                "attempt": attempt.attempt,
                "parts": len([part for part in index.parts if part.attempt == attempt.attempt]),
            }
            for attempt in index.attempts
        ],
        "gaps": _gaps(index),
        "files": [*_made(folder, prefix), *_logged(index)],
    }
    return json.dumps(document, indent=2) + "\n"


def _gaps(index: Index) -> list[dict[str, float]]:
    """Where the next part does not begin where the last one ended."""
    gaps = []
    for before, after in zip(index.parts, index.parts[1:], strict=False):
        end = before.start + before.duration
        if after.attempt != before.attempt or after.start - end > 0.1:
            gaps.append({"start": round(end, 6), "end": round(after.start, 6)})
    return gaps


def _made(folder: Path, prefix: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "bytes": (folder / name).stat().st_size, "sha256": _digest(folder / name)}
        for name in files.listed_files(folder, prefix)
        if name != files.manifest_name(prefix)
    ]


def _logged(index: Index) -> list[dict[str, Any]]:
    inits = [{"name": entry.init, "bytes": entry.bytes, "sha256": entry.sha256} for entry in index.attempts]
    return inits + [{"name": part.name, "bytes": part.bytes, "sha256": part.sha256} for part in index.parts]


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
