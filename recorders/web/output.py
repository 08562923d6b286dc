"""What one browser after the other sends, into the segment log: sound encoded, pictures as `pictures.py` makes them.

Blocking; `Output` is used from one thread at a time.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from recorders.config import RecorderConfig
from recorders.encoder import AudioEncoder, EncodedPicture
from recorders.errors import Lost
from recorders.formats import codecs_of, wanted
from recorders.log.cmaf import CmafWriter
from recorders.log.segment_log import SegmentLog
from recorders.log.tracks import VideoTrack, key_interval
from recorders.log.window import Window
from recorders.spec import AudioSpec, RecordingSpec, VideoSpec
from recorders.web.clock import Clock
from recorders.web.pictures import Passed, Pictures, Transcoded
from recorders.web.raw import Raw
from recorders.web.slate import Slate
from recorders.web.sound import Sound

if TYPE_CHECKING:
    from recorders.web.session import Beginning

# Sound that has not come this long after its time is taken for silence.
_SOUND_LATE_S = 1.0
# This far behind, what shows nothing new is not encoded ...
_LATE_S = 3.0
# ... where that takes more of the time that it lasts than this: a busy machine could not catch up.
_DEAR = 0.5


class Output:
    """One attempt's pictures and sound into its log, from `begun` on; `clock` is the attempt's.

    Numbers of pictures are `_next` and `_first` since the recording's epoch; a later attempt's go on where the wall
    clock says, or at the log's end if that is behind it, and so do those of a later browser, by `clock`: what is
    missing before them is filled with the slate and silence.
    """

    def __init__(
        self,
        spec: RecordingSpec,
        config: RecorderConfig,
        log: SegmentLog,
        window: Window,
        begun: Beginning,
        clock: Clock,
    ) -> None:
        self._clock = clock
        self._log = log
        self._window = window
        self._config = config
        video, audio = wanted(spec)
        self._video, self._audio = video or VideoSpec(), audio or AudioSpec()
        self._rate = self._video.frame_rate
        self._key_every = key_interval(config.log.part_seconds, self._rate)
        self._epoch = begun.at if log.epoch is None else log.epoch
        self._zero = min(self._epoch, begun.at - math.ceil(round(log.end * self._rate, 3)) / self._rate)
        self._first = self._next = self._number(begun.at)
        self._sounded = self._sample(self._first)  # the first sample that is not encoded yet
        self._first_sample = self._sounded
        codecs = codecs_of(spec.format)
        self._codec = begun.codec
        self._encoder = AudioEncoder(audio, codecs.audio) if audio else None
        self._sound = Sound(self._audio.sample_rate, self._audio.channels)
        self._pending: list[tuple[bytes, int, int]] = []  # sound that is ready before the writer is
        self._writer: CmafWriter | None = None
        self._pictures: Pictures | None = None
        self._closed = False
        self._told = -1  # the browser's last number
        self._why = ""  # of the slate before the browser's next keyframe
        self._slate: Slate | None = None
        self._slate_from = 0
        self.filled = 0
        """How many pictures were of the slate."""
        self.left_out = 0
        """How many pictures of browsers came when the slate was there already, or when there was no time for them."""
        self._late_before = 0  # of the browsers before
        if begun.codec is None or video is None or codecs.video is None:
            self._open(None)
        else:
            if begun.ring is not None:
                self._pictures = Raw(codecs.video, video, config, begun.matrix, begun.ring)
            elif begun.codec == codecs.video:
                self._pictures = Passed(codecs.video, video, config, begun.matrix)
            else:
                self._pictures = Transcoded(begun.codec, codecs.video, video, config, begun.matrix)
            if self._pictures.track is not None:
                self._open(self._pictures.track)

    @property
    def audio_late(self) -> int:
        """How many blocks of sound came too late to be recorded, or only in part."""
        return self._late_before + self._sound.late

    def go_on(self, begun: Beginning, why: str) -> None:
        """What comes from now on is another browser's, and is put in its place by the attempt's."""
        if begun.codec != self._codec:
            raise Lost(f"The browser that went on encodes {begun.codec} and not {self._codec}.")
        if isinstance(self._pictures, Raw) and begun.ring is not None:
            self._pictures.ring = begun.ring
        first = self._number(begun.at)
        if self._pictures is None:
            self._fill(first, why)
        self._silence(self._sample(first))
        self._first, self._first_sample = first, self._sample(first)
        self._late_before = self.audio_late
        self._sound = Sound(self._audio.sample_rate, self._audio.channels, max(0, self._sounded - self._first_sample))
        self._why, self._told = why, -1

    def slate(self, until: float, why: str) -> None:
        """There has been no browser up to this Unix time, and that is why."""
        self._fill(self._number(until), why)
        self._silence(self._sample(self._number(until) if self._pictures is None else self._next))

    def description(self, data: bytes) -> None:
        """The decoder's configuration of the pictures that follow."""
        if self._pictures is not None:
            self._pictures.described(data)
            if self._writer is None and self._pictures.track is not None:
                self._open(self._pictures.track)

    def picture(self, n: int, key: bool, data: bytes) -> None:
        """Picture number `n` since the browser's beginning, encoded or in the ring; see `pictures.Pictures`."""
        if self._writer is None or self._pictures is None:
            raise Lost("The browser encodes pictures without saying how.")
        number = self._first + n
        again, self._told = n - self._told - 1, n  # slots before it that show the one before
        raw = self._pictures if isinstance(self._pictures, Raw) else None
        if self._why:
            if number < self._next or (raw is None and not key):
                if raw is not None and data:
                    raw.see(number, data)
                self.left_out += again + 1
                return
            # What a browser has shown before, it shows still; encoded, that would not be decodable.
            first = max(self._next, number - again) if raw is not None and again < n else number
            self.left_out += again - (number - first)
            self._fill(first, self._why)
            self._why, self._slate = "", None
        if raw is not None:
            self._catch_up(raw, number - 1 if data else number)
        self._put(self._pictures.add(number, key, data))
        self._next = number + 1

    def sound(self, seconds: float, sample_rate: int, channels: int, planes: bytes) -> None:
        """Planes of int16, `seconds` after the browser's beginning."""
        if self._encoder is None:
            return
        samples = np.frombuffer(planes, np.int16).reshape(channels, -1) * np.float32(1 / 32768)
        self._encode(self._sound.add(seconds, sample_rate, samples))

    def elapsed(self, seconds: float) -> None:
        """So much time has passed since the browser's beginning: sound that should be here by now is silence."""
        self._encode(self._sound.silence(round((seconds - _SOUND_LATE_S) * self._audio.sample_rate)))

    def close(self, seconds: float | None = None) -> None:
        """Close the last part; sound ends with the last picture, or `seconds` after the browser's beginning without
        pictures. Idempotent."""
        if self._writer is None or self._closed:
            return
        self._closed = True
        if self._pictures is not None:
            self._put(self._pictures.flush())
            self._silence(self._sample(self._next))
        elif seconds is not None:
            self._encode(self._sound.silence(round(seconds * self._audio.sample_rate)))
        if self._encoder is not None:
            self._mux(self._encoder.flush())
        self._writer.close()

    def _number(self, unix: float) -> int:
        return round((unix - self._zero) * self._rate)

    def _sample(self, picture: int) -> int:
        return round(picture * self._audio.sample_rate / self._rate)

    def _number_of(self, sample: int) -> int:
        return round(sample * self._rate / self._audio.sample_rate)

    def _fill(self, end: int, why: str) -> None:
        """The slate up to a picture."""
        begin = self._next if self._pictures is not None else self._number_of(self._sounded)
        if self._writer is None or end <= begin:
            return
        if self._pictures is not None:
            if self._slate is None:
                self._slate, self._slate_from = self._pictures.slate(), begin
            if self._slate is None:
                return
        self._writer.slate(begin / self._rate, end / self._rate, why)
        if self._slate is not None:
            for n in range(begin, end):
                self._put([self._slate.again(n, (n - self._slate_from) % self._key_every == 0)])
            self.filled += end - begin
        self._next = end

    def _catch_up(self, raw: Raw, until: int) -> None:
        """While it is late, what shows nothing new up to a picture is encoded by the second, or left out if dear."""
        while raw.next is not None and raw.next <= until and self._late(until) > _LATE_S:
            if raw.again_s * self._rate > _DEAR:
                self.left_out += raw.skip(until)
            else:
                self._put(raw.add(min(until, raw.next + self._rate - 1), False, b""))

    def _late(self, number: int) -> float:
        return self._clock.now() - self._zero - number / self._rate

    def _open(self, video: VideoTrack | None) -> None:
        self._writer = CmafWriter(
            self._log,
            video=video,
            audio=self._encoder.track if self._encoder else None,
            part_seconds=self._config.log.part_seconds,
            epoch=self._epoch,
            window=self._window,
        )
        pending, self._pending = self._pending, []
        self._mux(pending)

    def _put(self, pictures: list[EncodedPicture]) -> None:
        assert self._writer is not None
        for data, n, key in pictures:
            self._writer.video(data, n, key)

    def _silence(self, until: int) -> None:
        """Up to a sample since the epoch."""
        self._encode(self._sound.silence(until - self._first_sample))

    def _encode(self, samples: Any) -> None:
        if self._encoder is not None and len(samples):
            self._mux(self._encoder.encode(samples, self._sounded))
            self._sounded += len(samples)

    def _mux(self, packets: list[tuple[bytes, int, int]]) -> None:
        if self._writer is None:
            self._pending += packets
            return
        for data, sample, samples in packets:
            self._writer.audio(data, sample, samples)
