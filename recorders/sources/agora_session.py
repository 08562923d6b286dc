"""What is called of Agora's SDK to join a channel, to receive its users and to leave."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

from recorders.config import AgoraConfig
from recorders.errors import Refused, Unreachable
from recorders.sources.agora_sdk import Sdk, load
from recorders.spec import ChannelSpec

if TYPE_CHECKING:
    from recorders.sources.agora import AgoraSource

log = logging.getLogger(__name__)

_RATE, _CHANNELS = 48000, 2


class Session:
    """The SDK's objects for one channel; `folder` is for what the SDK writes. Every method blocks; one at a time."""

    def __init__(self, spec: ChannelSpec, config: AgoraConfig, folder: str) -> None:
        self._spec = spec
        self._config = config
        self._folder = folder
        self._lock = threading.Lock()
        self._base: Any = None
        self._service: Any = None
        self._connection: Any = None

    def open(self, source: AgoraSource) -> None:
        """Load the SDK and begin to join: as one of the audience, whom nobody sees."""
        with self._lock:
            sdk = load()
            self._base = base = sdk.agora_base
            scenario = base.AudioScenarioType.AUDIO_SCENARIO_GAME_STREAMING
            self._service = service = sdk.agora_service.AgoraService()
            service.initialize(
                base.AgoraServiceConfig(
                    appid=self._spec.app_id,
                    enable_video=1,
                    audio_scenario=scenario,
                    use_string_uid=int(self._config.string_uids),
                    log_path=f"{self._folder}/agora.log",
                    data_dir=self._folder,
                )
            )
            connection = service.create_rtc_connection(
                base.RTCConnConfig(
                    client_role_type=base.ClientRoleType.CLIENT_ROLE_AUDIENCE,
                    channel_profile=base.ChannelProfileType.CHANNEL_PROFILE_LIVE_BROADCASTING,
                ),
                base.RtcConnectionPublishConfig(
                    is_publish_audio=False, is_publish_video=False, audio_scenario=scenario
                ),
            )
            if connection is None:
                raise Refused(f"Agora's SDK does not take app id {self._spec.app_id}.")
            self._connection = connection
            _observe(sdk, connection, source)
            told = connection.connect(self._spec.access_token, self._spec.channel, str(self._spec.worker_uid))
            if told != 0:
                raise Unreachable(f"Agora's SDK does not join channel {self._spec.channel}, error {told}.")

    def subscribe(self, uid: str) -> None:
        """Receive a user's sound and picture."""
        with self._lock:
            if self._connection is None:
                return
            user, base = self._connection.get_local_user(), self._base
            options = base.VideoSubscriptionOptions(type=base.VideoStreamType.VIDEO_STREAM_HIGH, encodedFrameOnly=False)
            for told in (user.subscribe_audio(uid), user.subscribe_video(uid, options)):
                if told != 0:
                    log.warning("User %s of channel %s is not received: error %s", uid, self._spec.channel, told)

    def close(self) -> None:
        """Leave the channel."""
        with self._lock:
            connection, service = self._connection, self._service
            self._connection = self._service = None
            if connection is not None:
                connection.disconnect()
                connection.release()
            if service is not None:
                service.release()


def _observe(sdk: Sdk, connection: Any, source: AgoraSource) -> None:
    """Have the SDK call the methods of `source` that have its callbacks' names; sound arrives unmixed."""
    of_connection = sdk.rtc_connection_observer.IRTCConnectionObserver()
    of_connection.on_connected = of_connection.on_reconnected = source.on_connected
    of_connection.on_reconnecting = of_connection.on_connection_lost = source.on_reconnecting
    of_connection.on_disconnected = of_connection.on_connection_failure = source.on_disconnected
    of_connection.on_token_privilege_will_expire = source.on_token_privilege_will_expire
    of_connection.on_token_privilege_did_expire = source.on_token_privilege_did_expire
    of_connection.on_user_joined = source.on_user_joined
    of_connection.on_user_left = source.on_user_left
    connection.register_observer(of_connection)
    of_users = sdk.local_user_observer.IRTCLocalUserObserver()
    of_users.on_user_audio_track_state_changed = source.on_user_audio_track_state_changed
    of_users.on_user_video_track_state_changed = source.on_user_video_track_state_changed
    connection.register_local_user_observer(of_users)
    of_sounds = sdk.audio_frame_observer.IAudioFrameObserver()
    of_sounds.on_playback_audio_frame_before_mixing = source.on_playback_audio_frame_before_mixing
    connection.get_local_user().set_playback_audio_frame_before_mixing_parameters(_CHANNELS, _RATE)
    connection.register_audio_frame_observer(of_sounds, 0, None)
    of_pictures = sdk.video_frame_observer.IVideoFrameObserver()
    of_pictures.on_frame = source.on_frame
    connection.register_video_frame_observer(of_pictures)
