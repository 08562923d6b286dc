"""What the oracle found, as plain data that prints as tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from tests.oracle.participants import Box
from tests.oracle.picture import Span
from tests.oracle.timing import PartTiming, StreamTiming


@dataclass(frozen=True, slots=True)
class Second:
    """One second from `t`: where each participant is seen most of it, and the level (dB) of each tone heard.

    `cells` names who has most of each expected cell (None: nobody), empty when no cells were given.
    """

    t: float
    seen: dict[str, Box]
    cells: tuple[str | None, ...]
    heard: dict[str, float]


@dataclass(frozen=True, slots=True)
class User:
    """One participant over the whole file; times in seconds, offsets (beep after flash) in milliseconds.

    A flash is dated by the first white picture, so an offset has the picture's period as its grain; a source
    whose pictures fall between those of the recording appears up to one period late (sound early).
    """

    name: str
    flashes: tuple[float, ...]
    beeps: tuple[float, ...]
    offsets: tuple[Span, ...]
    """(time of the flash, milliseconds from flash to beep)"""
    frozen: tuple[Span, ...]
    dropouts: tuple[Span, ...]

    @property
    def offset_median(self) -> float:
        return float(np.median([offset for _, offset in self.offsets])) if self.offsets else 0.0

    @property
    def offset_p95(self) -> float:
        """The 95th percentile of the offsets' sizes."""
        return float(np.percentile(np.abs([offset for _, offset in self.offsets]), 95)) if self.offsets else 0.0

    @property
    def lost(self) -> float:
        """How long all drop-outs are together."""
        return sum(end - begin for begin, end in self.dropouts)

    @property
    def drift(self) -> float:
        """Milliseconds by which the offset grows in a minute (Theil-Sen, so that a single flash that is a picture
        off does not count, but a jump for good does); 0 with fewer than four offsets."""
        if len(self.offsets) < 4:
            return 0.0
        t, offset = np.array(self.offsets[:: 1 + len(self.offsets) // 500]).T
        first, second = np.triu_indices(len(t), 1)
        return float(np.median((offset[second] - offset[first]) / (t[second] - t[first]))) * 60

    @property
    def drift_total(self) -> float:
        """Milliseconds by which the offset grows from the first to the last flash, at that slope."""
        return self.drift / 60 * (self.offsets[-1][0] - self.offsets[0][0]) if self.offsets else 0.0


@dataclass(frozen=True, slots=True)
class Report:
    """A recorded file or playlist. Times are the file's own, in seconds; `problems` are sentences."""

    where: str
    width: int
    height: int
    frame_rate: float
    sample_rate: int
    duration: float
    """From the first start to the last end of both streams."""
    frames: int
    frames_expected: int
    """What the video's duration holds at the frame rate."""
    video: StreamTiming | None
    audio: StreamTiming | None
    start_difference: float
    """By how much the sound starts after the picture; negative when it starts before."""
    seconds: tuple[Second, ...]
    users: dict[str, User]
    black: tuple[Span, ...]
    parts: tuple[PartTiming, ...]
    damage: tuple[str, ...]
    problems: tuple[str, ...] = field(default=())

    @property
    def ok(self) -> bool:
        return not self.problems

    def __str__(self) -> str:
        blocks = [self._summary(), _table(self._user_rows()), _table(self._second_rows())]
        if self.parts:
            blocks.append(_table(self._part_rows()))
        blocks.append("\n".join(f"problem: {problem}" for problem in self.problems) or "no problems")
        return "\n\n".join(block for block in blocks if block)

    def _summary(self) -> str:
        lines = [
            f"{self.where}: {self.width}x{self.height} at {self.frame_rate:g}/s, {self.sample_rate} Hz, "
            f"{self.duration:.3f} s",
            f"frames {self.frames} of {self.frames_expected}, sound starts {1000 * self.start_difference:+.1f} ms "
            f"after the picture",
        ]
        for stream in (self.video, self.audio):
            if stream is not None:
                low, high = stream.keyframe_spacing
                keys = f", keyframes every {low:.2f} to {high:.2f} s" if stream.kind == "video" else ""
                lines.append(
                    f"{stream.kind} {stream.start:.3f} to {stream.end:.3f} s, {stream.packets} packets, "
                    f"{len(stream.gaps)} gaps, {len(stream.backwards)} backwards{keys}"
                )
        lines.append(f"black: {_spans(self.black)}")
        return "\n".join(lines)

    def _user_rows(self) -> list[list[str]]:
        rows = [["user", "flashes", "beeps", "offset median", "p95", "drift/min", "frozen", "dropouts"]]
        rows += [
            [
                user.name,
                str(len(user.flashes)),
                str(len(user.beeps)),
                f"{user.offset_median:+.1f} ms",
                f"{user.offset_p95:.1f} ms",
                f"{user.drift:+.1f} ms",
                _spans(user.frozen),
                _spans(user.dropouts),
            ]
            for user in self.users.values()
        ]
        return rows if len(rows) > 1 else []

    def _second_rows(self) -> list[list[str]]:
        rows = [["second", "seen", "cells", "heard (dB)", "offset (ms)"]]
        for second in self.seconds:
            offsets = [
                f"{user.name} {offset:+.0f}"
                for user in self.users.values()
                for t, offset in user.offsets
                if second.t <= t < second.t + 1
            ]
            rows.append(
                [
                    f"{second.t:.0f}",
                    ", ".join(f"{name} {box}" for name, box in second.seen.items()) or "-",
                    " ".join(name or "-" for name in second.cells) or "-",
                    ", ".join(f"{name} {level:+.0f}" for name, level in second.heard.items()) or "-",
                    ", ".join(offsets) or "-",
                ]
            )
        return rows

    def _part_rows(self) -> list[list[str]]:
        rows = [["part", "EXTINF", "real", "start", "seam (ms)", "starts with a keyframe"]]
        rows += [
            [
                part.name,
                f"{part.extinf:.3f}",
                f"{part.end - part.start:.3f}",
                f"{part.start:.3f}",
                f"{1000 * part.seam:+.1f}",
                "yes" if part.starts_with_key else "no",
            ]
            for part in self.parts
        ]
        return rows


def _spans(spans: Sequence[Span]) -> str:
    shown = ", ".join(f"{begin:.2f}-{end:.2f}" for begin, end in spans[:4])
    return (shown + (f" and {len(spans) - 4} more" if len(spans) > 4 else "")) or "-"


def _table(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
