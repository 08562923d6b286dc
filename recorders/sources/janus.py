"""Participants of a Janus VideoRoom: the room is the channel, its pin or an allowed token the access token.

The recorder joins as a publisher that never publishes, for Janus tells publishers who comes and goes. Who is there is
known here, and how to get back after a loss; how one participant is received, in `janus_feed`.
"""

from __future__ import annotations

import asyncio
import logging
import time

from recorders.config import JanusConfig
from recorders.errors import Lost, Refused, Unreachable
from recorders.sources.base import Sink
from recorders.sources.janus_api import ApiError, Message, Session
from recorders.sources.janus_feed import Feed, Room
from recorders.sources.janus_streams import Publisher
from recorders.sources.rtc import IceSettings
from recorders.spec import ChannelSpec

log = logging.getLogger(__name__)

# The VideoRoom plugin's error codes.
_NO_SUCH_ROOM, _INVALID_ELEMENT, _UNAUTHORIZED, _ID_EXISTS = 426, 430, 433, 436
# Between attempts at getting back, doubled each time.
_BACK_S, _BACK_AT_MOST_S = 0.1, 1.0
_LEAVE_S = 1.0


class JanusSource:
    """A `Source` that is `Sized`; used once. A participant's uid is its feed's id, its name the display name."""

    def __init__(self, spec: ChannelSpec, config: JanusConfig) -> None:
        self._spec = spec
        self._ice = IceSettings.of(config)
        self._connect_s, self._return_s = config.connect_timeout_s, config.return_timeout_s
        self._session = Session(config, self._on_event)
        room = int(spec.channel) if spec.channel.isascii() and spec.channel.isdigit() else spec.channel
        self._room = Room(self._session, room, spec.access_token)
        self._handle: int | None = None
        self._sink: Sink | None = None
        self._publishers: dict[str, Publisher] = {}
        self._feeds: dict[str, Feed] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}  # of the feeds
        self._leaving: set[asyncio.Task[None]] = set()
        self._cells: dict[str, tuple[int, int] | None] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._over: asyncio.Future[None] | None = None

    async def run(self, sink: Sink) -> None:
        """See `Source`; completed when the room is destroyed.

        After a loss, participants stay where they are until Janus is back and tells who is there.
        """
        self._sink = sink
        self._loop = asyncio.get_running_loop()
        self._over = self._loop.create_future()
        try:
            try:
                async with asyncio.timeout(self._connect_s):
                    await self._enter(rejoining=self._spec.rejoining)
            except TimeoutError:
                raise Unreachable(f"Janus at {self._session.host} did not answer in {self._connect_s:g} s.") from None
            while not await self._stay():
                sink.count("reconnects")
                await self._return()
        finally:
            for uid in list(self._feeds):
                self._drop(uid)
            if self._leaving:
                await asyncio.wait(self._leaving, timeout=_LEAVE_S)
            await self._session.close()

    def keyframe(self, uid: str) -> None:
        """See `Source`."""
        feed = self._feeds.get(uid)
        if feed is not None:
            feed.keyframe()

    def want(self, uid: str, size: tuple[int, int] | None) -> None:
        """See `Sized`."""

        def tell() -> None:
            self._cells[uid] = size
            if uid in self._feeds:
                self._feeds[uid].want(size)

        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(tell)

    async def _stay(self) -> bool:
        """Until the room is over (True; raises what it ended with), or the session or its connection is lost."""
        assert self._over is not None
        lost = asyncio.create_task(self._session.until_lost())
        try:
            await asyncio.wait((lost, self._over), return_when=asyncio.FIRST_COMPLETED)
        finally:
            lost.cancel()
        if not self._over.done():
            return False
        self._over.result()
        return True

    async def _return(self) -> None:
        """Come back after a loss, and be patient with a server that starts anew. Raises `Lost` or `Refused`."""
        host = self._session.host
        log.warning("The connection to Janus at %s was lost", host)
        limit = time.monotonic() + self._return_s
        pause = _BACK_S
        claimable = not self._session.ended.is_set()
        while True:
            try:
                async with asyncio.timeout(self._connect_s):
                    if not (claimable and await self._claim()):
                        claimable = False
                        await self._session.close()
                        await self._enter(rejoining=True, returning=True)
                break
            except (Lost, ApiError, TimeoutError) as error:
                fact = str(error).rstrip(".") or f"no answer in {self._connect_s:g} s"
            if time.monotonic() + pause > limit:
                raise Lost(f"Janus at {host} did not come back in {self._return_s:g} s: {fact}.")
            await asyncio.sleep(pause)
            pause = min(2 * pause, _BACK_AT_MOST_S)
        log.warning("Janus at %s is back", host)

    async def _claim(self) -> bool:
        """Take the session along onto a new connection; media was not interrupted then."""
        if not await self._session.claim():
            return False
        # Events may have been missed. Leaving and joining again would end all subscriptions; another handle does not.
        handle = await self._session.attach()
        try:
            publishers = (await self._join(handle, None)).get("publishers", [])
        except ApiError:
            return False
        await self._session.detach(handle)
        self._announced(publishers, all_of_them=True)
        return True

    async def _enter(self, *, rejoining: bool, returning: bool = False) -> None:
        """Open a session, join the room, and follow who is there. Raises `Lost` or `Refused`; to be bounded."""
        await self._session.open()
        self._handle = await self._session.attach()
        uid: int | None = self._spec.worker_uid
        while True:
            try:
                joined = await self._join(self._handle, uid)
                break
            except ApiError as error:
                if error.code == _INVALID_ELEMENT and not isinstance(self._room.id, str):
                    self._room.id = str(self._room.id)  # the server has string ids
                elif error.code == _ID_EXISTS and rejoining and uid is not None:
                    uid = None  # what is left of an attempt before: any other id will do
                elif error.code == _NO_SUCH_ROOM and returning:
                    raise Lost(f"There is no room {self._spec.channel} yet.") from error
                else:
                    raise self._refusal(error) from error
        self._room.private_id = joined.get("private_id")
        for feed in self._feeds.values():
            feed.renew()
        self._announced(joined.get("publishers", []), all_of_them=True)

    async def _join(self, handle: int, uid: int | None) -> Message:
        body: Message = {
            "request": "join",
            "ptype": "publisher",
            "room": self._room.id,
            "display": "recorder",
            "pin": self._room.pin,
            "token": self._room.pin,  # where the room has a list of allowed ones
        }
        if uid is not None:
            body["id"] = str(uid) if isinstance(self._room.id, str) else uid
        data: Message = (await self._session.message(handle, body))["plugindata"]["data"]
        return data

    def _refusal(self, error: ApiError) -> Refused | Lost:
        room, host = self._spec.channel, self._session.host
        if error.code == _NO_SUCH_ROOM:
            return Refused(f"There is no room {room} at Janus {host}.")
        if error.code == _UNAUTHORIZED:
            return Refused(f"Room {room} at Janus {host} does not accept the access token.")
        if error.code == _ID_EXISTS:
            return Lost(f"The id {self._spec.worker_uid} is in use in room {room} at Janus {host}.")
        if error.code == _INVALID_ELEMENT:
            return Refused(f"Room {room} is not a name that Janus {host} takes: its rooms are numbers.")
        return Lost(f"Room {room} at Janus {host} cannot be joined, error {error.code}.")

    def _on_event(self, event: Message) -> None:
        kind, sender = event.get("janus"), event.get("sender")
        if kind == "detached" and sender == self._handle:
            self._session.ended.set()
        elif sender == self._handle:
            if kind == "event":
                self._in_room(event["plugindata"]["data"])
        else:
            for feed in self._feeds.values():
                if feed.handle == sender:
                    feed.on_event(event)

    def _in_room(self, data: Message) -> None:
        assert self._over is not None
        self._announced(data.get("publishers", []))
        for key in ("unpublished", "leaving", "kicked"):
            who = data.get(key)
            if who == "ok":
                if not self._over.done():
                    self._over.set_exception(Refused(f"The recorder was removed from room {self._spec.channel}."))
            elif who is not None:
                self._forget(str(who))
        if data.get("videoroom") == "destroyed" and not self._over.done():
            self._over.set_result(None)
        publisher = self._publishers.get(str(data.get("id")))
        if publisher is not None and "moderation" in data:
            publisher.moderated(data["mid"], data["moderation"] == "muted")
            self._follow(publisher)
        if publisher is not None and "display" in data:
            publisher.name = str(data["display"])
            self._follow(publisher)

    def _announced(self, publishers: list[Message], *, all_of_them: bool = False) -> None:
        """Take descriptions of publishers; `all_of_them`: there are no others."""
        for one in publishers:
            if not one.get("dummy"):
                publisher = self._publishers.setdefault(str(one["id"]), Publisher(one["id"]))
                publisher.described(one)
                self._follow(publisher)
        if all_of_them:
            for feed in set(self._publishers) - {str(one["id"]) for one in publishers}:
                self._forget(feed)

    def _follow(self, publisher: Publisher) -> None:
        """Have its participants in the recording, and nobody else of it."""
        assert self._sink is not None
        present = {one.uid: one for one in publisher.presences() if one.named(self._spec.users)}
        for uid in [uid for uid, feed in self._feeds.items() if feed.presence.feed == publisher.feed]:
            if uid not in present:
                self._drop(uid)
        for uid, presence in present.items():
            if uid in self._feeds:
                self._feeds[uid].update(presence)
                continue
            self._feeds[uid] = feed = Feed(self._room, presence, self._sink, self._ice)
            self._tasks[uid] = asyncio.create_task(feed.run())
            if uid in self._cells:
                feed.want(self._cells[uid])
        if present and publisher.refused:
            codecs = ", ".join(sorted(publisher.refused))
            log.warning("%s sends %s too, which cannot be taken: VP8, H.264 and Opus can", publisher.name, codecs)

    def _forget(self, feed: str) -> None:
        """A publisher is gone."""
        publisher = self._publishers.pop(feed, None)
        if publisher is not None:
            for uid in [uid for uid, one in self._feeds.items() if one.presence.feed == publisher.feed]:
                self._drop(uid)

    def _drop(self, uid: str) -> None:
        self._feeds.pop(uid).leave()
        self._cells.pop(uid, None)
        task = self._tasks.pop(uid)
        task.cancel()
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)
