"""The manifest: what a recording consists of, for machines; JSON."""

from __future__ import annotations

import hashlib
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import av

from recorders.log import files
from recorders.log.index import Index
from recorders.log.playlist import date_time

# A hole shorter than this is rounding.
_GAP_S = 0.001


def manifest(folder: Path, prefix: str, index: Index) -> str:
    """Every file with bytes and SHA-256, every track, attempt, gap and slate (media seconds since `epoch`), and how
    many seconds were recorded, gaps left out; the same for the same log and files."""
    document: dict[str, Any] = {
        "epoch": date_time(index.epoch or 0.0),
        "media_seconds": round(index.seconds, 6),
        "tracks": _tracks(folder / index.attempt_of(index.parts[0]).init),
        "attempts": [_attempt(index, attempt.attempt) for attempt in index.attempts],
        "gaps": _gaps(index),
        "slates": [
            {"start": round(slate.start, 6), "end": round(slate.end, 6), "why": slate.why} for slate in index.slates
        ],
        "files": [*_made(folder, prefix), *logged(index)],
    }
    return json.dumps(document, indent=2) + "\n"


def vouches(folder: Path, prefix: str, index: Index, names: tuple[str, ...]) -> bool:
    """Whether the manifest that is there was made of this very log and of the files `names` as they are now."""
    try:
        listed = json.loads((folder / files.manifest_name(prefix)).read_bytes())["files"]
        sizes = {entry["name"]: entry["bytes"] for entry in listed}
        made = all((folder / name).stat().st_size == sizes[name] for name in names)
    except (OSError, ValueError, TypeError, KeyError):
        return False
    of_log = logged(index)
    return made and listed[-len(of_log) :] == of_log and len(listed) == len(of_log) + len(names)


def _tracks(init: Path) -> list[dict[str, Any]]:
    """The tracks by FFmpeg's names of their codecs; pixels, Hz."""
    tracks: list[dict[str, Any]] = []
    with av.open(str(init), format="mp4") as source:
        for video in source.streams.video:
            size = {"width": video.codec_context.width, "height": video.codec_context.height}
            tracks.append({"kind": "video", "codec": video.codec_context.name, **size})
        for audio in source.streams.audio:
            sound = {"sample_rate": audio.codec_context.sample_rate, "channels": audio.codec_context.channels}
            tracks.append({"kind": "audio", "codec": _plain(audio.codec_context.name), **sound})
    return tracks


def _plain(decoder: str) -> str:
    return decoder.removeprefix("lib")


def _attempt(index: Index, attempt: int) -> dict[str, Any]:
    parts = [part for part in index.parts if part.attempt == attempt]
    of_task, run = divmod(attempt, files.RUNS)
    number = {"attempt": of_task, "run": run} if of_task else {"attempt": attempt}
    if not parts:
        return {**number, "parts": 0}
    start, end = parts[0].start, parts[-1].start + parts[-1].duration
    return {**number, "parts": len(parts), "start": round(start, 6), "end": round(end, 6)}


def _gaps(index: Index) -> list[dict[str, float]]:
    """Where the next part begins later than the last one ended."""
    gaps = []
    for before, after in pairwise(index.parts):
        end = before.start + before.duration
        if after.start - end > _GAP_S:
            gaps.append({"start": round(end, 6), "end": round(after.start, 6)})
    return gaps


def _made(folder: Path, prefix: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "bytes": (folder / name).stat().st_size, "sha256": _digest(folder / name)}
        for name in files.listed_files(folder, prefix)
        if name != files.manifest_name(prefix)
    ]


def logged(index: Index) -> list[dict[str, Any]]:
    """The files of the log, as a manifest ends with them."""
    return [
        *({"name": entry.init, "bytes": entry.bytes, "sha256": entry.sha256} for entry in index.attempts),
        *({"name": part.name, "bytes": part.bytes, "sha256": part.sha256} for part in index.parts),
    ]


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
