"""What a recorder tells about itself while it runs; rides on every lease renewal."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Phase = Literal["starting", "recording", "closing", "closed"]


@dataclass(frozen=True, slots=True)
class Progress:
    """A snapshot. Times are Unix seconds, durations seconds; counters only ever grow.

    Counters in use: `frames`, `frames_repeated`, `frames_dropped`, `frames_late`, `frames_lost`, `frames_undrawn` (in a
    format that FFmpeg does not convert), `audio_late`, `audio_gaps`, `packets_lost`, `participants`, `sources_failed`,
    `slate_frames`, `requests_refused` (a page's connections to where it may not go), `requests_failed`, `navigations`,
    `page_exceptions`. `message` is what has happened that whoever asked for the recording should know.
    """

    phase: Phase = "starting"
    began_at: float | None = None  # media time 0, which a later attempt has of the first
    first_frame_at: float | None = None
    parts: int = 0
    media_seconds: float = 0.0
    bytes: int = 0
    idle_seconds: float = 0.0  # how long nothing has been seen or heard
    files: tuple[str, ...] = ()
    counters: dict[str, int] = field(default_factory=dict)
    message: str = ""
