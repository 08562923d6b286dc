"""The embedded back end: participants publish to the recorder itself by WHIP (RFC 9725).

One publisher a user: a second one of the same user takes the place of the first.
"""

from __future__ import annotations

import asyncio
import logging
import secrets

from recorders.config import WhipConfig
from recorders.errors import NotNow, RecorderError
from recorders.screens import asked_for
from recorders.sources.base import Patched, Published, Sink
from recorders.sources.rtc import BadOffer, IceSettings, Peer
from recorders.sources.rtc_ice import BadFragment, Fragment
from recorders.spec import ChannelSpec

log = logging.getLogger(__name__)

# How long a publisher may wait for the recording to begin.
_BEGIN_S = 5.0


class PublishRefused(RecorderError):
    """A publisher is not let in; the recording itself goes on."""

    retryable = False


class WhipSource:
    """A `Source` that is an `Ingest`; both belong to one event loop."""

    def __init__(self, spec: ChannelSpec, config: WhipConfig) -> None:
        self._channel = spec.channel
        self._users = spec.users
        self._limit = config.max_publishers
        self._ice = IceSettings.of(config, loopback=True)
        self._sink: Sink | None = None
        self._running = asyncio.Event()
        self._ended = False
        self._peers: dict[str, Peer] = {}  # by resource
        self._etags: dict[str, str] = {}
        self._closing: set[asyncio.Task[None]] = set()

    async def run(self, sink: Sink) -> None:
        """See `Source`; publishers may come and go until it is cancelled."""
        self._sink = sink
        self._running.set()
        try:
            await asyncio.Event().wait()
        finally:
            self._ended = True
            for resource in list(self._peers):
                self._drop(resource)
            if self._closing:
                await asyncio.wait(self._closing)

    async def publish(self, user: str, offer: str) -> Published:
        """See `Ingest`. Raises `PublishRefused` and `NotNow`."""
        if not asked_for(self._users, user):
            raise PublishRefused(f"{user} is not among the users of this recording.")
        try:
            await asyncio.wait_for(self._running.wait(), _BEGIN_S)
        except TimeoutError:
            raise NotNow(f"Channel {self._channel} is not being recorded yet.") from None
        if self._ended or self._sink is None:
            raise NotNow(f"The recording of channel {self._channel} has ended.")
        mine = [resource for resource, peer in self._peers.items() if peer.uid == user]
        if len(self._peers) - len(mine) >= self._limit:
            raise NotNow(f"Channel {self._channel} has {self._limit} publishers already, its limit.")
        for other in mine:
            if not self._peers[other].joined:
                self._drop(other)
        resource = secrets.token_urlsafe(16)
        self._peers[resource] = peer = Peer(user, self._sink, self._ice, self._changed)
        try:
            answer = await peer.answer(offer)
        except BaseException as error:
            self._drop(resource)
            if isinstance(error, BadOffer):
                raise PublishRefused(str(error)) from error
            raise
        if resource not in self._peers:
            raise NotNow(f"The recording of channel {self._channel} has ended.")
        self._etags[resource] = etag = _etag()
        return Published(resource, answer, etag)

    async def patch(self, resource: str, fragment: str, if_match: str) -> Patched:
        """See `Ingest`. Raises `PublishRefused`."""
        peer, etag = self._peers.get(resource), self._etags.get(resource)
        if peer is None or etag is None:
            return Patched("unknown")
        if if_match not in ("*", '"*"', etag):
            return Patched("stale", etag=etag)
        try:
            ours = await peer.patch(Fragment.parse(fragment))
        except (BadFragment, BadOffer) as error:
            raise PublishRefused(str(error)) from error
        if ours is None:
            return Patched("taken", etag=etag)
        self._etags[resource] = etag = _etag()
        return Patched("restarted", ours.sdp(*peer.first_media), etag)

    async def unpublish(self, resource: str) -> bool:
        """See `Ingest`."""
        known = resource in self._peers
        self._drop(resource)
        return known

    def keyframe(self, uid: str) -> None:
        """See `Source`."""
        for peer in list(self._peers.values()):
            if peer.uid == uid:
                peer.keyframe()

    def _changed(self, peer: Peer, change: str) -> None:
        for resource, other in list(self._peers.items()):
            # Whom it takes the place of stays until it is there itself.
            if (other is peer) == (change == "gone") and other.uid == peer.uid and (other is peer or other.joined):
                self._drop(resource)
        if change == "connected" and self._sink is not None:
            self._sink.joined(peer.uid)

    def _drop(self, resource: str) -> None:
        self._etags.pop(resource, None)
        peer = self._peers.pop(resource, None)
        if peer is None:
            return
        if peer.joined and self._sink is not None:
            self._sink.left(peer.uid)
        task = asyncio.get_running_loop().create_task(peer.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


def _etag() -> str:
    return f'"{secrets.token_urlsafe(8)}"'
