"""Synthetic participants with a colour, their name and a soft tone each; they come, go and mute. A bar crosses their
picture in four seconds of the wall clock, so that it tells the time at which it was made.

For trying the service out with no RTC server, and for the documented example.
"""

from __future__ import annotations

import asyncio
import colorsys
import threading
import time
from dataclasses import dataclass

import av
import numpy as np
import numpy.typing as npt
from av.video.reformatter import ColorRange, Colorspace

from recorders.sources.base import Sink
from recorders.spec import ChannelSpec

WIDTH, HEIGHT, FRAME_RATE = 320, 180, 15
SAMPLE_RATE = 48000
_SAMPLES = SAMPLE_RATE // FRAME_RATE
CYCLE_S = 4
BAR, BAR_ROWS = 24, range(8, 32)
_AMPLITUDE = 0.06
_SEMITONES = (0, 4, 7, 12, 16, 19, 24, 28)  # a major chord, so that many together are bearable
_BASE_HZ = 220.0


@dataclass(frozen=True, slots=True)
class Act:
    """When a participant is there and visible, in seconds of a cycle."""

    comes: float
    camera_off: tuple[float, float]
    away: tuple[float, float]
    cycle: float

    def state(self, seconds: float) -> tuple[bool, bool]:
        """(present, camera on) at `seconds` since the channel began."""
        if seconds < self.comes:
            return False, True
        at = seconds % self.cycle
        return not self.away[0] <= at < self.away[1], not self.camera_off[0] <= at < self.camera_off[1]


def act(i: int, n: int, *, prompt: bool) -> Act:
    """Participant `i` of `n`: comes at once when `prompt`, else one after the other.

    Each has its camera off for 4 s and is away for 4 s in a cycle, never two of them at once.
    """
    first = 12.0 + 10.0 * i
    return Act(0.0 if prompt else 2.0 * i, (first, first + 4), (first + 5, first + 9), 12.0 + 10.0 * n)


class DemoSource:
    """The requested users, or ada, ben and cem where nobody in particular is asked for."""

    def __init__(self, spec: ChannelSpec) -> None:
        self._names = spec.users or ("ada", "ben", "cem")
        self._prompt = bool(spec.users)
        self._ended = threading.Event()

    async def run(self, sink: Sink) -> None:
        """Play until cancelled."""
        try:
            await asyncio.to_thread(self._play, sink)
        finally:
            self._ended.set()

    def keyframe(self, uid: str) -> None:
        """Nothing to do: pictures are not encoded."""

    def _play(self, sink: Sink) -> None:
        count = len(self._names)
        acts = [act(i, count, prompt=self._prompt) for i in range(count)]
        performers = [_Performer(i, name) for i, name in enumerate(self._names)]
        states = [(False, True)] * count
        started = time.monotonic()
        tick = 0
        while not self._ended.wait(max(0.0, started + tick / FRAME_RATE - time.monotonic())):
            t = started + tick / FRAME_RATE
            for i, performer in enumerate(performers):
                before, states[i] = states[i], acts[i].state(tick / FRAME_RATE)
                present, camera_on = states[i]
                if present and not before[0]:
                    sink.joined(performer.name)
                elif before[0] and not present:
                    sink.left(performer.name)
                if present and camera_on != before[1]:
                    sink.muted(performer.name, "video", not camera_on)
                if present:
                    if camera_on:
                        sink.video(performer.name, performer.picture(time.time() - (time.monotonic() - t)), t)
                    # Sound of the frame's time that has just passed, as a microphone would deliver it.
                    sink.audio(performer.name, performer.sound(tick), t - 1 / FRAME_RATE)
            tick += 1


class _Performer:
    """One participant's pictures and sound, made from a base that is drawn once."""

    def __init__(self, i: int, name: str) -> None:
        self.name = name
        red, green, blue = colorsys.hsv_to_rgb(i * 0.381966 % 1, 0.65, 0.75)  # golden angle: far from all before
        y = 0.2126 * red + 0.7152 * green + 0.0722 * blue  # BT.709, which is the canvas' own
        self._colour = (round(16 + 219 * y), round(128 + 120.7 * (blue - y)), round(128 + 142.2 * (red - y)))
        self._luma = np.full((HEIGHT, WIDTH), self._colour[0], np.uint8)
        self._luma[_lettering(name) > 127] = 235
        octave, step = divmod(i, len(_SEMITONES))
        self._hz = _BASE_HZ * 2 ** ((_SEMITONES[step] + octave) / 12)

    def picture(self, at: float) -> av.VideoFrame:
        """The name on the colour, above it the bar as it is at this Unix time."""
        frame = av.VideoFrame(WIDTH, HEIGHT, "yuv420p")
        frame.colorspace, frame.color_range = Colorspace.ITU709, ColorRange.MPEG
        planes = [np.frombuffer(memoryview(p), np.uint8).reshape(-1, p.line_size)[:, : p.width] for p in frame.planes]
        planes[0][:] = self._luma
        planes[1][:] = self._colour[1]
        planes[2][:] = self._colour[2]
        x = int(at % CYCLE_S / CYCLE_S * WIDTH)
        planes[0][BAR_ROWS.start : BAR_ROWS.stop, x : x + BAR] = 210
        return frame

    def sound(self, tick: int) -> av.AudioFrame:
        """A tone that goes on from frame to frame."""
        n = np.arange(tick * _SAMPLES, (tick + 1) * _SAMPLES)
        pcm = np.sin(2 * np.pi * self._hz * n / SAMPLE_RATE) * (_AMPLITUDE * 32767)
        frame = av.AudioFrame.from_ndarray(pcm.astype(np.int16)[None, :], "s16", "mono")
        frame.sample_rate = SAMPLE_RATE
        return frame


def _lettering(name: str) -> npt.NDArray[np.uint8]:
    from PIL import Image, ImageDraw, ImageFont

    image = Image.new("L", (WIDTH, HEIGHT), 0)
    draw = ImageDraw.Draw(image)
    try:
        font: ImageFont.FreeTypeFont | ImageFont.ImageFont = ImageFont.truetype("DejaVuSans.ttf", 36)
    except OSError:
        font = ImageFont.load_default(36)
    draw.text((WIDTH / 2, HEIGHT / 2), name[:14], fill=255, font=font, anchor="mm")
    return np.asarray(image, np.uint8)
