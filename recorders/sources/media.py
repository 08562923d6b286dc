"""Participants that are media URLs (file, RTSP, RTMP, HTTP), demultiplexed by FFmpeg and passed on encoded.

One thread a URL. Everything is paced by its own timestamps, so that a file plays as if it were live.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import av
from av.bitstream import BitStreamFilterContext
from av.container import InputContainer

from recorders.config import MediaConfig
from recorders.errors import Refused, Unreachable
from recorders.screens import asked_for
from recorders.sources.base import EncodedFrame, Kind, Sink
from recorders.spec import ChannelSpec

_READ_TIMEOUT_S = 5.0
# Packets go out up to this far ahead of their time, so that a thread wakes some ten times a second, not for each.
_AHEAD_S = 0.1
# A live stream that lags more than this behind its first packet has stalled: its clock is set anew.
_STALLED_S = 0.2
# Files begin together with the channel unless they took longer than this to open.
_PROMPT_S = 0.25
_OPUS_PLAIN = 2  # channels that need no description
_ANNEX_B = {"h264": "h264_mp4toannexb", "hevc": "hevc_mp4toannexb"}


class MediaSource:
    """The users of `config.urls[channel]`: the requested ones, or all."""

    def __init__(self, spec: ChannelSpec, config: MediaConfig) -> None:
        self._channel = spec.channel
        urls = config.urls.get(spec.channel, {})
        self._urls = {user: url for user, url in urls.items() if asked_for(spec.users, user)}
        self._config = config
        self._ended = threading.Event()

    async def run(self, sink: Sink) -> None:
        """Play every URL to its end. Who cannot be opened is absent and counted (`sources_failed`).

        Raises `Refused` when no URL is configured for those who are asked for, `Unreachable` when none can be opened or
        all broke off.
        """
        if not self._urls:
            raise Refused(f"No media URL is configured for the requested users of channel {self._channel}.")
        started = time.monotonic()
        players = [_Player(user, url, self._config, sink, self._ended, started) for user, url in self._urls.items()]
        try:
            await asyncio.gather(*(_in_thread(player.play) for player in players))
        finally:
            self._ended.set()
        if all(player.failure for player in players):
            raise Unreachable(players[0].failure)

    def keyframe(self, uid: str) -> None:
        """A URL cannot be asked for one; the next comes by itself."""


async def _in_thread(work: Any) -> None:
    """Run `work` in a thread of its own: the loop's executor has few, and a URL keeps one for as long as it lives."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def settle(error: BaseException | None) -> None:
        if not done.done():
            done.set_result(None) if error is None else done.set_exception(error)

    def body() -> None:
        error: BaseException | None = None
        try:
            work()
        except BaseException as caught:
            error = caught
        try:
            loop.call_soon_threadsafe(settle, error)
        except RuntimeError:  # the loop has been closed: nobody waits any more
            return

    threading.Thread(target=body, name="media", daemon=True).start()
    await done


def without_secrets(url: str) -> str:
    """The URL without user, password and query, fit for messages."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))


class _Player:
    """One URL as one participant."""

    def __init__(
        self, user: str, url: str, config: MediaConfig, sink: Sink, ended: threading.Event, started: float
    ) -> None:
        self.opened = False
        self.failure = ""
        self._user = user
        self._url = url
        self._config = config
        self._sink = sink
        self._ended = ended
        self._started = started
        self._offset: float | None = None  # local time of the stream's time 0
        self._live = False

    def play(self) -> None:
        """Deliver until the end; never raises for what the URL does."""
        again = True
        while again and not self._ended.is_set():
            again = False
            try:
                with self._open() as container:
                    end = self._deliver(container)
                again = self._config.loop and not self._live
                self._started = end
                self._ended.wait(max(0.0, end - time.monotonic()))
            except (av.FFmpegError, OSError) as error:
                reason = error.strerror or type(error).__name__
                what = "broke off" if self.opened else "cannot be opened"
                self.failure = f"The media of user {self._user} at {without_secrets(self._url)} {what}: {reason}."
                self._sink.count("sources_failed")
        if self.opened:
            self._sink.left(self._user)

    def _open(self) -> InputContainer:
        options = {"rtsp_transport": "tcp"} if self._url.startswith("rtsp") else {}
        container = av.open(self._url, options=options, timeout=(self._config.open_timeout_s, _READ_TIMEOUT_S))
        if not self.opened:
            self.opened = True
            self._sink.joined(self._user)
        return container

    def _deliver(self, container: InputContainer) -> float:
        """Returns the local time at which the last packet ends."""
        self._live = not container.duration
        self._offset = None
        streams = (*container.streams.video[:1], *container.streams.audio[:1])
        tracks = {stream.index: _Track(stream) for stream in streams}
        end = time.monotonic()
        for packet in container.demux(*streams):
            if packet.dts is None or packet.time_base is None:
                continue
            if self._ended.is_set():
                break
            track = tracks[packet.stream_index]
            at = float(packet.dts * packet.time_base)
            due = self._due(at, container)
            ahead = due - time.monotonic()
            if ahead > _AHEAD_S and self._ended.wait(ahead):
                break
            end = max(end, due + float((packet.duration or 0) * packet.time_base))
            for frame in track.frames(packet, due - at):
                self._sink.encoded(self._user, track.kind, frame)
        return end

    def _due(self, at: float, container: InputContainer) -> float:
        now = time.monotonic()
        if self._offset is None:
            begin = now if self._live or now - self._started > _PROMPT_S else self._started
            start = at if self._live or container.start_time is None else container.start_time / av.time_base
            self._offset = begin - start
        elif self._live and now - (self._offset + at) > _STALLED_S:
            self._offset = now - at
        return self._offset + at


class _Track:
    """One stream of a URL, as its packets are passed on."""

    def __init__(self, stream: Any) -> None:
        context = stream.codec_context
        self.kind: Kind = "video" if stream.type == "video" else "audio"
        self._codec: str = context.name
        self._extradata: bytes | None = context.extradata
        self._filter: BitStreamFilterContext | None = None
        if self._codec in _ANNEX_B and self._extradata and self._extradata[0] == 1:
            # From MP4-like containers: parameter sets go before each keyframe instead.
            self._filter = BitStreamFilterContext(_ANNEX_B[self._codec], stream)
            self._extradata = None
        elif self._codec == "opus" and context.channels <= _OPUS_PLAIN:
            # FFmpeg's decoder would cut the encoder's delay off the first sound and leave its time as it was.
            self._extradata = None

    def frames(self, packet: Any, offset: float) -> Iterator[EncodedFrame]:
        """A packet as the sink takes it, `offset` being the local time of the stream's time 0."""
        time_base = packet.time_base
        for one in self._filter.filter(packet) if self._filter else (packet,):
            pts = one.dts if one.pts is None else one.pts
            key = self.kind == "audio" or one.is_keyframe
            yield EncodedFrame(self._codec, bytes(one), offset + float(pts * time_base), key, self._extradata)
