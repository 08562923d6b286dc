"""What to record, as frozen data: the border between whoever asks for a recording and the recorders.

Validation of what users send lives at the REST border (`egress_ray.api`); here values are trusted.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Layout = Literal["flat", "spotlight", "customized"]
SpotlightBy = Literal["order", "speaker"]
Mode = Literal["composite", "individual"]
Ready = Literal["load", "signal"]
Format = Literal["hls", "mp4", "webm", "m4a", "ogg"]


@dataclass(frozen=True, slots=True)
class VideoSpec:
    """The picture to write: pixels (even), frames per second, kbit/s."""

    width: int = 1280
    height: int = 720
    frame_rate: int = 30
    bitrate: int = 1000


@dataclass(frozen=True, slots=True)
class AudioSpec:
    """The sound to write: Hz, 1 or 2 channels, kbit/s."""

    sample_rate: int = 48000
    channels: int = 2
    bitrate: int = 128


@dataclass(frozen=True, slots=True)
class Region:
    """A rectangle of the canvas for one user, in pixels; higher `z` covers lower."""

    uid: str
    x: int
    y: int
    width: int
    height: int
    z: int = 0


@dataclass(frozen=True, slots=True)
class Background:
    """What is seen where nobody is: a colour (#rrggbb), or one of the pictures that the settings name, over it."""

    color: str = "#000000"
    image: str | None = None


@dataclass(frozen=True, slots=True)
class ChannelSpec:
    """An RTC channel, its participants composited into one picture, or (`mode` individual) each in a log of its own.

    `users` empty means everyone, as they come and go. `spotlight` tells who is large in that layout: the first of the
    users, or whoever speaks. `labels` puts names on pictures. `rejoining`: an attempt before may still be seen in the
    channel under `worker_uid`. `access_token` is a secret: it is kept out of `repr`.
    """

    app_id: str
    channel: str
    worker_uid: int
    access_token: str = field(repr=False)
    users: tuple[str, ...] = ()
    layout: Layout = "flat"
    regions: tuple[Region, ...] = ()
    spotlight: SpotlightBy = "order"
    background: Background = Background()
    labels: bool = False
    rejoining: bool = False
    mode: Mode = "composite"


@dataclass(frozen=True, slots=True)
class PageSpec:
    """A web page, recorded as a browser shows it.

    `ready` tells from when on: once it has loaded, or when it says so itself, which it has `ready_timeout_s` for (None:
    as in the settings). It is laid out on the picture's size divided by `scale`, and has so many of the picture's
    pixels to each of its own.
    """

    url: str
    web_gl: bool = False
    ready: Ready = "load"
    ready_timeout_s: float | None = None
    scale: float = 1.0


@dataclass(frozen=True, slots=True)
class Limits:
    """When a recording ends by itself; None: never.

    Seconds since it began, its attempts' gaps included; MB (10^6 bytes) of its parts; seconds in which nobody was seen
    or heard, or a page was of one colour and silent.
    """

    duration_s: float | None = None
    size_mb: float | None = None
    idle_s: float | None = None


@dataclass(frozen=True, slots=True)
class RecordingSpec:
    """One attempt at one recording.

    `folder` is the task's own local folder, shared by all its attempts on this node; every file of the
    task lies in it. `prefix` is the expanded file name pattern, relative to `folder`, without extension
    (it may hold `/`); where each user has a log of its own, it holds `{user}`. `video` or `audio` is None where
    there is to be none of it. `attempt` counts from 1 and is the fencing token of everything it writes.
    `epoch` is media time 0 of the attempts before it (Unix seconds), should their log not be at hand.
    On `standby` another attempt is recording still: nothing is written before the window is opened.
    """

    task_id: str
    folder: str
    subject: ChannelSpec | PageSpec
    prefix: str = "recording"
    attempt: int = 1
    format: Format = "hls"
    video: VideoSpec | None = VideoSpec()
    audio: AudioSpec | None = AudioSpec()
    limits: Limits = Limits()
    epoch: float | None = None
    standby: bool = False
