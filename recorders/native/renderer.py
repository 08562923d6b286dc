"""The render thread: compose, encode and write, one picture a tick, none left out, and sound; a few ticks at once.

Output time is the time of capture since the recording's epoch; picture n is made when `playout_delay_ms` more have
passed than n / frame rate.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import av
import numpy as np

from recorders.config import RecorderConfig
from recorders.encoder import AudioEncoder, VideoEncoder
from recorders.errors import InvalidSpec
from recorders.formats import codecs_of, wanted
from recorders.lease import Lease
from recorders.log.cmaf import CmafWriter
from recorders.log.salvage import open_log
from recorders.log.segment_log import SegmentLog
from recorders.log.tracks import key_interval
from recorders.log.window import Window
from recorders.native.background import background_planes
from recorders.native.deadline import Deadline
from recorders.native.mixer import Samples
from recorders.native.planes import Planes
from recorders.native.scene import Picture, Sound
from recorders.native.speaker import Speakers
from recorders.native.stage import Stage
from recorders.spec import AudioSpec, ChannelSpec, RecordingSpec, VideoSpec

_logger = logging.getLogger(__name__)

# Behind by more ticks than this, the same picture is encoded again until the clock is caught up with ...
_PATIENCE = 3
# ... but for one picture in so many seconds of output.
_STILL_S = 1.0
# Sound below this (of 1) is silence: -60 dB.
_SILENCE = 0.001
# With no picture to write, sound is written at this rate.
_AUDIO_TICKS = 20
# With pictures, so much is made at once: a processor does one thing over and over for less than many things in turns.
_AT_ONCE_S = 0.2


@dataclass(frozen=True, slots=True)
class _Output:
    """The encoders and the log behind them."""

    video: VideoEncoder | None
    audio: AudioEncoder | None
    writer: CmafWriter

    def picture(self, frame: av.VideoFrame, n: int) -> None:
        if self.video:
            for packet, number, key in self.video.encode(frame, n):
                self.writer.video(packet, number, key)

    def sound(self, pcm: Samples, sample: int) -> None:
        if self.audio and len(pcm):
            for packet, at, samples in self.audio.encode(pcm, sample):
                self.writer.audio(packet, at, samples)

    def flush(self) -> None:
        for packet, at, samples in self.audio.flush() if self.audio else ():
            self.writer.audio(packet, at, samples)
        for packet, number, key in self.video.flush() if self.video else ():
            self.writer.video(packet, number, key)


class Renderer:
    """Renders what is on the stage until `end`; `run` is called once, in a thread of its own."""

    def __init__(
        self,
        spec: RecordingSpec,
        subject: ChannelSpec,
        config: RecorderConfig,
        stage: Stage,
        lease: Lease,
        window: Window,
    ) -> None:
        self.log: SegmentLog | None = None
        self.first_frame_at: float | None = None  # Unix time
        self.active_at = time.monotonic()  # when somebody was last seen or heard
        self._spec = spec
        self._subject = subject
        self._config = config
        self._stage = stage
        self._lease = lease
        self._window = window
        self._delay = config.native.playout_delay_ms / 1000
        self._end = Deadline()

    @property
    def epoch(self) -> float | None:
        """Unix seconds of media time 0, once the log knows it."""
        return self.log.epoch if self.log is not None else None

    @property
    def logs(self) -> Sequence[SegmentLog]:
        """The one log, once it is open."""
        return [self.log] if self.log is not None else []

    def end(self, at: float) -> None:
        """Write up to `at` (monotonic) and no further; the earliest of several ends counts. Any thread."""
        self._end.set(at)

    def run(self, begun: Callable[[], None]) -> None:
        """Blocks until the end; calls `begun` after the first picture.

        Raises `RecorderError`; whatever was rendered until then is in the log.
        """
        spec, part_seconds = self._spec, self._config.log.part_seconds
        codecs = codecs_of(spec.format)
        self.log = log = open_log(spec, self._lease)
        shown, heard = wanted(spec)
        encoder = self._config.encoder
        video = VideoEncoder(shown, encoder, part_seconds, codecs.video) if shown and codecs.video else None
        audio = AudioEncoder(heard, codecs.audio) if heard else None
        resumed = log.epoch is not None
        # What is shown at a moment was captured `delay` before it, and media time tells of capture.
        captured = time.time() - self._delay
        epoch = captured if log.epoch is None else log.epoch
        # A wall clock that is behind the log, because it was set back or is another node's, goes on at the log's end.
        zero = time.monotonic() - max(captured - epoch, log.end)
        writer = CmafWriter(
            log,
            video=video.track if video else None,
            audio=audio.track if audio else None,
            part_seconds=part_seconds,
            epoch=epoch,
            window=self._window,
        )
        try:
            self._render(_Output(video, audio, writer), zero, resumed, begun)
        finally:
            writer.close()

    def _render(self, output: _Output, zero: float, resumed: bool, begun: Callable[[], None]) -> None:
        shown, _ = wanted(self._spec)
        rate = shown.frame_rate if shown else _AUDIO_TICKS
        # Without sound to write it is listened to all the same: that somebody talks keeps a recording from being idle.
        audio = self._spec.audio or AudioSpec()
        samples_per_tick = audio.sample_rate / rate
        first = n = math.ceil((time.monotonic() - zero) * rate) if resumed else 0
        at_once = _ticks_at_once(rate, self._config.log.part_seconds) if shown else 1
        speaking = bool(shown) and self._subject.layout == "spotlight" and self._subject.spotlight == "speaker"
        speakers = Speakers() if speaking else None
        picture = self._new_picture(shown, speakers) if shown else None
        start = round(n * samples_per_tick)
        sound = Sound(self._stage, audio, zero=zero, start=start, delay=self._delay, speakers=speakers)
        slack = (at_once - 1) / rate  # a picture is not late before those that are made with it
        repeated, loud, decoded = 0, False, first - 1
        while True:
            # The sound up to a moment, then the picture that stands from it on.
            moment = zero + n / rate
            last = n + (first - n) % at_once  # of those that are made with this one
            self._end.wait(zero + last / rate)
            behind = int(max(0.0, time.monotonic() - moment - slack) * rate)
            ends = moment >= self._end.at and self.first_frame_at is not None
            if ends or n == last:
                position = sound.position
                heard = sound.until(round(n * samples_per_tick))
                output.sound(heard, position)
                loud = len(heard) > 0 and float(np.abs(heard).max()) > _SILENCE
            if ends:
                break
            if picture:
                starved = behind > _PATIENCE and repeated < rate * _STILL_S
                repeated = repeated + 1 if starved else 0
                if not starved and n > decoded:
                    decoded = last
                    picture.ahead([zero + m / rate for m in range(n, last + 1)])
                output.picture(picture.still if starved else picture.at(moment), n)
                self._count(behind > 0, starved)
            else:
                self._stage.advance(moment - self._delay)
            if self.first_frame_at is None:
                self.first_frame_at = time.time()
                begun()
            if loud or (picture and picture.alive):
                self.active_at = time.monotonic()
            n += 1
        output.flush()

    def _new_picture(self, video: VideoSpec, speakers: Speakers | None) -> Picture:
        return Picture(
            self._stage,
            self._subject,
            video,
            delay=self._delay,
            absent_after=self._config.native.absent_after_s,
            background=self._new_background(video),
            speakers=speakers,
        )

    def _new_background(self, video: VideoSpec) -> Planes:
        """Media is worth more than what is behind it: without the picture that was asked for it is the colour alone."""
        asked = self._subject.background
        try:
            return background_planes(asked, self._config.native.backgrounds, video.width, video.height)
        except InvalidSpec as error:
            _logger.warning("%s The colour is shown alone.", error)
            self._stage.count("background_missing")
            return background_planes(replace(asked, image=None), {}, video.width, video.height)

    def _count(self, late: bool, starved: bool) -> None:
        self._stage.count("frames")
        if late:
            self._stage.count("frames_late")
        if starved:
            self._stage.count("frames_repeated")


def _ticks_at_once(rate: int, part_seconds: float) -> int:
    """A divisor of those from keyframe to keyframe: a part of the log has all sound up to the keyframe that ends it."""
    keys = key_interval(part_seconds, rate)
    return max(n for n in range(1, max(1, int(rate * _AT_ONCE_S)) + 1) if keys % n == 0)
