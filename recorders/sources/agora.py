"""An Agora channel's participants, by Agora's server SDK; the app id is that of the request's path.

The SDK calls back on threads of its own, where it must not be called: data is copied into the sink there, everything
else is only noted, and done by `run`. Not run against Agora's cloud yet.
"""

from __future__ import annotations

import asyncio
import logging
import tempfile
import threading
import time
from typing import Any

from recorders.config import AgoraConfig
from recorders.errors import Lost, RecorderError, Refused, Unreachable
from recorders.sources.agora_session import Session
from recorders.sources.base import Kind, Sink
from recorders.sources.decoded import sound, upright
from recorders.sources.sound_clock import SoundClock
from recorders.spec import ChannelSpec

log = logging.getLogger(__name__)

# The SDK reconnects by itself; what is not back by then is lost.
_RECONNECT_S = 20.0
_LEAVE_S = 1.5
_DELIVERED = 1  # what a callback of sound returns
# AgoraBase.h: REMOTE_AUDIO_STATE_REASON and REMOTE_VIDEO_STATE_REASON.
_REMOTE_MUTED, _REMOTE_UNMUTED = 5, 6
# AgoraBase.h: CONNECTION_CHANGED_REASON_TYPE; those that another attempt does not mend.
_LEFT, _TOKEN_EXPIRED, _SAME_UID = 5, 9, 19
_REFUSALS = {
    3: "has removed the recorder from channel {channel}",
    6: "does not know app id {app_id}",
    7: "does not take {channel} as a channel's name",
    8: "does not accept the access token",
    9: "does not accept the access token: it has expired",
    10: "has banned the recorder from channel {channel}",
}


class AgoraSource:
    """A `Source`; used once, and once in a process: the SDK's service is one of a kind.

    Media comes decoded and in step, as the SDK plays it out: its times are those of its arrival, smoothed for sound.
    """

    def __init__(self, spec: ChannelSpec, config: AgoraConfig) -> None:
        self._spec = spec
        self._config = config
        self._sink: Sink | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._woken = asyncio.Event()
        # What the SDK's threads have noted, under the lock.
        self._lock = threading.Lock()
        self._present: set[str] = set()
        self._subscribed: set[str] = set()
        self._clocks: dict[str, SoundClock] = {}
        self._joined = False
        self._away_since: float | None = None
        self._failure: RecorderError | None = None

    async def run(self, sink: Sink) -> None:
        """See `Source`. Raises `InvalidSpec` where the SDK is not installed."""
        self._sink, self._loop, self._away_since = sink, asyncio.get_running_loop(), time.monotonic()
        limit = self._config.connect_timeout_s
        with tempfile.TemporaryDirectory(prefix="agora-", ignore_cleanup_errors=True) as folder:
            session = Session(self._spec, self._config, folder)
            try:
                try:
                    async with asyncio.timeout(limit):
                        await asyncio.to_thread(session.open, self)
                except TimeoutError:
                    raise Unreachable(f"The Agora SDK did not start within {limit:g} s.") from None
                await self._follow(session)
            finally:
                self._sink = None  # callbacks that come late have nobody to tell
                try:
                    async with asyncio.timeout(_LEAVE_S):
                        await asyncio.to_thread(session.close)
                except Exception as error:
                    log.warning("Channel %s was not left cleanly: %s", self._spec.channel, type(error).__name__)

    def keyframe(self, uid: str) -> None:
        """Nothing to ask for: pictures come decoded."""

    async def _follow(self, session: Session) -> None:
        """Subscribe to those who come, until the connection is lost."""
        while True:
            self._woken.clear()
            with self._lock:
                if self._failure is not None:
                    raise self._failure
                new = self._present - self._subscribed
                self._subscribed |= new
                left = self._patience()
            for uid in new:
                await asyncio.to_thread(session.subscribe, uid)
            try:
                # Not wait_for, which swallows a cancellation that comes together with the event.
                async with asyncio.timeout(left):
                    await self._woken.wait()
            except TimeoutError:
                if self._joined:
                    raise Lost(f"The connection to Agora's channel {self._spec.channel} was lost.") from None
                limit = self._config.connect_timeout_s
                raise Unreachable(f"Agora's channel {self._spec.channel} was not joined in {limit:g} s.") from None

    def _patience(self) -> float | None:
        """Seconds until the connection counts as lost; None while it is there."""
        if self._away_since is None:
            return None
        limit = _RECONNECT_S if self._joined else self._config.connect_timeout_s
        return max(0.0, self._away_since + limit - time.monotonic())

    # From here on, called by the SDK on its threads.

    def on_connected(self, connection: Any, info: Any, reason: int) -> None:
        """In the channel, for the first time or again."""
        with self._lock:
            self._joined, self._away_since = True, None
        self._wake()

    def on_reconnecting(self, connection: Any, info: Any, reason: int = 0) -> None:
        """The SDK has lost the connection, and tries to get it back."""
        with self._lock:
            if self._away_since is None:
                self._away_since = time.monotonic()
        self._wake()

    def on_disconnected(self, connection: Any, info: Any, reason: int) -> None:
        """The SDK has given up, has been thrown out, or has left as it was told."""
        if reason != _LEFT:
            self._fail(self._fault(reason))

    def on_token_privilege_will_expire(self, connection: Any, token: str) -> None:
        """The access token has some 30 s left."""
        log.warning("The access token for channel %s is about to expire", self._spec.channel)

    def on_token_privilege_did_expire(self, connection: Any) -> None:
        """The access token is not good any more."""
        self._fail(self._fault(_TOKEN_EXPIRED))

    def on_user_joined(self, connection: Any, uid: str) -> None:
        """A user is in the channel, or was when we came."""
        if self._spec.users and uid not in self._spec.users:
            return
        if (sink := self._sink) is not None:
            sink.joined(uid)
        with self._lock:
            self._present.add(uid)
            self._clocks[uid] = SoundClock()
        self._wake()

    def on_user_left(self, connection: Any, uid: str, reason: int) -> None:
        """A user is gone."""
        with self._lock:
            self._present.discard(uid)
            self._subscribed.discard(uid)
            self._clocks.pop(uid, None)
        if (sink := self._sink) is not None:
            sink.left(uid)

    def on_user_audio_track_state_changed(
        self, user: Any, uid: str, track: Any, state: int, reason: int, elapsed: int
    ) -> None:
        """A user's microphone."""
        self._switched(uid, "audio", reason)

    def on_user_video_track_state_changed(
        self, user: Any, uid: str, track: Any, state: int, reason: int, elapsed: int
    ) -> None:
        """A user's camera."""
        self._switched(uid, "video", reason)

    def on_frame(self, channel: str, uid: str, frame: Any) -> None:
        """A decoded picture."""
        if (sink := self._sink) is None:
            return
        planes = [
            (frame.y_buffer or b"", frame.y_stride),
            (frame.u_buffer or b"", frame.u_stride),
            (frame.v_buffer or b"", frame.v_stride),
        ]
        try:
            sink.video(uid, upright(frame.width, frame.height, planes, frame.rotation), time.monotonic())
        except ValueError:
            sink.count("frames_dropped")

    def on_playback_audio_frame_before_mixing(
        self, user: Any, channel: str, uid: str, frame: Any, vad_state: int = 0, vad_bytes: Any = None
    ) -> int:
        """10 ms of a user's sound."""
        sink, now = self._sink, time.monotonic()
        if sink is None:
            return _DELIVERED
        try:
            heard = sound(frame.buffer, frame.samples_per_sec, frame.channels)
        except ValueError:
            sink.count("frames_dropped")
            return _DELIVERED
        with self._lock:
            clock = self._clocks.get(uid)
            begun = clock.begin(heard.samples / heard.sample_rate, now) if clock is not None else now
        sink.audio(uid, heard, begun)
        return _DELIVERED

    def _switched(self, uid: str, kind: Kind, reason: int) -> None:
        if (sink := self._sink) is not None and reason in (_REMOTE_MUTED, _REMOTE_UNMUTED):
            sink.muted(uid, kind, reason == _REMOTE_MUTED)
            with self._lock:
                clock = self._clocks.get(uid)
                if kind == "audio" and clock is not None:
                    clock.pause()

    def _fail(self, failure: RecorderError) -> None:
        with self._lock:
            self._failure = self._failure or failure  # the first says why
        self._wake()

    def _fault(self, reason: int) -> RecorderError:
        channel, app_id = self._spec.channel, self._spec.app_id
        if reason in _REFUSALS:
            return Refused(f"Agora {_REFUSALS[reason].format(channel=channel, app_id=app_id)}.")
        if reason == _SAME_UID:
            return Lost(f"Somebody else has come into Agora's channel {channel} under the recorder's workerUid.")
        return Lost(f"The connection to Agora's channel {channel} was lost, reason {reason}.")

    def _wake(self) -> None:
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(self._woken.set)
        except RuntimeError:  # the loop is closed: nobody waits any more
            return
