"""One media URL as one participant, in a thread of its own."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit, urlunsplit

import av
from av.container import InputContainer

from recorders.config import MediaConfig
from recorders.sources.base import Sink
from recorders.sources.media_pace import FilePace, LivePace
from recorders.sources.media_track import PictureTrack, SoundTrack

log = logging.getLogger(__name__)

_READ_TIMEOUT_S = 5.0
_AGAIN_S, _AGAIN_MOST_S = 0.5, 8.0


class MediaPlayer:
    """Plays `url` as `user`, until `ended` is set. `started` is when the channel began (monotonic).

    `changed` is called when it has failed, in the player's thread.
    """

    def __init__(
        self,
        user: str,
        url: str,
        config: MediaConfig,
        sink: Sink,
        ended: threading.Event,
        started: float,
        changed: Callable[[], None],
    ) -> None:
        self.opened = False
        self.failure = ""  # one sentence while it does not play for a fault
        self._user = user
        self._url = url
        self._config = config
        self._sink = sink
        self._ended = ended
        self._changed = changed
        self._reached = started  # when what was delivered so far is over (monotonic)
        self._live = False
        self._over = False  # it was live, and what is there now is a recording

    @property
    def absent(self) -> bool:
        """It could not be opened, and is tried again."""
        return bool(self.failure) and not self.opened

    def play(self) -> None:
        """Deliver until the end; never raises for what the URL does.

        What comes over a network is tried again until it can be opened. A live one has no end: whenever it breaks off
        it is opened again, its user staying. Live is what comes over a network and has no duration that FFmpeg knows
        of; a broadcast that has one when it is opened again is over.
        """
        wait = _AGAIN_S
        while not self._ended.is_set():
            begun = time.monotonic()
            reason = self._play_once()
            if reason and not self._ended.is_set():
                self._fail(reason)
            if self._live or (not self.opened and _is_remote(self._url)):
                if time.monotonic() - begun > _AGAIN_MOST_S:
                    wait = _AGAIN_S
                self._ended.wait(wait)
                wait = min(_AGAIN_MOST_S, wait * 2)
                continue
            self._ended.wait(max(0.0, self._reached - time.monotonic()))
            if reason or self._over or not self._config.loop:
                break
        if self.opened:
            self._sink.left(self._user)

    def _play_once(self) -> str:
        """Returns why it broke off; nothing when it has come to its end."""
        try:
            with self._open() as container:
                timed = bool(container.duration)
                if self._live and timed:
                    self._live, self._over, self.failure = False, True, ""
                    return ""
                tracks = self._tracks(container)
                if not tracks:
                    return "neither sound nor picture"
                if not self.opened:
                    self.opened = True
                    self._sink.joined(self._user)
                self.failure = ""
                self._live = not timed and _is_remote(self._url)
                self._deliver(container, tracks, timed)
        except (av.FFmpegError, OSError) as error:
            return error.strerror or type(error).__name__
        return "End of file" if self._live else ""

    def _open(self) -> InputContainer:
        options = {"rtsp_transport": "tcp"} if self._url.startswith("rtsp") else {}
        return av.open(
            self._url,
            options=options,
            metadata_errors="replace",
            timeout=(self._config.open_timeout_s, _READ_TIMEOUT_S),
        )

    def _tracks(self, container: InputContainer) -> dict[int, PictureTrack | SoundTrack]:
        """By stream index, the first stream of either kind that FFmpeg has a decoder for."""
        tracks: dict[int, PictureTrack | SoundTrack] = {}
        pictures, sounds = (
            [stream for stream in streams if stream.codec_context is not None][:1]
            for streams in (container.streams.video, container.streams.audio)
        )
        tracks |= {stream.index: PictureTrack(stream, self._user, self._sink) for stream in pictures}
        tracks |= {stream.index: SoundTrack(stream, self._user, self._sink) for stream in sounds}
        return tracks

    def _deliver(self, container: InputContainer, tracks: Mapping[int, PictureTrack | SoundTrack], timed: bool) -> None:
        """Until the end."""
        start = None if container.start_time is None else container.start_time / av.time_base
        pace = FilePace(start, self._reached) if timed else LivePace(self._reached)
        for packet in container.demux(*(container.streams[index] for index in tracks)):
            if self._ended.is_set():
                return
            if packet.dts is None or packet.time_base is None:
                continue
            unit = float(packet.time_base)  # to multiply fractions takes longer than all else here
            at = packet.dts * unit
            offset = pace.offset(packet.stream_index, at)
            wait = pace.wait(offset + at)
            if wait and self._ended.wait(wait):
                return
            shown = (packet.dts if packet.pts is None else packet.pts) * unit
            length = (packet.duration or 0) * unit if timed else 0.0  # live ones only guess it
            self._reached = max(self._reached, offset + shown + length)
            tracks[packet.stream_index].deliver(packet, offset)

    def _fail(self, reason: str) -> None:
        what = "broke off" if self.opened else "cannot be opened"
        if not self.failure:
            self._sink.count("sources_failed")
        failure = f"The media of user {self._user} at {_without_secrets(self._url)} {what}: {reason}."
        if failure != self.failure:
            log.info("%s", failure)
        self.failure = failure
        self._changed()


def _is_remote(url: str) -> bool:
    return "://" in url and not url.startswith("file:")


def _without_secrets(url: str) -> str:
    """The URL without user, password and query, fit for messages."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))
