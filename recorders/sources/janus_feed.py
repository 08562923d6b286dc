"""The subscription to one participant of a VideoRoom: a handle and a connection of its own, for as long as it is there.

Why not one connection for all: docs/decisions/0012-a-connection-for-each-janus-participant.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from recorders.errors import Lost, Refused
from recorders.sources.base import EncodedFrame, Kind, Sink
from recorders.sources.janus_api import ApiError, Message, Session
from recorders.sources.janus_streams import TOP, Presence, Stream, substream
from recorders.sources.picture_size import picture_size
from recorders.sources.rtc import BadOffer, IceSettings, Peer

log = logging.getLogger(__name__)

# A broken connection is made anew after the first; after the last when it keeps breaking within `_STABLE_S`.
_AGAIN_S, _AGAIN_AT_MOST_S, _STABLE_S = 0.25, 5.0, 10.0
# Somebody whose connection takes longer is shown without it.
_APPEAR_S = 1.0
# Janus' word on the present substream and the pictures of it come on different ways: together they count after this.
_SETTLED_S = 1.0


_EXPECTED = (ApiError, BadOffer, Lost, Refused)


@dataclass
class Room:
    """The room as the recorder has joined it. `private_id` tells Janus whose subscriptions these are."""

    session: Session
    id: int | str
    pin: str = field(repr=False)
    private_id: int | None = None


@dataclass(slots=True)
class _Subscribed:
    """A stream that is received; `mid` is that of our own connection, the publisher's is the stream's."""

    stream: Stream
    mid: str
    sending: bool = True
    substream: int = TOP


class Feed:
    """The participant appears with its connection. Belongs to the event loop but for `keyframe`."""

    def __init__(self, room: Room, presence: Presence, sink: Sink, ice: IceSettings) -> None:
        self.presence = presence
        self.handle: int | None = None
        self._room = room
        self._sink = sink
        self._ice = ice
        self._peer: Peer | None = None
        self._streams: dict[Kind, _Subscribed] = {}
        self._muted: dict[Kind, bool] = {}
        self._offers: list[Message] = []
        self._gone = self._broken = False  # the connection is of no use any more; by itself
        self._changed, self._hurry = asyncio.Event(), asyncio.Event()
        self._cell: tuple[int, int] | None = None
        self._shown = True
        self._layers = _Layers(self._changed.set)
        self._appeared = False
        self._timer = asyncio.get_running_loop().call_later(_APPEAR_S, self._appear)

    def update(self, presence: Presence) -> None:
        """Its streams or its name have changed."""
        before, self.presence = self.presence, presence
        if self._appeared:
            if presence.name != before.name:
                self._sink.joined(presence.uid, presence.name)
            self._tell()
        self._changed.set()
        self._hurry.set()

    def leave(self) -> None:
        """The participant is gone; `run` is to be cancelled."""
        self._timer.cancel()
        self._appeared = True
        self._sink.left(self.presence.uid)

    def renew(self) -> None:
        """The handle is gone with its session."""
        self._gone = True
        self._changed.set()
        self._hurry.set()

    def want(self, cell: tuple[int, int] | None) -> None:
        """The picture is shown in a cell of (width, height), or nowhere."""
        self._shown = cell is not None
        self._cell = cell or self._cell
        self._changed.set()

    def keyframe(self) -> None:
        """Callable from any thread."""
        peer = self._peer
        if peer is not None:
            peer.keyframe()

    def on_event(self, event: Message) -> None:
        """What Janus says of the handle."""
        kind, data = event.get("janus"), event.get("plugindata", {}).get("data", {})
        if kind == "slowlink":
            self._sink.count("slow_links")
        elif kind in ("hangup", "detached"):
            log.info("%s: Janus says %s %s", self.presence.name, kind, event.get("reason", ""))
            self._break()
        elif "substream" in data:
            self._layers.told(data["substream"])
        if "jsep" in event:
            self._offers.append(event)
            self._changed.set()

    async def run(self) -> None:
        """Receive until cancelled, again after each time that the connection broke."""
        pause = _AGAIN_S
        while True:
            begun = time.monotonic()
            self._gone = self._broken = False
            self._hurry.clear()
            try:
                await self._receive()
            except Exception as error:  # whatever it is, it concerns this participant alone
                self._broken = True
                fact = error if isinstance(error, _EXPECTED) else repr(error)
                log.warning("%s in room %s cannot be received: %s", self.presence.name, self._room.id, fact)
            if self._broken:
                pause = _AGAIN_S if time.monotonic() - begun > _STABLE_S else min(2 * pause, _AGAIN_AT_MOST_S)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._hurry.wait(), pause)

    async def _receive(self) -> None:
        while not (streams := [one for one in self.presence.streams.values() if not one.off]):
            self._appear()
            self._changed.clear()
            await self._changed.wait()
        session, room = self._room.session, self._room
        handle = self.handle = await session.attach()
        self._layers.begin()
        watch = _Watch(self._sink, self._layers)
        self._peer = peer = Peer(self.presence.uid, watch, self._ice, self._connection_changed)
        try:
            body: dict[str, Any] = {
                "request": "join",
                "ptype": "subscriber",
                "room": room.id,
                "pin": room.pin,
                "autoupdate": False,
                "streams": [{"feed": self.presence.feed, "mid": stream.mid} for stream in streams],
            }
            if room.private_id is not None:
                body["private_id"] = room.private_id
            await self._negotiate(await session.message(handle, body))
            while not self._gone and await self._adapted(handle):
                await self._changed.wait()
                self._changed.clear()
        finally:
            self.handle = self._peer = None
            self._streams.clear()
            self._offers.clear()
            await asyncio.gather(peer.close(), session.detach(handle))

    async def _adapted(self, handle: int) -> bool:
        """Bring the subscription to what is there and what is wanted; False where that takes another connection."""
        session = self._room.session
        while self._offers:
            await self._negotiate(self._offers.pop(0))
        new = []
        for kind, stream in self.presence.streams.items():
            mine = self._streams.get(kind)
            if stream.off:  # it comes back by itself
                continue
            if mine is None:
                new.append(stream)
            elif (mine.stream.mid, mine.stream.codec) != (stream.mid, stream.codec):
                return False
        if new:
            streams = [{"feed": self.presence.feed, "mid": stream.mid} for stream in new]
            await self._negotiate(await session.message(handle, {"request": "subscribe", "streams": streams}))
        video = self._streams.get("video")
        if video is not None:
            await self._configure(handle, video)
        return True

    async def _configure(self, handle: int, video: _Subscribed) -> None:
        """Have the picture sent where it is shown, and in the size in which it is shown."""
        change: dict[str, Any] = {}
        if video.sending != self._shown:
            change["send"] = video.sending = self._shown
            if self._shown:
                self._layers.resumed()
        layer = self._layers.layer(self._cell) if video.stream.simulcast and self._shown else None
        if layer not in (None, video.substream):
            change["substream"] = video.substream = layer
        if change:
            await self._room.session.message(handle, {"request": "configure", "mid": video.mid, **change})
        if change.get("send"):
            self.keyframe()

    async def _negotiate(self, message: Message) -> None:
        """Answer Janus' offer, if there is one."""
        data = message.get("plugindata", {}).get("data", {})
        for one in data.get("streams", []):
            for kind, stream in self.presence.streams.items():
                if one.get("active") and one.get("feed_mid") == stream.mid and kind not in self._streams:
                    self._streams[kind] = _Subscribed(stream, one["mid"])
        if "jsep" in message and self._peer is not None and self.handle is not None:
            answer = await self._peer.answer(message["jsep"]["sdp"])
            await self._room.session.message(self.handle, {"request": "start"}, {"type": "answer", "sdp": answer})

    def _connection_changed(self, peer: Peer, change: str) -> None:
        if peer is self._peer:
            self._appear() if change == "connected" else self._break()

    def _break(self) -> None:
        self._gone = self._broken = True
        self._changed.set()

    def _appear(self) -> None:
        if not self._appeared:
            self._appeared = True
            self._timer.cancel()
            self._sink.joined(self.presence.uid, self.presence.name)
            self._tell()

    def _tell(self) -> None:
        """Tell the sink what is switched off."""
        for kind, stream in self.presence.streams.items():
            if stream.off != self._muted.get(kind, False):
                self._muted[kind] = stream.off
                self._sink.muted(self.presence.uid, kind, stream.off)
                if kind == "video" and not stream.off:
                    self.keyframe()


class _Layers:
    """Which simulcast picture to ask for, from the pictures that come. `changed` is called when that may be another."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._largest: tuple[int, int] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.begin()

    def begin(self) -> None:
        """On another connection."""
        self._substream = TOP
        self._size: tuple[int, int] | None = None
        self._whole = True  # no picture is missing before the next one

    def told(self, number: int) -> None:
        """Janus sends this substream now."""
        self._substream = number
        self._unsettled()

    def resumed(self) -> None:
        """Pictures come again; those before the first keyframe are predicted from what never came."""
        self._whole = False

    def passes(self, frame: EncodedFrame) -> bool:
        """Look at a picture on its way to the sink; tells whether it can be decoded."""
        self._whole = self._whole or frame.key
        if frame.key and (size := picture_size(frame.codec, frame.data)) not in (None, self._size):
            self._size = size
            self._unsettled()
        return self._whole

    def layer(self, cell: tuple[int, int] | None) -> int | None:
        """The substream for a cell; None while there is no telling."""
        return substream(cell, self._largest) if cell and self._largest else None

    def _unsettled(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(_SETTLED_S, self._settle)

    def _settle(self) -> None:
        if self._size is not None:
            times = 1 << (TOP - self._substream)
            self._largest = (self._size[0] * times, self._size[1] * times)
            self._changed()


class _Watch:
    """The sink, with a look at each picture."""

    def __init__(self, sink: Sink, layers: _Layers) -> None:
        self._sink = sink
        self._layers = layers
        self.joined, self.left, self.muted = sink.joined, sink.left, sink.muted
        self.video, self.audio, self.count = sink.video, sink.audio, sink.count

    def encoded(self, uid: str, kind: Kind, frame: EncodedFrame) -> None:
        if kind == "audio" or self._layers.passes(frame):
            self._sink.encoded(uid, kind, frame)
