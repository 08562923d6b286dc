"""Callbacks of pictures."""

from __future__ import annotations

from typing import Any


class IVideoFrameObserver:
    def on_frame(self, channel_id: str, remote_uid: str, frame: Any) -> None: ...
