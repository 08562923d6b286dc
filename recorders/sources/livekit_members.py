"""Who is in a LiveKit room, and their media on its way to the sink.

One sound and one picture of a participant are taken. A screen that is shared is a participant of its own with the
sharer's name. Everything belongs to the event loop.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import cast

import av
from livekit import rtc

from recorders.errors import Lost, RecorderError, Refused
from recorders.sources.base import Kind, Sink
from recorders.sources.decoded import sound, upright
from recorders.sources.sound_clock import SoundClock
from recorders.spec import ChannelSpec

log = logging.getLogger(__name__)

_RATE, _CHANNELS = 48000, 2
# The library's own queues, which have no bound by default: pictures of 1.4 MB, sounds of 10 ms.
_PICTURES, _SOUNDS = 8, 100
_CLOSE_S = 1.0
_SCREEN = "/screen"
_SCREEN_SOURCES = (rtc.TrackSource.SOURCE_SCREENSHARE, rtc.TrackSource.SOURCE_SCREENSHARE_AUDIO)
_KINDS: dict[int, Kind] = {rtc.TrackKind.KIND_AUDIO: "audio", rtc.TrackKind.KIND_VIDEO: "video"}
_ENDS = (rtc.DisconnectReason.ROOM_DELETED, rtc.DisconnectReason.ROOM_CLOSED, rtc.DisconnectReason.CLIENT_INITIATED)

_Place = tuple[str, Kind]  # a uid's sound or picture


class Members:
    """The participants of a room, those who are asked for; `over` is done when the room is, or has thrown us out."""

    def __init__(self, spec: ChannelSpec, sink: Sink) -> None:
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._room_name = spec.channel
        self._users = spec.users
        self._sink = sink
        self._taken: dict[_Place, str] = {}  # the track whose media it is
        self._pumps: dict[_Place, asyncio.Task[None]] = {}
        self._ending: set[asyncio.Task[None]] = set()

    def listen(self, room: rtc.Room) -> None:
        """Follow a room's events; before it is connected, so that none is missed."""
        room.on("participant_connected", self._came)
        room.on("participant_disconnected", self._left)
        room.on("participant_name_changed", self._renamed)
        room.on("track_published", self._published)
        room.on("track_unpublished", self._unpublished)
        room.on("track_subscribed", self._subscribed)
        room.on("track_unsubscribed", self._unsubscribed)
        room.on("track_muted", lambda participant, track: self._muted(participant, track, True))
        room.on("track_unmuted", lambda participant, track: self._muted(participant, track, False))
        room.on("disconnected", self._disconnected)

    def meet(self, room: rtc.Room) -> None:
        """Take those who were there when we came."""
        for participant in room.remote_participants.values():
            self._came(participant)

    async def close(self) -> None:
        """Stop receiving; bounded."""
        for place in list(self._pumps):
            self._stop(place)
        if self._ending:
            await asyncio.wait(self._ending, timeout=_CLOSE_S)

    def _came(self, participant: rtc.RemoteParticipant) -> None:
        if (name := self._name(participant)) is not None:
            self._sink.joined(participant.identity, name)
            for publication in participant.track_publications.values():
                self._published(publication, participant)

    def _left(self, participant: rtc.RemoteParticipant) -> None:
        for uid in (participant.identity, participant.identity + _SCREEN):
            for kind in _KINDS.values():
                self._stop((uid, kind))
                self._taken.pop((uid, kind), None)
            self._sink.left(uid)

    def _renamed(self, participant: rtc.Participant, _before: str, _now: str) -> None:
        name = self._name(participant)
        if name is not None and isinstance(participant, rtc.RemoteParticipant):
            self._sink.joined(participant.identity, name)

    def _published(self, publication: rtc.RemoteTrackPublication, participant: rtc.RemoteParticipant) -> None:
        name, place = self._name(participant), _place(publication, participant)
        if name is None or place is None or place in self._taken:
            return
        self._taken[place] = publication.sid
        if place[0] != participant.identity:
            self._sink.joined(place[0], name)
        publication.set_subscribed(True)

    def _unpublished(self, publication: rtc.RemoteTrackPublication, participant: rtc.RemoteParticipant) -> None:
        place = self._taken_by(publication, participant)
        if place is None:
            return
        self._silence(place)
        del self._taken[place]
        for other in participant.track_publications.values():
            self._published(other, participant)
        if place[0] != participant.identity and not any((place[0], kind) in self._taken for kind in _KINDS.values()):
            self._sink.left(place[0])

    def _subscribed(
        self, track: rtc.Track, publication: rtc.RemoteTrackPublication, participant: rtc.RemoteParticipant
    ) -> None:
        place = self._taken_by(publication, participant)
        if place is None:
            return
        self._stop(place)
        self._pumps[place] = asyncio.create_task(self._receive(place, track))
        self._sink.muted(*place, publication.muted)

    def _unsubscribed(
        self, _track: rtc.Track, publication: rtc.RemoteTrackPublication, participant: rtc.RemoteParticipant
    ) -> None:
        place = self._taken_by(publication, participant)
        if place is not None:
            self._silence(place)

    def _muted(self, participant: rtc.Participant, publication: rtc.TrackPublication, on: bool) -> None:
        place = self._taken_by(publication, participant)
        if place is not None:
            self._sink.muted(*place, on)

    def _disconnected(self, reason: rtc.DisconnectReason.ValueType) -> None:
        if self.over.done():
            return
        if reason in _ENDS:
            self.over.set_result(None)
        else:
            self.over.set_exception(_fault(reason, self._room_name))

    def _name(self, participant: rtc.Participant) -> str | None:
        """The name to show, one that is asked for where not everybody is; None for who is not asked for."""
        names = (participant.name or participant.identity, participant.identity)
        return next((name for name in names if not self._users or name in self._users), None)

    def _taken_by(self, publication: rtc.TrackPublication, participant: rtc.Participant) -> _Place | None:
        place = _place(publication, participant)
        return place if place is not None and self._taken.get(place) == publication.sid else None

    def _silence(self, place: _Place) -> None:
        self._stop(place)
        self._sink.muted(*place, True)

    def _stop(self, place: _Place) -> None:
        pump = self._pumps.pop(place, None)
        if pump is not None:
            pump.cancel()
            self._ending.add(pump)
            pump.add_done_callback(self._ending.discard)

    async def _receive(self, place: _Place, track: rtc.Track) -> None:
        uid, kind = place
        stream: rtc.VideoStream | rtc.AudioStream
        if kind == "video":
            stream = rtc.VideoStream(track, capacity=_PICTURES, format=rtc.VideoBufferType.I420)
        else:
            stream = rtc.AudioStream(track, capacity=_SOUNDS, sample_rate=_RATE, num_channels=_CHANNELS)
        clock = SoundClock()
        try:
            async for event in stream:
                self._deliver(uid, event, clock)
        finally:
            try:
                async with asyncio.timeout(_CLOSE_S):
                    await stream.aclose()
            except Exception as error:
                log.warning("The %s of %s did not close cleanly: %s", kind, uid, type(error).__name__)

    def _deliver(self, uid: str, event: rtc.VideoFrameEvent | rtc.AudioFrameEvent, clock: SoundClock) -> None:
        now = time.monotonic()
        try:
            if isinstance(event, rtc.VideoFrameEvent):
                self._sink.video(uid, picture_of(event), now)
            else:
                heard = sound(event.frame.data, event.frame.sample_rate, event.frame.num_channels)
                self._sink.audio(uid, heard, clock.begin(heard.samples / heard.sample_rate, now))
        except ValueError:
            self._sink.count("frames_dropped")


def picture_of(event: rtc.VideoFrameEvent) -> av.VideoFrame:
    """An I420 picture of the library's, upright. Raises ValueError for one that cannot be."""
    frame = event.frame
    half = (frame.width + 1) // 2
    planes = [(frame.get_plane(n) or b"", stride) for n, stride in enumerate((frame.width, half, half))]
    return upright(frame.width, frame.height, planes, 90 * cast(int, event.rotation))


def _place(publication: rtc.TrackPublication, participant: rtc.Participant) -> _Place | None:
    kind = _KINDS.get(publication.kind)
    screen = publication.source in _SCREEN_SOURCES
    return None if kind is None else (participant.identity + (_SCREEN if screen else ""), kind)


def _fault(reason: rtc.DisconnectReason.ValueType, room: str) -> RecorderError:
    if reason == rtc.DisconnectReason.PARTICIPANT_REMOVED:
        return Refused(f"The recorder was removed from room {room}.")
    if reason == rtc.DisconnectReason.DUPLICATE_IDENTITY:
        return Lost(f"Somebody else has come into room {room} under the recorder's identity, its workerUid.")
    name = rtc.DisconnectReason.Name(reason).lower().replace("_", " ")
    return Lost(f"The connection to room {room} was lost: {name}.")
