"""Callbacks about users' tracks."""

from __future__ import annotations

from typing import Any


class IRTCLocalUserObserver:
    def on_user_audio_track_state_changed(
        self, agora_local_user: Any, user_id: str, agora_remote_audio_track: Any, state: int, reason: int, elapsed: int
    ) -> None: ...

    def on_user_video_track_state_changed(
        self, agora_local_user: Any, user_id: str, agora_remote_video_track: Any, state: int, reason: int, elapsed: int
    ) -> None: ...
