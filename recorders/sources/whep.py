"""Participants played from a server by WHEP (draft-ietf-wish-whep): one URL and one session a user.

WHEP cannot tell who is in a channel, so users have to be named. One who is not there yet, or goes away, is asked for
again and again.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from urllib.parse import quote

from recorders.config import WhepConfig
from recorders.errors import InvalidSpec, Lost, RecorderError, Refused, Unreachable
from recorders.sources.base import Sink
from recorders.sources.rtc import BadAnswer, BadOffer, IceSettings, Peer
from recorders.sources.whep_http import Reply, host, request
from recorders.spec import ChannelSpec

log = logging.getLogger(__name__)

_FORBIDDEN = (401, 403)
# What another attempt may find otherwise: nobody publishes there yet, too many do, or the server is not well.
_LATER = (404, 408, 409, 425, 429)
_AGAIN_S, _AGAIN_MOST_S = 0.5, 8.0
_LEAVE_S = 1.5
_LOOPBACK = ("127.", "localhost", "[::1]")


class WhepSource:
    """A `Source`; used once. A participant's uid is the user's name. Raises `InvalidSpec` without users."""

    def __init__(self, spec: ChannelSpec, config: WhepConfig) -> None:
        if not spec.users:
            raise InvalidSpec(f"Channel {spec.channel} is played by WHEP, which needs users to be named.")
        self._spec = spec
        self._config = config
        self._peers: dict[str, Peer] = {}
        self._answered = False  # by any server, to any request
        self._taken = False  # any offer
        self._unreached: set[str] = set()

    async def run(self, sink: Sink) -> None:
        """See `Source`; goes on until it is cancelled.

        Before any offer was taken, raises `Refused` when the server does not take the token or the offer. Raises `Lost`
        when nobody can be asked for at first: `Unreachable` when no server answers. Who is refused later is counted
        (`sources_failed`) and asked for again.
        """
        try:
            async with asyncio.TaskGroup() as group:
                for user in self._spec.users:
                    group.create_task(self._play(user, sink))
        except BaseExceptionGroup as several:
            raise several.exceptions[0] from None

    def keyframe(self, uid: str) -> None:
        """See `Source`."""
        peer = self._peers.get(uid)
        if peer is not None:
            peer.keyframe()

    async def _play(self, user: str, sink: Sink) -> None:
        """One user, for as long as the recording lasts."""
        again = _AGAIN_S
        refused = False
        while True:
            try:
                await self._session(user, sink)
                refused, again = False, _AGAIN_S
            except Refused as error:
                if not self._taken:
                    raise
                if not refused:
                    log.warning("%s is not there: %s", user, error)
                    sink.count("sources_failed")
                refused = True
            except (BadAnswer, Lost) as error:
                log.info("%s is not there: %s", user, error)
                self._judge(user, error)
            await asyncio.sleep(again)
            again = min(_AGAIN_MOST_S, again * 2)

    def _judge(self, user: str, error: Exception) -> None:
        """A server that answers for nobody, not even once, is a mistake that somebody should know of."""
        self._unreached.add(user)
        if not self._answered and len(self._unreached) == len(self._spec.users):
            raise error

    async def _session(self, user: str, sink: Sink) -> None:
        """From the offer until the connection is gone. Raises `Refused`, `Lost`, `BadAnswer`."""
        gone, connected = asyncio.Event(), asyncio.Event()

        def changed(peer: Peer, change: str) -> None:
            if change == "connected":
                sink.joined(user)
                connected.set()
            else:
                gone.set()

        url = self._url(user)
        loopback = host(url).startswith(_LOOPBACK)
        self._peers[user] = peer = Peer(user, sink, IceSettings.of(self._config, loopback=loopback), changed)
        location = ""
        try:
            reply = await self._ask(url, await _offer(peer))
            location = reply.location
            await peer.accept(reply.body)
            await gone.wait()
            if not connected.is_set():
                raise Lost(f"No media connection to {host(url)} came about.")
        finally:
            del self._peers[user]
            if connected.is_set():
                sink.left(user)
            await asyncio.shield(self._leave(peer, location))

    async def _ask(self, url: str, offer: str) -> Reply:
        token, limit = self._spec.access_token, self._config.connect_timeout_s
        try:
            reply = await request("POST", url, token, offer, limit)
        except Lost as error:
            raise Unreachable(f"The WHEP server {error}") from error
        self._answered = True
        if reply.status == 201:
            self._taken = True
            return reply
        what = f"The WHEP server at {host(url)}"
        if reply.status in _FORBIDDEN:
            raise Refused(f"{what} does not accept the access token (HTTP {reply.status}).")
        if reply.status in _LATER or reply.status >= 500:
            raise Lost(f"{what} has no such stream now (HTTP {reply.status}).")
        raise Refused(f"{what} does not take the offer (HTTP {reply.status}).")

    async def _leave(self, peer: Peer, location: str) -> None:
        async def delete() -> None:
            if location:
                with suppress(RecorderError):
                    await request("DELETE", location, self._spec.access_token, "", _LEAVE_S)

        await asyncio.gather(peer.close(), delete())

    def _url(self, user: str) -> str:
        names = {"channel": self._spec.channel, "app_id": self._spec.app_id, "user": user}
        return self._config.url.format(**{name: quote(value, safe="") for name, value in names.items()})


async def _offer(peer: Peer) -> str:
    try:
        return await peer.offer()
    except BadOffer as error:
        raise Lost(str(error)) from error
