"""Reads what was recorded: a media file, or a playlist whose parts are read group by group.

A playlist is not given to FFmpeg's HLS demuxer: parts are joined with their init section, so that the
timestamps are those in the parts, and a playlist without an end is read at once.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urljoin, urlsplit
from urllib.request import urlopen

import av
import numpy as np
from av.container import InputContainer
from numpy.typing import NDArray

Kind = Literal["video", "audio"]


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet as the container has it, times in seconds."""

    kind: Kind
    pts: float
    dts: float
    duration: float
    key: bool


@dataclass(frozen=True, slots=True)
class Picture:
    """One decoded picture: limited-range 4:2:0 planes, and its time in seconds."""

    t: float
    y: NDArray[np.uint8]
    u: NDArray[np.uint8]
    v: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Sound:
    """Decoded sound, mixed to one channel of float32 full scale 1; `t` is its first sample's time in seconds."""

    t: float
    rate: int
    samples: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Damage:
    """Something that could not be decoded."""

    t: float
    what: str


Item = Packet | Picture | Sound | Damage


@dataclass(frozen=True, slots=True)
class Part:
    """A media segment of a playlist with what the playlist says about it."""

    uri: str
    extinf: float
    discontinuity: bool
    init: str | None


def fetch(where: str) -> bytes:
    """The bytes at a local path or an http(s) URL."""
    if is_url(where):
        with urlopen(where, timeout=20) as reply:
            data: bytes = reply.read()
            return data
    return Path(where).read_bytes()


def is_url(where: str) -> bool:
    return urlsplit(where).scheme in ("http", "https")


def is_playlist(where: str) -> bool:
    return urlsplit(where).path.endswith(".m3u8")


def resolve(base: str, uri: str) -> str:
    """A playlist's URI against the playlist's own path or URL."""
    return urljoin(base, uri) if is_url(base) or is_url(uri) else str(Path(base).parent / uri)


def read_parts(playlist: str) -> list[Part]:
    """The media segments of a playlist, their URIs resolved."""
    parts: list[Part] = []
    extinf, discontinuity, init = 0.0, False, None
    for line in fetch(playlist).decode().splitlines():
        if line.startswith("#EXTINF:"):
            extinf = float(line[8:].split(",")[0])
        elif line.startswith("#EXT-X-DISCONTINUITY") and not line.startswith("#EXT-X-DISCONTINUITY-SEQUENCE"):
            discontinuity = True
        elif line.startswith("#EXT-X-MAP:"):
            init = resolve(playlist, line.split('URI="')[1].split('"')[0])
        elif line.startswith("#EXT-X-BYTERANGE"):
            raise ValueError(f"{playlist} has byte ranges, which the oracle does not read.")
        elif line.strip() and not line.startswith("#"):
            parts.append(Part(resolve(playlist, line.strip()), extinf, discontinuity, init))
            discontinuity = False
    return parts


def read(where: str) -> Iterator[Item]:
    """Everything in a file or playlist, in the order of the container."""
    if not is_playlist(where):
        with av.open(where) as media:
            yield from _items(media)
        return
    groups: list[list[Part]] = []
    for part in read_parts(where):
        if groups and groups[-1][-1].init == part.init and not part.discontinuity:
            groups[-1].append(part)
        else:
            groups.append([part])
    for group in groups:
        with open_parts(group) as media:
            yield from _items(media)


@contextlib.contextmanager
def open_parts(parts: Sequence[Part]) -> Iterator[InputContainer]:
    """Consecutive parts of one init section as one container."""
    data = fetch(parts[0].init) if parts[0].init else b""
    with av.open(io.BytesIO(data + b"".join(fetch(part.uri) for part in parts)), "r") as media:
        yield media


def packets(media: InputContainer) -> Iterator[tuple[av.Packet[Any], Packet | None]]:
    """The first video and the first audio stream, undecoded; None is the end of a stream."""
    for packet in media.demux([*media.streams.video[:1], *media.streams.audio[:1]]):
        if packet.pts is None or packet.dts is None or packet.time_base is None:
            yield packet, None
            continue
        base = packet.time_base
        kind: Kind = "video" if packet.stream.type == "video" else "audio"
        duration = float((packet.duration or 0) * base)
        yield packet, Packet(kind, float(packet.pts * base), float(packet.dts * base), duration, packet.is_keyframe)


def _items(media: InputContainer) -> Iterator[Item]:
    for stream in media.streams.video:
        stream.thread_type = "AUTO"
    t = 0.0
    for packet, facts in packets(media):
        if facts is not None:
            t = facts.pts
            yield facts
        try:
            frames = packet.decode()
        except av.error.FFmpegError as error:
            yield Damage(t, str(error))
            continue
        for frame in frames:
            if frame.time is None:
                yield Damage(t, "a frame without a time")
            elif isinstance(frame, av.VideoFrame):
                yield _picture(frame, frame.time)
            elif isinstance(frame, av.AudioFrame):
                yield _sound(frame, frame.time)


def _picture(frame: av.VideoFrame, t: float) -> Picture:
    if frame.format.name != "yuv420p":
        frame = frame.reformat(format="yuv420p")
    y, u, v = (
        np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]
        for plane in frame.planes
    )
    return Picture(t, y, u, v)


def _sound(frame: av.AudioFrame, t: float) -> Sound:
    array = frame.to_ndarray()
    channels = frame.layout.nb_channels
    samples = array.mean(axis=0) if frame.format.is_planar else array.reshape(-1, channels).mean(axis=1)
    scale = {"s16": 32768, "s32": 2147483648}.get(frame.format.name.rstrip("p"), 1)
    return Sound(t, frame.sample_rate, (samples / scale).astype(np.float32))
