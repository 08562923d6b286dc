"""A scripted meeting in a room of a real Janus is recorded, and the recording is held against the script.

Six people join, leave, switch camera and microphone, change the size of their picture and share a screen; a seventh
is not to be recorded.
`python -m tests.e2e.janus_timeline --minutes 3` (or `make timeline`) is the long form; a short one is among the tests.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import av
import numpy as np

from recorders.config import RecorderConfig
from recorders.log.finish import finish
from recorders.native.recorder import NativeRecorder
from recorders.native.tile import named_tile
from recorders.spec import ChannelSpec, RecordingSpec, VideoSpec
from tests.e2e.janus_publisher import Publisher
from tests.e2e.janus_server import Janus, running_janus
from tests.oracle.clips import cached_clips
from tests.oracle.participants import Box, Participant, everyone
from tests.oracle.picture import Pictures
from tests.oracle.reader import Damage, Picture, Sound, read
from tests.oracle.sound import Track

ROOM, PIN = "4711", "the-pin-of-the-room"
NAMES = ("Ada", "Benedikt", "Cem", "Dua", "Eva", "Fay")
USERS = (*NAMES, *(f"{name} (screen)" for name in NAMES))
# As the request has them: one by id.
REQUESTED = ("100", *USERS[1:])
SCREEN, STRANGER = len(NAMES), len(NAMES) + 1  # colours of a shared screen, and of who is not requested
VIDEO = VideoSpec(640, 360, 15, 600)
_GRIDS = {1: (1, 1), 2: (2, 1), 3: (2, 2), 4: (2, 2), 5: (3, 2), 6: (3, 2), 7: (3, 3)}
# A name is legible when its tile is like the one that was drawn, and unlike that of any other name.
_LIKE, _UNLIKE = 0.9, 0.1
# Of background, around a tile.
_EDGE = 2


@dataclass(frozen=True)
class Place:
    """Somebody as the recording should show him: by colour, or with the camera off by name."""

    who: int
    camera: bool = True
    microphone: bool = True
    large: bool = False


Room = dict[str, Place]


@dataclass
class Change:
    """From `begun` to `done` (Unix seconds) the room became `room`."""

    begun: float
    done: float
    what: str
    room: Room


@dataclass
class Meeting:
    """Does what the script says, and keeps when it was done."""

    janus: Janus
    clips: list[Path]
    large: list[Path]
    changes: list[Change] = field(default_factory=list)
    _room: Room = field(default_factory=dict)
    _people: dict[int, tuple[Publisher, AsyncExitStack]] = field(default_factory=dict)

    async def do(self, what: str, *whom: int, moderated: bool = False) -> None:
        """One step; several people join at once."""
        begun = time.time()
        if what == "join":
            await asyncio.gather(*(self._join(who) for who in whom))
        for who in whom:
            await self._step(what, who, moderated)
        self.changes.append(
            Change(begun, time.time(), f"{what} {', '.join(NAMES[who] for who in whom)}", {**self._room})
        )

    async def end(self) -> None:
        for _, stack in self._people.values():
            await stack.aclose()

    async def _join(self, who: int) -> None:
        stack = AsyncExitStack()
        publisher = self.janus.publisher(int(ROOM), PIN, 100 + who, NAMES[who], self.clips[who])
        self._people[who] = (await stack.enter_async_context(publisher), stack)

    async def _step(self, what: str, who: int, moderated: bool) -> None:
        name = NAMES[who]
        publisher, stack = self._people[who]
        place = self._room.get(name, Place(who))
        if what == "leave":
            await stack.aclose()
            del self._people[who], self._room[name]
            return
        if what in ("camera off", "camera on"):
            on = what == "camera on"
            await (publisher.moderate("1", not on) if moderated else publisher.camera(on))
            place = replace(place, camera=on)
        elif what in ("mute", "unmute"):
            on = what == "unmute"
            if moderated:
                await publisher.moderate("0", not on)
            publisher.audio.silent = not on and not moderated
            place = replace(place, microphone=on)
        elif what == "resize":
            publisher.resize(self.clips[who] if place.large else self.large[who])
            place = replace(place, large=not place.large)
        elif what == "share":
            await publisher.share(self.clips[SCREEN])
            self._room[f"{name} (screen)"] = Place(SCREEN, microphone=False)
        elif what == "unshare":
            await publisher.unshare()
            del self._room[f"{name} (screen)"]
        self._room[name] = place


def script(rounds: int, *, one_by_one: bool) -> Iterator[tuple[str, tuple[int, ...], bool]]:
    """Steps: what, who, and whether a moderator does it. In each round other people do something."""
    everybody = tuple(range(len(NAMES)))
    yield from (("join", (who,), False) for who in everybody) if one_by_one else [("join", everybody, False)]
    for n in range(rounds):
        a, b, c, d, e = ((n + i) % len(NAMES) for i in range(5))
        moderated = n % 2 == 1
        yield "camera off", (a,), moderated
        yield "mute", (b,), moderated
        yield "resize", (c,), False
        yield "leave", (d,), False
        yield "share", (e,), False
        yield "camera on", (a,), moderated
        yield "unmute", (b,), moderated
        yield "join", (d,), False
        yield "unshare", (e,), False
    if one_by_one:
        yield from (("leave", (who,), False) for who in everybody[1:])


async def hold(
    recording: NativeRecorder, janus: Janus, rounds: int, step_s: float, *, one_by_one: bool
) -> list[Change]:
    """Record the meeting; returns its changes with their times in the recording."""
    clips = cached_clips(STRANGER + 1, seconds=10, width=160, height=90, frame_rate=15, keyframes=5)
    large = cached_clips(SCREEN, seconds=10, width=320, height=240, frame_rate=15, keyframes=5)
    await janus.create_room(int(ROOM), PIN)
    meeting = Meeting(janus, clips, large)
    task = asyncio.create_task(recording.run())
    async with janus.publisher(int(ROOM), PIN, 99, "stranger", clips[STRANGER]):
        due = time.monotonic() + 1
        for what, whom, moderated in script(rounds, one_by_one=one_by_one):
            await asyncio.sleep(due - time.monotonic())
            await meeting.do(what, *whom, moderated=moderated)
            due = max(due, time.monotonic() - 0.1 * step_s) + step_s
        await asyncio.sleep(step_s)
        recording.stop()
        await task
    ended = time.time()
    await meeting.end()
    began = recording.progress().began_at
    assert began is not None
    changes = [replace(change, begun=change.begun - began, done=change.done - began) for change in meeting.changes]
    return [*changes, Change(ended - began, ended - began, "end", {})]


@dataclass
class Findings:
    """`wrong` are sentences; `legible` tells how like its drawing each name's worst tile was; `frames` are PNG."""

    windows: int = 0
    wrong: list[str] = field(default_factory=list)
    legible: dict[str, float] = field(default_factory=dict)
    frames: list[Path] = field(default_factory=list)


def check(where: Path, changes: Sequence[Change], *, before: float, after: float) -> Findings:
    """Every second that is not within `before` s of the next change or `after` s of the last one."""
    pictures, track, found = Pictures(), Track(), Findings()
    stills = sorted((changes[i].done + changes[i + 1].begun) / 2 for i in range(len(changes) - 1))
    kept: list[Picture] = []
    for item in read(str(where)):
        match item:
            case Picture():
                pictures.add(item)
                if len(kept) < len(stills) and item.t >= stills[len(kept)]:
                    kept.append(Picture(item.t, item.y.copy(), item.u.copy(), item.v.copy()))
            case Sound():
                track.add(item)
            case Damage():
                found.wrong.append(f"{item.t:.2f} s: {item.what}")
    pictures.finish()
    track.finish()
    for i, change in enumerate(changes[:-1]):
        begin, end = change.done + after, changes[i + 1].begun - before
        while begin + 1 <= end:
            found.windows += 1
            found.wrong += [
                f"{begin:.2f} s, after {change.what}: {one}" for one in _look(pictures, track, begin, change.room)
            ]
            begin = begin + 1 if begin + 2 <= end or begin + 1 >= end - 0.1 else end - 1
        if i < len(kept):
            _read_names(kept[i], change.room, found, where.parent / f"names-{i:02}.png")
    return found


def cells(room: Room) -> dict[str, Box]:
    """Where each one belongs: in the order of the request, row by row, what does not come out even at the edges."""
    if not room:
        return {}
    columns, rows = _GRIDS[len(room)]
    width, height = VIDEO.width // columns & ~1, VIDEO.height // rows & ~1
    left, top = (VIDEO.width - columns * width) // 2 & ~1, (VIDEO.height - rows * height) // 2 & ~1
    return {
        name: Box(left + i % columns * width, top + i // columns * height, width, height)
        for i, name in enumerate(sorted(room, key=USERS.index))
    }


def _look(pictures: Pictures, track: Track, t: float, room: Room) -> Iterator[str]:
    span = pictures.seconds(t, 1)[0]
    boxes = cells(room)
    for name, place in room.items():
        seen = pictures.in_cell(span, boxes[name])
        wanted = place.who if place.camera else None
        if seen != wanted:
            yield f"the cell of {name} has {_colour(seen)} instead of {_colour(wanted)}"
        elif wanted is not None and place.who != SCREEN:
            area = pictures.area(span, place.who)
            box = pictures.box(area) if area is not None else Box(0, 0, 1, 1)
            aspect = 4 / 3 if place.large else 16 / 9
            if abs(box.width / box.height / aspect - 1) > 0.15:
                yield f"{name} is {box.width} x {box.height} pixels large"
    shown = {place.who for place in room.values() if place.camera}
    for person in everyone():
        if person.index not in shown and pictures.area(span, person.index) is not None:
            yield f"{person.name} is seen"
    heard = set(track.tones(t, 1, everyone())[0])
    wanted_tones = {Participant(place.who).name for place in room.values() if place.microphone}
    if heard != wanted_tones:
        yield f"{sorted(heard)} are heard instead of {sorted(wanted_tones)}"


def _colour(who: int | None) -> str:
    return "no colour" if who is None else Participant(who).name


def _read_names(still: Picture, room: Room, found: Findings, path: Path) -> None:
    for name, place in room.items():
        if place.camera:
            continue
        x, y, width, height = cells(room)[name]
        x, y, width, height = x + _EDGE, y + _EDGE, width - 2 * _EDGE, height - 2 * _EDGE
        tile = still.y[y : y + height, x : x + width].astype(float).ravel()
        like = {one: float(np.corrcoef(tile, named_tile(one, width, height)[0].ravel())[0, 1]) for one in NAMES}
        best_other = max(value for one, value in like.items() if one != name)
        found.legible[name] = min(like[name], found.legible.get(name, 1.0))
        if like[name] < _LIKE or like[name] - best_other < _UNLIKE:
            found.wrong.append(f"{still.t:.2f} s: the name {name} is not legible: {like}")
        planes = np.concatenate([plane.ravel() for plane in (still.y, still.u, still.v)])
        frame = av.VideoFrame.from_ndarray(planes.reshape(-1, still.y.shape[1]), "yuv420p")
        frame.colorspace = 1  # BT.709
        cast(Any, frame).to_image().save(path)
        found.frames.append(path)


def recorder(folder: Path, janus: Janus) -> NativeRecorder:
    """Records everybody and every screen, in the order of `USERS`."""
    janus_settings = {"url": janus.url, "api_secret": janus.api_secret}
    config = RecorderConfig.model_validate({"sources": {"rules": [{"source": "janus"}], "janus": janus_settings}})
    return NativeRecorder(
        RecordingSpec("task", str(folder), ChannelSpec("app", ROOM, 42, PIN, USERS), "rec", video=VIDEO), config
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.e2e.janus_timeline", description=__doc__)
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--out", type=Path, help="where to keep the recording and the frames")
    args = parser.parse_args()
    out = args.out or Path(tempfile.mkdtemp(prefix="janus-timeline-"))
    (out / "janus").mkdir(parents=True)
    rounds = max(1, round((args.minutes * 60 / 3 - 12) / 9))
    steps = len(list(script(rounds, one_by_one=True)))
    with running_janus(out / "janus") as janus:
        recording = recorder(out, janus)
        changes = asyncio.run(hold(recording, janus, rounds, args.minutes * 60 / steps, one_by_one=True))
    finish(out, "rec", "hls")
    found = check(out / "rec.m3u8", changes, before=0.5, after=0.5)
    for change in changes:
        print(f"{change.begun:7.2f} to {change.done:7.2f} s  {change.what}")
    print(f"{found.windows} seconds looked at, {len(found.wrong)} wrong; {recording.progress().counters}")
    print(f"names legible (1 is as drawn): {found.legible}; frames in {out}")
    print("\n".join(found.wrong) or "all right")
    return 1 if found.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
