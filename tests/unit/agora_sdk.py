"""The package `agora_fake` as if it were Agora's SDK, installed; and what it makes of media."""

from __future__ import annotations

import importlib
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt


class Sdk:
    """The fake package, as the source has imported it."""

    def __init__(self) -> None:
        self.base: Any = importlib.import_module("agora.rtc.agora_base")
        self.service: Any = importlib.import_module("agora.rtc.agora_service")
        self.ended = threading.Event()  # the source has

    def call(self, callback: Callable[..., Any], *args: Any) -> Any:
        return self.service.on_sdk_thread(callback, *args)

    def picture(self, rotation: int = 0, **changed: Any) -> Any:
        """64 x 48, its left half darker, its rows padded; `changed` in fields of it."""
        luma = np.full((48, 80), 200, np.uint8)
        luma[:, :32] = 50
        chroma = np.full((24, 40), 120, np.uint8).tobytes()
        frame = self.base.VideoFrame(
            width=64, height=48, y_stride=80, u_stride=40, v_stride=40, rotation=rotation,
            y_buffer=luma.tobytes(), u_buffer=chroma, v_buffer=chroma,
        )  # fmt: skip
        for name, value in changed.items():
            setattr(frame, name, value)
        return frame

    def sound(self, stereo: npt.NDArray[np.int16]) -> Any:
        """10 ms: 480 samples of two."""
        zero = dict.fromkeys(
            ("type", "render_time_ms", "avsync_type", "presentation_ms", "audio_track_number", "rtp_timestamp",
             "far_field_flag", "rms", "voice_prob", "music_prob", "pitch"), 0,
        )  # fmt: skip
        pcm = bytearray(stereo.tobytes())
        return self.base.AudioFrame(
            samples_per_channel=480, bytes_per_sample=2, channels=2, samples_per_sec=48000, buffer=pcm, **zero
        )


@contextmanager
def with_agora_sdk(folder: Path) -> Iterator[None]:
    """Puts the fake SDK with its native library into a folder that is on the import path meanwhile."""
    shutil.copytree(Path(__file__).parent / "agora_fake", folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "agora" / "agora_sdk").mkdir()
    (folder / "agora" / "agora_sdk" / "libagora_rtc_sdk.so").touch()
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        for name in [name for name in sys.modules if name == "agora" or name.startswith("agora.")]:
            del sys.modules[name]
