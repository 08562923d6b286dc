"""What a source of participants is, and what it may tell the recorder.

A source knows nothing about layouts, encoders or files; the recorder knows nothing about RTC. All
times `t` are local `time.monotonic()` seconds of capture, on one base for both kinds of a user's media.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    import av

Kind = Literal["audio", "video"]
VideoCodec = Literal["h264", "vp8", "vp9", "hevc", "av1", "mpeg4", "mpeg2video", "mjpeg"]


@dataclass(frozen=True, slots=True)
class EncodedFrame:
    """One encoded picture (Annex B for H.264) or audio packet, as FFmpeg's decoder of `codec` takes it.

    `codec` is FFmpeg's decoder name ("h264", "vp8", "opus", "aac", ...); `t` is its capture time;
    `key` is true for a picture that can be decoded alone (and for all audio); `extradata` is the decoder's
    configuration where the codec needs one out of band; `rotation` is by how many degrees the picture is to be turned
    counterclockwise: 0, 90, 180 or 270.
    """

    codec: str
    data: bytes
    t: float
    key: bool = True
    extradata: bytes | None = None
    rotation: int = 0


class Sink(Protocol):
    """Where a source delivers. Callable from any thread; never blocks; never raises.

    `uid` identifies a participant in the channel. Media of a participant that has not joined is ignored.
    """

    def joined(self, uid: str, name: str = "") -> None:
        """A participant is in the channel; `name` is for display (default: the uid)."""
        ...

    def left(self, uid: str) -> None:
        """A participant is gone; its cell and sound go with it."""
        ...

    def muted(self, uid: str, kind: Kind, on: bool) -> None:
        """A participant's camera or microphone was switched off (`on` true) or on again."""
        ...

    def encoded(self, uid: str, kind: Kind, frame: EncodedFrame) -> None:
        """Encoded media, decoded by the recorder off the event loop."""
        ...

    def video(self, uid: str, frame: av.VideoFrame, t: float) -> None:
        """A decoded picture of any size and format, upright; the sink may keep it."""
        ...

    def audio(self, uid: str, frame: av.AudioFrame, t: float) -> None:
        """Decoded sound of any rate and layout, `t` being its first sample's time."""
        ...

    def count(self, counter: str, n: int = 1) -> None:
        """Add to a counter of the progress report, e.g. `packets_lost`."""
        ...


class Source(Protocol):
    """A back end that serves one channel for one recording."""

    async def run(self, sink: Sink) -> None:
        """Join the channel, deliver until it ends ("completed") or until cancelled; always leaves cleanly.

        Raises `Refused` (token, unknown room) or `Lost` (connection gone).
        """
        ...

    def keyframe(self, uid: str) -> None:
        """Ask a participant's publisher for a keyframe; may do nothing. Callable from any thread."""
        ...


@runtime_checkable
class Sized(Protocol):
    """A source that can deliver the same picture in several sizes, or not at all."""

    def want(self, uid: str, size: tuple[int, int] | None) -> None:
        """The largest cell, (width, height) in pixels, that shows a participant now; None: it is not seen.

        Callable from any thread; never blocks.
        """
        ...


@dataclass(frozen=True, slots=True)
class Published:
    """A publisher was let in: the name of its session, the SDP answer, and the entity tag of its ICE session."""

    resource: str
    answer: str
    etag: str = ""


@dataclass(frozen=True, slots=True)
class Patched:
    """What came of further ICE candidates: `taken`; ICE `restarted`, with our `fragment` and the new `etag`; `stale`,
    for an ICE session that is over; or the publisher is `unknown`."""

    outcome: Literal["taken", "restarted", "stale", "unknown"]
    fragment: str = ""
    etag: str = ""


@runtime_checkable
class Ingest(Protocol):
    """A source that participants publish to directly (WHIP, RFC 9725)."""

    async def publish(self, user: str, offer: str) -> Published:
        """Answer a publisher's SDP offer. Raises `RecorderError` with one sentence when it is not let in."""
        ...

    async def patch(self, resource: str, fragment: str, if_match: str) -> Patched:
        """Further candidates of a publisher, or its ICE restart (RFC 9725, section 4.3); `if_match` is the entity tag
        of the ICE session that is meant, or `*`. Raises `RecorderError` with one sentence for what cannot be used."""
        ...

    async def unpublish(self, resource: str) -> bool:
        """End a session; False when there is none of that name."""
        ...
