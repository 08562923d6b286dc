"""A service whose only connection does what the test plays. Callbacks come on threads that may not call the SDK."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from .agora_base import AgoraServiceConfig, RTCConnConfig, RtcConnectionPublishConfig, VideoSubscriptionOptions
from .audio_frame_observer import IAudioFrameObserver
from .local_user_observer import IRTCLocalUserObserver
from .rtc_connection_observer import IRTCConnectionObserver
from .video_frame_observer import IVideoFrameObserver

SERVICES: list[AgoraService] = []
# What `connect` returns, and what then happens by itself: a method of `RTCConnection` for the SDK's thread.
ANSWER = [0]
ON_CONNECT: list[Callable[[RTCConnection], None]] = []
_of_the_sdk = threading.local()


def _called() -> None:
    assert not getattr(_of_the_sdk, "callback", False), "the SDK must not be called from its callbacks"
    assert threading.current_thread() is not threading.main_thread(), "the SDK blocks: not on the event loop"


def on_sdk_thread(callback: Callable[..., Any], *args: Any) -> Any:
    """What the callback returned or raised, having been called as the SDK calls."""
    outcome: list[Any] = []

    def body() -> None:
        _of_the_sdk.callback = True
        try:
            outcome.append((True, callback(*args)))
        except BaseException as error:
            outcome.append((False, error))

    thread = threading.Thread(target=body, name="agora-callback")
    thread.start()
    thread.join(60)
    ((returned, what),) = outcome
    if not returned:
        raise what
    return what


class LocalUser:
    def __init__(self) -> None:
        self.sound: tuple[int, int] | None = None
        self.audio: list[str] = []
        self.video: list[tuple[str, VideoSubscriptionOptions]] = []

    def set_playback_audio_frame_before_mixing_parameters(self, channels: int, sample_rate_hz: int) -> int:
        _called()
        self.sound = (channels, sample_rate_hz)
        return 0

    def subscribe_audio(self, user_id: str) -> int:
        _called()
        self.audio.append(user_id)
        return 0

    def subscribe_video(self, user_id: str, options: VideoSubscriptionOptions) -> int:
        _called()
        self.video.append((user_id, options))
        return 0


class RTCConnection:
    def __init__(self, conn_config: RTCConnConfig, publish_config: RtcConnectionPublishConfig) -> None:
        self.config, self.publishing = conn_config, publish_config
        self.local_user = LocalUser()
        self.observer = IRTCConnectionObserver()
        self.user_observer = IRTCLocalUserObserver()
        self.audio_observer = IAudioFrameObserver()
        self.video_observer = IVideoFrameObserver()
        self.joined: tuple[str, str, str] | None = None
        self.ended: list[str] = []

    def get_local_user(self) -> LocalUser:
        return self.local_user

    def register_observer(self, conn_observer: IRTCConnectionObserver) -> int:
        _called()
        self.observer = conn_observer
        return 0

    def register_local_user_observer(self, observer: IRTCLocalUserObserver) -> int:
        _called()
        self.user_observer = observer
        return 0

    def register_audio_frame_observer(
        self, observer: IAudioFrameObserver, enable_vad: int, vad_configure: object
    ) -> int:
        _called()
        self.audio_observer = observer
        return 0

    def register_video_frame_observer(self, observer: IVideoFrameObserver) -> int:
        _called()
        self.video_observer = observer
        return 0

    def connect(self, token: str, chan_id: str, user_id: str) -> int:
        _called()
        self.joined = (token, chan_id, user_id)
        for play in ON_CONNECT:
            threading.Thread(target=play, args=(self,), daemon=True).start()
        return ANSWER[0]

    def disconnect(self) -> int:
        _called()
        self.ended.append("disconnect")
        on_sdk_thread(self.observer.on_disconnected, self, None, 5)
        return 0

    def release(self) -> None:
        _called()
        self.ended.append("release")


class AgoraService:
    def __init__(self) -> None:
        self.config = AgoraServiceConfig()
        self.connection: RTCConnection | None = None
        self.released = False
        SERVICES.append(self)

    def initialize(self, config: AgoraServiceConfig) -> int:
        _called()
        self.config = config
        return 0

    def create_rtc_connection(
        self, con_config: RTCConnConfig, publish_config: RtcConnectionPublishConfig
    ) -> RTCConnection | None:
        _called()
        if self.config.appid == "unknown":
            return None
        self.connection = RTCConnection(con_config, publish_config)
        return self.connection

    def release(self) -> None:
        _called()
        self.released = True
