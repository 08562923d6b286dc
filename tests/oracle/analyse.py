"""Reads a finished recording and reports what is seen and heard in it, and what is wrong with it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tests.oracle.participants import Box, Participant, everyone, named
from tests.oracle.picture import Pictures, Span
from tests.oracle.reader import Damage, Packet, Picture, Sound, is_playlist, read
from tests.oracle.report import Report, Second, User
from tests.oracle.sound import Track
from tests.oracle.timing import StreamTiming, Timeline, part_timings


@dataclass(frozen=True, slots=True)
class Limits:
    """From where on something is a problem: seconds, or milliseconds where the name says so."""

    offset_ms: float = 60
    drift_ms: float = 20
    """Besides one picture: offsets that jump by that now and then are the grain of the flashes."""
    frozen: float = 0.5
    black: float = 0.25
    dropout: float = 0.02
    start_difference: float = 0.1
    end_difference: float = 0.25
    extinf: float = 0.05
    frames: int = 1


LIMITS = Limits()


def analyse(
    where: str | Path,
    *,
    users: Sequence[str] | None = None,
    cells: Sequence[Box | tuple[int, int, int, int]] = (),
    frame_rate: float | None = None,
    limits: Limits = LIMITS,
) -> Report:
    """Everything about a file, a playlist or an http(s) URL of one.

    `users` are the participants ("user1", ...) that must be seen and heard all the time; by default those who
    are there are reported and nobody is missed. `cells` are the expected cells (x, y, width, height in pixels);
    `frame_rate` is the expected one, by default the one that most pictures keep. Raises FFmpeg's and the file
    system's errors for what cannot be read at all.
    """
    where = str(where)
    pictures, track, damage = Pictures(), Track(), list[str]()
    timelines = Timeline("video"), Timeline("audio")
    for item in read(where):
        match item:
            case Packet():
                timelines[item.kind == "audio"].add(item)
            case Picture():
                pictures.add(item)
            case Sound():
                track.add(item)
            case Damage():
                damage.append(f"{item.t:.3f} s: {item.what}")
    pictures.finish()
    track.finish()
    rate = frame_rate or _usual_rate(pictures)
    video, audio = (timeline.finish(rate) for timeline in timelines)
    streams = [stream for stream in (video, audio) if stream is not None]
    start = video.start if video else min((s.start for s in streams), default=0.0)
    end = max((s.end for s in streams), default=0.0)
    looked = _look(pictures, track, start, end, [named(name) for name in users or ()], cells, limits)
    report = Report(
        where=where,
        width=pictures.width,
        height=pictures.height,
        frame_rate=rate,
        sample_rate=track.rate,
        duration=end - min((s.start for s in streams), default=0.0),
        frames=len(pictures.times),
        frames_expected=round((video.end - video.start) * rate) if video else 0,
        video=video,
        audio=audio,
        start_difference=audio.start - video.start if audio and video else 0.0,
        seconds=looked[0],
        users=looked[1],
        black=tuple(pictures.black(limits.black)),
        parts=part_timings(where) if is_playlist(where) else (),
        damage=tuple(damage),
    )
    return replace(report, problems=tuple(_problems(report, users or (), cells, limits)))


def _usual_rate(pictures: Pictures) -> float:
    if len(pictures.times) < 2:
        return 0.0
    steps = np.diff(pictures.times)
    # Matroska rounds to milliseconds: the mean of the usual steps is finer than their median.
    usual = steps[np.abs(steps - np.median(steps)) < 0.002]
    return round(1 / float(usual.mean()), 1) if usual.size and usual.mean() > 0 else 0.0


def _look(
    pictures: Pictures,
    track: Track,
    start: float,
    end: float,
    expected: Sequence[Participant],
    cells: Sequence[Box | tuple[int, int, int, int]],
    limits: Limits,
) -> tuple[tuple[Second, ...], dict[str, User]]:
    # What is left beyond the last full second counts as one when half of it is there.
    count = max(0, math.floor(end - start + 0.5))
    spans = pictures.seconds(start, count)
    areas = {who: [pictures.area(span, who.index) for span in spans] for who in everyone()}
    tones = track.tones(start, count, everyone()) if track.rate else [{} for _ in spans]
    seconds = tuple(
        Second(
            t=start + i,
            seen={who.name: pictures.box(area) for who in everyone() if (area := areas[who][i]) is not None},
            cells=tuple(_name(pictures.in_cell(span, Box(*cell))) for cell in cells) if span.stop > span.start else (),
            heard=tones[i],
        )
        for i, span in enumerate(spans)
    )
    present = [
        who for who in everyone() if who in expected or any(who.name in s.seen or who.name in s.heard for s in seconds)
    ]
    users = {}
    for who in present:
        flashes = pictures.flashes(areas[who], spans)
        beeps = track.beeps(who) if track.rate > 2 * who.beep else []
        users[who.name] = User(
            name=who.name,
            flashes=tuple(flashes),
            beeps=tuple(beeps),
            offsets=tuple(_pair(flashes, beeps)),
            frozen=tuple(pictures.frozen(areas[who], spans, limits.frozen)),
            dropouts=tuple(track.dropouts(who, _inner([s.t for s in seconds if who.name in s.heard]), limits.dropout)),
        )
    return seconds, users


def _name(index: int | None) -> str | None:
    return None if index is None else Participant(index).name


def _pair(flashes: Sequence[float], beeps: Sequence[float]) -> list[Span]:
    """Each flash with the nearest beep less than half a second away."""
    pairs = []
    for flash in flashes:
        nearest = min(beeps, key=lambda beep: abs(beep - flash), default=None)
        if nearest is not None and abs(nearest - flash) < 0.5:
            pairs.append((flash, 1000 * (nearest - flash)))
    return pairs


def _inner(seconds: Sequence[float]) -> list[Span]:
    """Runs of consecutive seconds, without the first and the last of each: there a participant comes or goes."""
    runs: list[list[float]] = []
    for t in seconds:
        if runs and t - runs[-1][-1] < 1.5:
            runs[-1].append(t)
        else:
            runs.append([t])
    return [(run[0] + 1, run[-1]) for run in runs if len(run) > 2]


def _problems(
    report: Report, users: Sequence[str], cells: Sequence[Box | tuple[int, int, int, int]], limits: Limits
) -> list[str]:
    found = (
        [f"{len(report.damage)} pieces cannot be decoded, the first at {report.damage[0]}."] if report.damage else []
    )
    for stream in (report.video, report.audio):
        found += _stream_problems(stream) if stream else []
    if report.video and abs(report.frames - report.frames_expected) > limits.frames:
        found.append(f"There are {report.frames} frames where {report.frames_expected} belong.")
    if report.video and report.audio:
        if abs(report.start_difference) > limits.start_difference:
            found.append(f"The sound starts {1000 * report.start_difference:+.0f} ms after the picture.")
        difference = report.audio.end - report.video.end
        if abs(difference) > limits.end_difference:
            found.append(f"The sound ends {1000 * difference:+.0f} ms after the picture.")
    found += [f"The picture is black from {a:.2f} to {b:.2f} s." for a, b in report.black]
    for user in report.users.values():
        found += _user_problems(user, limits, 1000 / report.frame_rate if report.frame_rate else 0)
    for name in users:
        unseen = [f"{s.t - report.seconds[0].t:.0f}" for s in report.seconds if name not in s.seen]
        unheard = [f"{s.t - report.seconds[0].t:.0f}" for s in report.seconds if name not in s.heard]
        found += [f"{name} is not seen in second {', '.join(unseen)}."] if unseen and report.video else []
        found += [f"{name} is not heard in second {', '.join(unheard)}."] if unheard and report.audio else []
    if cells and users:
        wanted = tuple(users) + (None,) * (len(cells) - len(users))
        wrong = [f"{s.t - report.seconds[0].t:.0f}" for s in report.seconds if s.cells != wanted[: len(cells)]]
        found += [f"The cells do not hold {', '.join(users)} in second {', '.join(wrong)}."] if wrong else []
    for part in report.parts:
        if abs(part.extinf - (part.end - part.start)) > limits.extinf:
            found.append(f"{part.name} lasts {part.end - part.start:.3f} s, EXTINF says {part.extinf:.3f} s.")
        if abs(part.seam) > limits.extinf:
            found.append(f"{part.name} starts {1000 * part.seam:+.0f} ms after the end of the part before.")
        if not part.starts_with_key:
            found.append(f"{part.name} does not start with a keyframe.")
    return found


def _stream_problems(stream: StreamTiming) -> list[str]:
    found = []
    if stream.backwards:
        found.append(
            f"{len(stream.backwards)} {stream.kind} timestamps go back, the first at {stream.backwards[0]:.3f} s."
        )
    if stream.gaps:
        t, length = stream.gaps[0]
        found.append(f"{len(stream.gaps)} gaps in the {stream.kind}, the first at {t:.3f} s of {1000 * length:.0f} ms.")
    return found


def _user_problems(user: User, limits: Limits, grain: float) -> list[str]:
    found = [f"{user.name} is frozen from {a:.2f} to {b:.2f} s." for a, b in user.frozen]
    found += [f"The tone of {user.name} drops out from {a:.3f} to {b:.3f} s." for a, b in user.dropouts]
    if user.offset_p95 > limits.offset_ms:
        found.append(
            f"The sound of {user.name} is {user.offset_median:+.0f} ms after the picture, "
            f"95 in 100 within {user.offset_p95:.0f} ms."
        )
    # Below six offsets the line through them says more about the picture's grain than about drift.
    if len(user.offsets) >= 6 and abs(user.drift_total) > limits.drift_ms + grain:
        found.append(
            f"Sound and picture of {user.name} drift by {user.drift_total:+.0f} ms ({user.drift:+.0f} ms a minute)."
        )
    return found
