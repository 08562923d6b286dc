"""Callbacks of sound."""

from __future__ import annotations

from typing import Any


class IAudioFrameObserver:
    def on_playback_audio_frame_before_mixing(
        self,
        agora_local_user: Any,
        channelId: str,  # noqa: N803
        uid: str,
        frame: Any,
        vad_result_state: int,
        vad_result_bytearray: Any,
    ) -> int:
        return 1
