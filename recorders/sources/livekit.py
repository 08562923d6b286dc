"""A LiveKit room's participants, by LiveKit's own library: the room is the channel, `workerUid` our identity.

Life cycle only; who is in the room and what they send is in `livekit_members`. Not run against a server yet.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import secrets
import time
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import jwt

from recorders.config import LiveKitConfig
from recorders.errors import InvalidSpec, RecorderError, Refused, Unreachable
from recorders.sources.base import Sink
from recorders.spec import ChannelSpec

log = logging.getLogger(__name__)

# A token of our own has to outlast reconnects; the server renews it while we are in the room.
_TOKEN_S = 6 * 3600
_LEAVE_S = 1.5
# HTTP statuses by which a LiveKit server says no for good.
_REFUSALS = {
    401: "does not accept the access token",
    403: "does not let the access token into room {room}",
    404: "has no room {room}",
}


class LiveKitSource:
    """A `Source`; used once. A participant's uid is its identity, its name the display name.

    Media comes decoded and in step, as the library plays it out: its times are those of its arrival, smoothed for
    sound.
    """

    def __init__(self, spec: ChannelSpec, config: LiveKitConfig) -> None:
        self._spec = spec
        self._config = config
        self._host = urlsplit(config.url).netloc.rpartition("@")[2]

    async def run(self, sink: Sink) -> None:
        """See `Source`; completed when the room is closed. Raises `InvalidSpec` where the library is missing."""
        try:
            library, members = await asyncio.to_thread(_load)
        except (ImportError, OSError) as error:
            raise _missing(error) from error
        room: Any = library.Room()
        present = members.Members(self._spec, sink)
        present.listen(room)
        try:
            await self._connect(room, library)
            present.meet(room)
            await present.over
        finally:
            await present.close()
            try:
                async with asyncio.timeout(_LEAVE_S):
                    await room.disconnect()
            except Exception as error:
                log.warning("Room %s was not left cleanly: %s", self._spec.channel, type(error).__name__)

    def keyframe(self, uid: str) -> None:
        """Nothing to ask for: pictures come decoded."""

    async def _connect(self, room: Any, library: Any) -> None:
        config, limit = self._config, self._config.connect_timeout_s
        token = self._spec.access_token
        if config.key is not None and config.secret is not None:
            token = recorder_token(self._spec, config.key, config.secret, time.time())
        logging.getLogger("livekit").addFilter(_Hush(token))
        # What nobody asked for is not even sent to us.
        options = library.RoomOptions(auto_subscribe=False, connect_timeout=limit)
        try:
            async with asyncio.timeout(limit):
                await room.connect(config.url, token, options)
        except TimeoutError:
            raise Unreachable(f"LiveKit at {self._host} did not answer in {limit:g} s.") from None
        except ImportError as error:  # its native part is loaded when it is first needed
            raise _missing(error) from error
        except library.ConnectError as error:
            raise refusal(error.message, self._spec.channel, self._host) from None


def recorder_token(spec: ChannelSpec, key: str, secret: str, now: float) -> str:
    """A LiveKit token for a participant that nobody sees, who receives and sends nothing.

    A recorder that takes over has another identity: the server throws out who has the same, and it may still record.
    """
    identity = f"{spec.worker_uid}-{secrets.token_hex(4)}" if spec.rejoining else str(spec.worker_uid)
    claims = {
        "iss": key,
        "sub": identity,
        "nbf": int(now) - 60,
        "exp": int(now) + _TOKEN_S,
        "name": "recorder",
        "video": {
            "roomJoin": True,
            "room": spec.channel,
            "canSubscribe": True,
            "canPublish": False,
            "canPublishData": False,
            "hidden": True,
            "recorder": True,
        },
    }
    return jwt.encode(claims, secret, algorithm="HS256")


def refusal(message: str, room: str, host: str) -> RecorderError:
    """What the library's message of a failed connection means; it quotes the server, whose words are left out."""
    answered = re.search(r"(?:client|server) error: (\d{3})", message)
    status = int(answered[1]) if answered else 0
    if status in _REFUSALS:
        return Refused(f"LiveKit at {host} {_REFUSALS[status].format(room=room)}.")
    if status:
        return Unreachable(f"LiveKit at {host} answered with HTTP status {status}.")
    return Unreachable(f"LiveKit at {host} cannot be reached: {message.rpartition(': ')[2].rstrip('.')}.")


def _missing(error: Exception) -> InvalidSpec:
    fact = str(error).partition("\n")[0].rstrip(".")
    how = "`pip install '.[livekit]'` in egress-ray's folder there"
    return InvalidSpec(f"LiveKit's library cannot be loaded on this node ({fact}): {how}.")


class _Hush(logging.Filter):
    """The library logs what servers answer, and that may quote the token."""

    def __init__(self, token: str) -> None:
        super().__init__()
        self._token = token

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        if self._token in message:
            record.msg, record.args = message.replace(self._token, "(the access token)"), None
        return True


def _load() -> tuple[ModuleType, ModuleType]:
    os.environ.setdefault("RUST_LOG", "off")  # what it would write to stderr when the process ends, past all filters
    from livekit import rtc

    from recorders.sources import livekit_members

    return rtc, livekit_members
