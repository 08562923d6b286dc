"""A participant's WebRTC connection, receive only: its media is taken encoded, before aiortc would decode it.

The names that are private to aiortc and aioice are used in `rtc_guard` and `rtc_ice`, nowhere else.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, cast

from aiortc import (
    RTCBundlePolicy,
    RTCConfiguration,
    RTCPeerConnection,
    RTCRtpReceiver,
    RTCSessionDescription,
)
from aiortc.sdp import SessionDescription

from recorders.sources.base import Sink
from recorders.sources.rtc_clock import MediaClock
from recorders.sources.rtc_guard import Guard, forgive
from recorders.sources.rtc_ice import CANDIDATES, Fragment, IceSettings, NoPort, Path, offer_addresses
from recorders.sources.rtc_profiles import take_all_profiles

__all__ = ["BadAnswer", "BadOffer", "IceSettings", "Peer"]

log = logging.getLogger(__name__)

_TAKEN = {"audio": ("opus",), "video": ("h264", "vp8")}
_CONNECT_S = 15.0
_CLOSE_S = 2.0

take_all_profiles()


class BadOffer(ValueError):
    """An SDP offer cannot be answered, or made; one sentence."""


class BadAnswer(ValueError):
    """An SDP answer does not fit the offer; one sentence."""


class Peer:
    """The connection of one participant, `uid` in the sink. `on_change` is told "connected" once and "gone" once.

    Everything but `keyframe` belongs to the event loop.
    """

    def __init__(self, uid: str, sink: Sink, ice: IceSettings, on_change: Callable[[Peer, str], None]) -> None:
        self.uid = uid
        self._sink = sink
        self._ice = ice
        self._on_change = on_change
        self._loop = asyncio.get_running_loop()
        self._clock = MediaClock()
        self._guards: dict[RTCRtpReceiver, Guard] = {}
        self._path: Path | None = None
        self.joined = False  # connected, at least once
        self._gone = False
        self._pc = RTCPeerConnection(RTCConfiguration(ice.servers(), bundlePolicy=RTCBundlePolicy.MAX_BUNDLE))
        self._pc.add_listener("connectionstatechange", self._changed)
        self._deadline: asyncio.TimerHandle | None = None

    async def answer(self, offer: str) -> str:
        """Answer an SDP offer of at most one sound and one picture, the first or another one. Raises `BadOffer`.

        A data channel beside them never opens.
        """
        # The other side begins the DTLS handshake where it may choose: Janus drops a first flight that comes before its
        # own ICE is through, and with an RSA certificate, as GStreamer has it, it can only be aiortc's client.
        offer = offer.replace("a=setup:actpass", "a=setup:active")
        try:
            _check(offer)
            await self._pc.setRemoteDescription(RTCSessionDescription(_usable(offer), "offer"))
            self._watch()
            if self._pc.sctp is not None:
                cast(Any, self._pc.sctp)._handle_data = _nothing
            answer = await self._pc.createAnswer()
        except BadOffer:
            raise
        except Exception as error:  # the parser raises what its code happens to raise
            fact = str(error) or type(error).__name__
            raise BadOffer(f"The SDP offer cannot be used ({fact.rstrip('.')}).") from error
        await self._open(answer)
        return self._pc.localDescription.sdp

    async def offer(self) -> str:
        """An SDP offer to receive one sound and one picture; `accept` is to follow.

        Raises `BadOffer` when no port is free for it."""
        for kind in ("audio", "video"):
            transceiver = self._pc.addTransceiver(kind, "recvonly")
            known = RTCRtpReceiver.getCapabilities(kind)
            taken = {f"{kind}/{codec}" for codec in (*_TAKEN[kind], "rtx")}
            transceiver.setCodecPreferences([c for c in known.codecs if c.mimeType.lower() in taken] if known else [])
        await self._open(await self._pc.createOffer())
        return self._pc.localDescription.sdp

    async def accept(self, answer: str) -> None:
        """The answer to `offer`. Raises `BadAnswer`."""
        try:
            await self._pc.setRemoteDescription(RTCSessionDescription(_usable(answer), "answer"))
        except Exception as error:  # the parser raises what its code happens to raise
            fact = str(error) or type(error).__name__
            raise BadAnswer(f"The SDP answer cannot be used ({fact.rstrip('.')}).") from error
        self._watch()

    async def patch(self, fragment: Fragment) -> Fragment | None:
        """More of the other side's candidates; or, with another ufrag, an ICE restart: returns our end of it then.

        Raises `BadOffer` when there is nothing to restart, or no port for it."""
        if self._path is None:
            raise BadOffer("There is no connection yet whose ICE could be restarted.")
        try:
            return await self._path.add(fragment)
        except NoPort as error:
            raise BadOffer(str(error)) from error

    @property
    def first_media(self) -> tuple[str, str]:
        """Kind and mid of the media section that stands for the bundle."""
        first = SessionDescription.parse(self._pc.localDescription.sdp).media[0]
        return first.kind, first.rtp.muxId

    async def _open(self, description: RTCSessionDescription) -> None:
        """Settle on our side's description, from which on the other side may connect."""
        if self._path is None:
            transceivers = self._pc.getTransceivers()
            offer_addresses(transceivers, self._ice)
            transport = transceivers[0].receiver.transport
            forgive(transport)
            self._path = Path(transport.transport, self._ice)
        try:
            await self._pc.setLocalDescription(description)
        except NoPort as error:
            raise BadOffer(str(error)) from error
        if self._deadline is None:
            self._deadline = self._loop.call_later(_CONNECT_S, self._give_up)

    def _watch(self) -> None:
        """Take the media of all receivers, before the connection gives them any."""
        for receiver in self._pc.getReceivers():
            if receiver.track is not None and receiver not in self._guards:
                self._guards[receiver] = Guard(self.uid, self._sink, self._clock, receiver, self._flooded)

    def keyframe(self) -> None:
        """Ask for a keyframe. Callable from any thread."""
        try:
            self._loop.call_soon_threadsafe(self._ask)
        except RuntimeError:  # the loop is closed
            return

    async def close(self) -> None:
        """Leave; bounded."""
        self._gone = True
        if self._deadline is not None:
            self._deadline.cancel()
        for guard in self._guards.values():
            guard.close()
        try:
            async with asyncio.timeout(_CLOSE_S):
                if self._path is not None:
                    await self._path.close()
                await self._pc.close()
        except Exception as error:
            log.warning("The connection of %s did not close cleanly: %s", self.uid, type(error).__name__)
            await self._abandon()

    async def _abandon(self) -> None:
        """Free what aiortc did not get to: it waits for each of its tasks, even for one that has died."""
        stopping = [asyncio.ensure_future(receiver.stop()) for receiver in self._guards]
        if stopping:
            _, left = await asyncio.wait(stopping, timeout=_CLOSE_S)
            for one in left:
                one.cancel()
        if self._path is not None:
            await self._path.abandon()

    def _flooded(self) -> None:
        log.warning("%s sends too many streams (SSRCs); it is disconnected", self.uid)
        self.leave()

    def _ask(self) -> None:
        for guard in self._guards.values():
            guard.ask()

    def _changed(self) -> None:
        state = self._pc.connectionState
        if state == "connected" and not self.joined and not self._gone:
            self.joined = True
            if self._deadline is not None:
                self._deadline.cancel()
            self._on_change(self, "connected")
            self._ask()
        elif state in ("failed", "closed"):
            self.leave()

    def _give_up(self) -> None:
        if not self.joined:
            log.info("%s did not connect within %g s", self.uid, _CONNECT_S)
            self.leave()

    def leave(self) -> None:
        """Tell that it is gone, once; for `close` to follow."""
        if not self._gone:
            self._gone = True
            self._on_change(self, "gone")


def _check(offer: str) -> None:
    try:
        description = SessionDescription.parse(offer)
    except Exception as error:
        raise BadOffer("The SDP offer cannot be parsed.") from error
    kinds = [media.kind for media in description.media]
    for kind in kinds:
        if kind not in (*_TAKEN, "application"):
            raise BadOffer(f"The SDP offer has a section of kind {kind}; only audio and video are taken.")
    if not any(kind in _TAKEN for kind in kinds):
        raise BadOffer("The SDP offer has neither sound nor picture.")
    for kind, codecs in _TAKEN.items():
        if kinds.count(kind) > 1:
            raise BadOffer(f"The SDP offer has {kinds.count(kind)} {kind} sections; one is taken.")
        for media in description.media:
            offered = {codec.name.lower() for codec in media.rtp.codecs}
            if media.kind == kind and offered.isdisjoint(codecs):
                raise BadOffer(f"The SDP offer has no {kind} codec that is taken: {' or '.join(sorted(codecs))}.")


async def _nothing(_data: bytes) -> None:
    """SCTP that is not heard: what it kept of messages that are never whole would have no bound."""


def _usable(description: str) -> str:
    """Leaves out mDNS candidates: they could only be looked up here, and the peer's own checks tell its address. So
    those that are left are not the last. Nor are more taken than a connection has use for."""
    lines = description.splitlines(keepends=True)
    candidates = [line for line in lines if line.startswith("a=candidate")]
    taken = set([line for line in candidates if ".local " not in line][:CANDIDATES])
    left = [line for line in lines if not line.startswith("a=candidate") or line in taken]
    if len(left) < len(lines):
        left = [line for line in left if not line.startswith("a=end-of-candidates")]
    return "".join(left)
