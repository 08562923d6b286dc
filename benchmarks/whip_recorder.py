"""`python -m benchmarks.whip_recorder FOLDER MODE USERS`: records a channel by itself, until Ctrl-C.

Prints its address for publishers, and `complete` when so many have come.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import cast

import uvloop

from recorders.config import RecorderConfig
from recorders.native.recorder import NativeRecorder
from recorders.sources.whip import WhipSource
from recorders.spec import ChannelSpec, Mode, RecordingSpec
from tests.e2e.whip_front import whip_front

TOKEN = "benchmark-token"
PREFIX = {"composite": "recording", "individual": "recording_{user}"}


async def record(folder: str, mode: Mode, users: int) -> None:
    """1280x720, 30 pictures a second, 1000 kbit/s, whatever is published."""
    config = RecorderConfig.model_validate({"sources": {"rules": [{"source": "whip"}]}})
    subject = ChannelSpec("bench", "bench", 1, TOKEN, mode=mode)
    recorder = NativeRecorder(RecordingSpec("bench", folder, subject, PREFIX[mode]), config)
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, recorder.stop)
    recording = asyncio.create_task(recorder.run())
    async with whip_front(cast(WhipSource, recorder.source)) as url:
        print(url, flush=True)
        while recorder.progress().counters["participants"] < users and not recording.done():  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        print("complete", flush=True)
        await recording


if __name__ == "__main__":
    uvloop.run(record(sys.argv[1], cast(Mode, sys.argv[2]), int(sys.argv[3])))
