"""What the timestamps of one stream say, and what the parts of a playlist say about themselves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import urlsplit

import numpy as np

from tests.oracle.picture import Span
from tests.oracle.reader import Kind, Packet, open_parts, packets, read_parts


@dataclass(frozen=True, slots=True)
class StreamTiming:
    """Times in seconds. `gaps` are (time, length) of what lies between packets, `backwards` the times of packets
    that are not after the one before, in decoding order."""

    kind: Kind
    start: float
    end: float
    packets: int
    gaps: tuple[Span, ...]
    backwards: tuple[float, ...]
    keyframes: tuple[float, ...]

    @property
    def keyframe_spacing(self) -> tuple[float, float]:
        """The shortest and the longest distance between keyframes; (0, 0) with fewer than two."""
        steps = np.diff(self.keyframes)
        return (float(steps.min()), float(steps.max())) if len(steps) else (0.0, 0.0)


@dataclass(frozen=True, slots=True)
class PartTiming:
    """A part by the playlist (`extinf`) and by its own timestamps, in seconds.

    `start` and `end` are of the video, or of the audio where there is none; `seam` is the time from the end of the
    part before to this one's start, 0 after a discontinuity and for the first.
    """

    name: str
    extinf: float
    start: float
    end: float
    seam: float
    starts_with_key: bool


class Timeline:
    """Collects the packets of one stream."""

    def __init__(self, kind: Kind) -> None:
        self._kind: Kind = kind
        self._packets: list[Packet] = []

    def add(self, packet: Packet) -> None:
        self._packets.append(packet)

    def finish(self, frame_rate: float | None) -> StreamTiming | None:
        """None when there was no packet. `frame_rate` is for containers that do not store durations."""
        if not self._packets:
            return None
        backwards = tuple(b.pts for a, b in zip(self._packets, self._packets[1:], strict=False) if b.dts <= a.dts)
        shown = sorted(self._packets, key=lambda packet: packet.pts)
        steps = np.diff([packet.pts for packet in shown])
        usual = 1 / frame_rate if frame_rate and self._kind == "video" else float(np.median(steps)) if len(steps) else 0
        # Matroska has milliseconds only, and the sound's last packet may be short.
        slack = 0.5 * usual if self._kind == "video" else 0.0025
        gaps = tuple(
            (a.pts + usual, float(step - usual)) for a, step in zip(shown, steps, strict=False) if step > usual + slack
        )
        last = shown[-1]
        return StreamTiming(
            self._kind,
            shown[0].pts,
            last.pts + (last.duration or usual if self._kind == "audio" else usual),
            len(shown),
            gaps,
            backwards,
            tuple(packet.pts for packet in shown if packet.key) if self._kind == "video" else (),
        )


def part_timings(playlist: str) -> tuple[PartTiming, ...]:
    """Every part of a playlist, read alone with its init section."""
    timings: list[PartTiming] = []
    for part in read_parts(playlist):
        with open_parts([part]) as media:
            found = [facts for _, facts in packets(media) if facts is not None]
        kind = "video" if any(packet.kind == "video" for packet in found) else "audio"
        mine = [packet for packet in found if packet.kind == kind]
        start = min((packet.pts for packet in mine), default=0.0)
        end = max((packet.pts + packet.duration for packet in mine), default=0.0)
        seam = 0.0 if part.discontinuity or not timings else start - timings[-1].end
        name = PurePosixPath(urlsplit(part.uri).path).name
        timings.append(PartTiming(name, part.extinf, start, end, seam, bool(mine) and mine[0].key))
    return tuple(timings)
