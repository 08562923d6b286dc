"""One participant's media on its way to the render thread: bounded queues, decoders, and which picture is due.

`push` may be called from any thread; everything else belongs to the render thread.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, cast

import av
from av.audio.codeccontext import AudioCodecContext
from av.filter import Graph
from av.video.codeccontext import VideoCodecContext

from recorders.sources.base import EncodedFrame

_MICROSECONDS = Fraction(1, 1_000_000)
# Encoded media waits cheaply; it must outlast a render thread that was starved for some seconds.
_ENCODED_LIMIT = 600
_AUDIO_LIMIT = 1000
# Decoded pictures are large (1.4 MB at 720p).
_DECODED_LIMIT = 30
# Streams with B-frames are decoded this far ahead, for a picture comes after some that are shown later.
_REORDER_S = 0.25
# Times of one picture after another may differ by less than this, in whatever order, from rounding.
_SAME_S = 0.001
# A backlog longer than this is begun at its last keyframe.
_BACKLOG = 15
_KEYFRAME_INTERVAL_S = 1.0
# Of several pictures, one due by less than this waits for the next tick: at equal rates, a jitter of the capture
# times about the tick would else show now two at once, now none.
_BARELY_DUE_S = 0.005
# By degrees counterclockwise, the turns of FFmpeg's filter `transpose`.
_TURNS = {90: ("cclock",), 180: ("clock", "clock"), 270: ("clock",)}


@dataclass(frozen=True, slots=True)
class DecodedPicture:
    """A picture and its capture time (monotonic seconds); `rotation` as in `EncodedFrame`."""

    picture: av.VideoFrame
    t: float
    rotation: int = 0


@dataclass(frozen=True, slots=True)
class DecodedSound:
    """Sound of any rate and layout and the capture time of its first sample (monotonic seconds)."""

    sound: av.AudioFrame
    t: float


def _packet(frame: EncodedFrame) -> av.Packet[Any]:
    packet = av.Packet(frame.data)
    packet.time_base = _MICROSECONDS
    packet.pts = round(frame.t * 1_000_000)
    packet.is_keyframe = frame.key
    return packet


class _Turning:
    """Turns pictures one by one."""

    def __init__(self) -> None:
        self._graph: Graph | None = None
        self._format: tuple[Sequence[str], int, int, str] | None = None

    def turned(self, picture: av.VideoFrame, turns: Sequence[str]) -> av.VideoFrame:
        """The picture upright, in its own format. Raises `av.FFmpegError`."""
        wanted = (turns, picture.width, picture.height, picture.format.name)
        if self._graph is None or wanted != self._format:
            self._graph, self._format = Graph(), wanted
            nodes = [
                self._graph.add_buffer(
                    width=picture.width, height=picture.height, format=picture.format, time_base=picture.time_base
                ),
                *(self._graph.add("transpose", turn) for turn in turns),
                self._graph.add("buffersink"),
            ]
            self._graph.link_nodes(*nodes).configure()
        self._graph.vpush(picture)
        return self._graph.vpull()


class VideoFeed:
    """Pictures of one participant in, the one that is due out. `ask` asks the publisher for a keyframe."""

    def __init__(self, ask: Callable[[], None], dropped: Callable[[int], None]) -> None:
        self._ask = ask
        self._dropped = dropped
        self._lock = threading.Lock()
        self._queue: deque[EncodedFrame | DecodedPicture] = deque()
        self._last_t = float("-inf")
        self._reordered = False
        self._ended = False  # nothing is to come
        self._lost = False  # the queue ran over: what follows cannot be decoded before a keyframe
        self._codec: tuple[str, bytes | None] | None = None
        self._decoder: VideoCodecContext | None = None
        self._needs_key = True
        self._asked_at = float("-inf")
        self._rotation = 0
        self._pictures: deque[DecodedPicture] = deque()
        self._turning = _Turning()
        self.key_at = float("-inf")  # when the last keyframe has come

    def push(self, item: EncodedFrame | DecodedPicture) -> None:
        """Queue media in the order of its delivery. The oldest goes when the queue is full."""
        with self._lock:
            if isinstance(item, DecodedPicture):
                if len(self._queue) >= _DECODED_LIMIT:
                    self._queue.popleft()
                    self._dropped(1)
            elif len(self._queue) >= _ENCODED_LIMIT:
                self._dropped(len(self._queue))
                self._queue.clear()
                self._lost = True
            elif item.t < self._last_t - _SAME_S:
                self._reordered = True
            self._last_t = item.t
            self._queue.append(item)
            if isinstance(item, EncodedFrame) and item.key:
                self.key_at = time.monotonic()

    def end(self) -> None:
        """Nothing is to come: what its decoder holds back for pictures that might be shown earlier is due as well."""
        self._ended = True

    def encoded(self, codec: str, t: float) -> list[EncodedFrame] | None:
        """What was captured up to `t`, to be passed on as it is.

        None where what comes next must go through `due`: it is not of that codec, or is to be turned, or pictures come
        in another order than they are shown in.
        """
        with self._lock:
            if self._reordered:
                return None
            found: list[EncodedFrame] = []
            while self._queue and self._queue[0].t <= t:
                item = self._queue[0]
                if not isinstance(item, EncodedFrame) or item.codec != codec or item.rotation:
                    return found or None
                self._queue.popleft()
                self._lost = self._lost and not item.key
                if not self._lost:
                    found.append(item)
            return found

    def due(self, t: float) -> av.VideoFrame | None:
        """The newest picture captured at or before `t`, upright, once; None when there is no newer one than last time.

        One captured just before `t` is left for the next call if there is another before it.
        """
        for item in self._take(t):
            if isinstance(item, DecodedPicture):
                self._pictures.append(item)
            else:
                self._decode(item)
        if self._ended and not self._queue:
            self._drain()
        newest = None
        while self._pictures and self._pictures[0].t <= (t if newest is None else t - _BARELY_DUE_S):
            newest = self._pictures.popleft()
        return None if newest is None else self._upright(newest)

    def _upright(self, shown: DecodedPicture) -> av.VideoFrame | None:
        if not shown.rotation:
            return shown.picture
        try:
            return self._turning.turned(shown.picture, _TURNS[shown.rotation])
        except av.FFmpegError:
            self._dropped(1)
            return None

    def _take(self, t: float) -> list[EncodedFrame | DecodedPicture]:
        with self._lock:
            horizon = t + _REORDER_S if self._reordered else t
            items = []
            while self._queue and self._queue[0].t <= horizon:
                items.append(self._queue.popleft())
            if self._lost:
                self._lost, self._needs_key = False, True
        if len(items) > _BACKLOG:
            last_key = max(
                (i for i, item in enumerate(items) if isinstance(item, EncodedFrame) and item.key), default=0
            )
            self._dropped(last_key)
            items = items[last_key:]
        return items

    def _decode(self, frame: EncodedFrame) -> None:
        if (frame.codec, frame.extradata) != self._codec:
            self._codec = (frame.codec, frame.extradata)
            self._decoder = None
            self._needs_key = True
        if self._needs_key and not frame.key:
            self._dropped(1)
            self._ask_for_keyframe()
            return
        try:
            if self._decoder is None:
                self._decoder = cast(VideoCodecContext, av.CodecContext.create(frame.codec, "r"))
                self._decoder.thread_count = 1  # frame threads would hold pictures back
                if frame.extradata:
                    self._decoder.extradata = frame.extradata
            self._keep(self._decoder.decode(_packet(frame)), frame.t, frame.rotation)
            self._needs_key = False
        except (av.FFmpegError, ValueError):  # ValueError: no such decoder
            self._dropped(1)
            self._needs_key = True
            self._ask_for_keyframe()

    def _keep(self, pictures: Sequence[av.VideoFrame], t: float, rotation: int) -> None:
        """For those without a time of their own it is `t`."""
        self._rotation = rotation
        for picture in pictures:
            at = t if picture.pts is None else picture.pts / 1_000_000
            self._pictures.append(DecodedPicture(picture, at, rotation))

    def _drain(self) -> None:
        decoder, self._decoder = self._decoder, None
        if decoder is not None:
            with contextlib.suppress(av.FFmpegError):
                self._keep(decoder.decode(None), self._last_t, self._rotation)

    def _ask_for_keyframe(self) -> None:
        now = time.monotonic()
        if now - self._asked_at >= _KEYFRAME_INTERVAL_S:
            self._asked_at = now
            self._ask()


class AudioFeed:
    """Sound of one participant in, decoded sound with its time out."""

    def __init__(self, dropped: Callable[[int], None]) -> None:
        self._dropped = dropped
        self._queue: deque[EncodedFrame | DecodedSound] = deque(maxlen=_AUDIO_LIMIT)
        self._codec: tuple[str, bytes | None] | None = None
        self._decoder: AudioCodecContext | None = None

    def push(self, item: EncodedFrame | DecodedSound) -> None:
        """Queue media in the order of its delivery; the oldest goes when the queue is full."""
        self._queue.append(item)

    def close(self) -> None:
        """Keep nothing, for nobody hears it."""
        self._queue = deque(maxlen=0)

    def until(self, t: float) -> Iterator[tuple[av.AudioFrame, float]]:
        """What was captured before `t`, with its capture time."""
        while self._queue and self._queue[0].t < t:
            item = self._queue.popleft()
            if isinstance(item, DecodedSound):
                yield item.sound, item.t
            else:
                yield from self._decode(item)

    def _decode(self, frame: EncodedFrame) -> Iterator[tuple[av.AudioFrame, float]]:
        if (frame.codec, frame.extradata) != self._codec:
            self._codec = (frame.codec, frame.extradata)
            self._decoder = None
        try:
            if self._decoder is None:
                self._decoder = cast(AudioCodecContext, av.CodecContext.create(frame.codec, "r"))
                if frame.extradata:
                    self._decoder.extradata = frame.extradata
            sounds = self._decoder.decode(_packet(frame))
        except (av.FFmpegError, ValueError):
            self._dropped(1)
            return
        for sound in sounds:
            yield sound, frame.t if sound.pts is None else sound.pts / 1_000_000
