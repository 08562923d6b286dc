"""Participants of a Janus VideoRoom: the room is the channel, its pin the access token.

The recorder joins as a publisher that never publishes, for Janus tells publishers who comes and goes. Each
participant has a connection of its own: aiortc mixes up several participants in one.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import Any

from recorders.config import JanusConfig
from recorders.errors import Lost, Refused, Unreachable
from recorders.screens import asked_for
from recorders.sources.base import Kind, Sink
from recorders.sources.janus_api import ApiError, Message, Session
from recorders.sources.rtc import BadOffer, IceSettings, Peer
from recorders.spec import ChannelSpec

log = logging.getLogger(__name__)

# The VideoRoom plugin's error codes.
_NO_SUCH_ROOM, _INVALID_ELEMENT, _UNAUTHORIZED, _ID_EXISTS = 426, 430, 433, 436
_CODECS: dict[str, Kind] = {"opus": "audio", "h264": "video", "vp8": "video"}
_AGAIN_S = 2.0


@dataclass
class _Feed:
    """A participant that publishes. `mids` are the media sections taken, at most one of each kind."""

    id: int | str
    name: str
    mids: dict[str, Kind]
    task: asyncio.Task[None] | None = field(default=None, repr=False)
    peer: Peer | None = field(default=None, repr=False)

    @property
    def uid(self) -> str:
        return str(self.id)


class JanusSource:
    """A `Source`; used once. A participant's uid is its feed's id, its name the display name."""

    def __init__(self, spec: ChannelSpec, config: JanusConfig) -> None:
        self._spec = spec
        self._ice = IceSettings(config.ice_address)
        self._connect_s = config.connect_timeout_s
        secret = config.api_secret.get_secret_value() if config.api_secret else None
        self._session = Session(config.url, secret, config.connect_timeout_s, self._on_event)
        self._room: int | str = int(spec.channel) if spec.channel.isascii() and spec.channel.isdigit() else spec.channel
        self._private_id: int | None = None
        self._sink: Sink | None = None
        self._handle: int | None = None
        self._feeds: dict[str, _Feed] = {}
        self._peers: dict[int, Peer] = {}  # by handle
        self._leaving: set[asyncio.Task[None]] = set()
        self._over: asyncio.Future[None] | None = None

    async def run(self, sink: Sink) -> None:
        """See `Source`; completed when the room is destroyed."""
        self._sink = sink
        self._over = asyncio.get_running_loop().create_future()
        try:
            try:
                async with asyncio.timeout(self._connect_s):
                    await self._session.open()
                    publishers = await self._join()
            except TimeoutError:
                raise Unreachable(f"Janus at {self._session.host} did not answer in {self._connect_s:g} s.") from None
            self._announced(publishers)
            closed = asyncio.create_task(self._session.until_closed())
            try:
                await asyncio.wait((closed, self._over), return_when=asyncio.FIRST_COMPLETED)
            finally:
                closed.cancel()
            if not self._over.done():
                raise Lost(f"The connection to Janus at {self._session.host} was lost.")
            self._over.result()
        finally:
            for uid in list(self._feeds):
                self._gone(uid)
            if self._leaving:
                await asyncio.wait(self._leaving, timeout=1.0)
            await self._session.close()

    def keyframe(self, uid: str) -> None:
        """See `Source`."""
        feed = self._feeds.get(uid)
        if feed is not None and feed.peer is not None:
            feed.peer.keyframe()

    async def _join(self) -> list[Message]:
        self._handle = await self._session.attach()
        uid: int | None = self._spec.worker_uid
        while True:
            try:
                reply = await self._ask_to_join(uid)
                break
            except ApiError as error:
                if error.code == _INVALID_ELEMENT and not isinstance(self._room, str):
                    self._room = str(self._room)  # the server has string ids
                elif error.code == _ID_EXISTS and self._spec.rejoining and uid is not None:
                    uid = None  # what is left of an attempt before: any other id will do
                else:
                    raise self._refusal(error) from error
        data = reply["plugindata"]["data"]
        self._private_id = data.get("private_id")
        publishers: list[Message] = data.get("publishers", [])
        return publishers

    async def _ask_to_join(self, uid: int | None) -> Message:
        assert self._handle is not None
        body: Message = {
            "request": "join",
            "ptype": "publisher",
            "room": self._room,
            "display": "recorder",
            "pin": self._spec.access_token,
        }
        if uid is not None:
            body["id"] = str(uid) if isinstance(self._room, str) else uid
        return await self._session.message(self._handle, body)

    def _refusal(self, error: ApiError) -> Refused | Lost:
        room, host = self._spec.channel, self._session.host
        if error.code == _NO_SUCH_ROOM:
            return Refused(f"There is no room {room} at Janus {host}.")
        if error.code == _UNAUTHORIZED:
            return Refused(f"The access token is not the pin of room {room} at Janus {host}.")
        if error.code == _ID_EXISTS:
            return Lost(f"The id {self._spec.worker_uid} is in use in room {room} at Janus {host}.")
        if error.code == _INVALID_ELEMENT:
            return Refused(f"Room {room} is not a name that Janus {host} takes: its rooms are numbers.")
        return Lost(f"Room {room} at Janus {host} cannot be joined, error {error.code}.")

    async def _on_event(self, event: Message) -> None:
        kind, sender = event.get("janus"), event.get("sender")
        if kind == "timeout" and self._over is not None and not self._over.done():
            self._over.set_exception(Lost(f"Janus at {self._session.host} ended the session."))
        elif kind == "event" and sender == self._handle:
            self._in_room(event["plugindata"]["data"])
        elif kind == "hangup" and sender in self._peers:
            self._peers[sender].leave()

    def _in_room(self, data: Message) -> None:
        assert self._over is not None
        self._announced(data.get("publishers", []))
        for key in ("unpublished", "leaving", "kicked"):
            who = data.get(key)
            if who == "ok":
                if not self._over.done():
                    self._over.set_exception(Refused(f"The recorder was removed from room {self._spec.channel}."))
            elif who is not None:
                self._gone(str(who))
        if data.get("videoroom") == "destroyed" and not self._over.done():
            self._over.set_result(None)
        feed = self._feeds.get(str(data.get("id")))
        if "moderation" in data and feed is not None and data.get("mid") in feed.mids and self._sink is not None:
            self._sink.muted(feed.uid, feed.mids[data["mid"]], data["moderation"] == "muted")

    def _announced(self, publishers: list[Message]) -> None:
        assert self._sink is not None
        for publisher in publishers:
            feed = _Feed(publisher["id"], str(publisher.get("display") or publisher["id"]), _mids(publisher))
            if publisher.get("dummy") or not asked_for(self._spec.users, feed.uid, feed.name):
                continue
            known = self._feeds.get(feed.uid)
            if known is not None and (known.mids, known.name) == (feed.mids, feed.name):
                continue
            if known is not None:
                self._stop(known)
            self._feeds[feed.uid] = feed
            self._sink.joined(feed.uid, feed.name)
            for stream in publisher.get("streams", []):
                if stream.get("moderated") and stream.get("mid") in feed.mids:
                    self._sink.muted(feed.uid, feed.mids[stream["mid"]], True)
            if feed.mids:
                feed.task = asyncio.create_task(self._take(feed))
            else:
                log.warning("%s publishes nothing that can be recorded: VP8, H.264 and Opus can", feed.name)

    def _gone(self, uid: str) -> None:
        feed = self._feeds.pop(uid, None)
        if feed is not None and self._sink is not None:
            self._stop(feed)
            self._sink.left(uid)

    def _stop(self, feed: _Feed) -> None:
        if feed.task is not None:
            feed.task.cancel()
            self._leaving.add(feed.task)
            feed.task.add_done_callback(self._leaving.discard)

    async def _take(self, feed: _Feed) -> None:
        """Receive a feed while it is there, again after each time that the connection broke."""
        while True:
            try:
                await self._receive(feed)
            except (ApiError, BadOffer, Lost) as error:
                log.warning("%s in room %s cannot be received: %s", feed.name, self._spec.channel, error)
            await asyncio.sleep(_AGAIN_S)

    async def _receive(self, feed: _Feed) -> None:
        assert self._sink is not None
        gone = asyncio.Event()
        handle = await self._session.attach()
        self._peers[handle] = feed.peer = peer = Peer(
            feed.uid, self._sink, self._ice, lambda _, change: gone.set() if change == "gone" else None
        )
        try:
            body: dict[str, Any] = {
                "request": "join",
                "ptype": "subscriber",
                "room": self._room,
                "pin": self._spec.access_token,
                "streams": [{"feed": feed.id, "mid": mid} for mid in feed.mids],
            }
            if self._private_id is not None:
                body["private_id"] = self._private_id
            offer = await self._session.message(handle, body)
            answer = await peer.answer(offer["jsep"]["sdp"])
            await self._session.message(handle, {"request": "start"}, {"type": "answer", "sdp": answer})
            await gone.wait()
        finally:
            self._peers.pop(handle, None)
            feed.peer = None
            await asyncio.gather(peer.close(), self._session.detach(handle))


def _mids(publisher: Message) -> dict[str, Kind]:
    """The first sound and the first picture whose codec can be taken, by media section."""
    found: dict[Kind, str] = {}
    for stream in publisher.get("streams", []):
        kind = _CODECS.get(stream.get("codec", ""))
        if kind is not None and not stream.get("disabled"):
            found.setdefault(kind, stream["mid"])
    return {mid: kind for kind, mid in found.items()}
