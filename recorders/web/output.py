"""What the browser sends, into the segment log: sound encoded, pictures as they come or transcoded.

Blocking; `Output` is used from one thread at a time.
"""

from __future__ import annotations

from typing import Any, Literal

import av
import numpy as np
from av.video.codeccontext import VideoCodecContext
from av.video.reformatter import Colorspace

from recorders.config import RecorderConfig
from recorders.encoder import AudioEncoder, EncodedPicture, VideoEncoder
from recorders.errors import Lost
from recorders.formats import codecs_of, wanted
from recorders.log.cmaf import CmafWriter
from recorders.log.segment_log import SegmentLog
from recorders.log.tracks import VideoTrack
from recorders.log.window import Window
from recorders.spec import AudioSpec, RecordingSpec, VideoSpec
from recorders.web.colour import Matrix, avcc_marked, h273, vp9_marked
from recorders.web.sound import Sound

# Sound that has not come this long after its time is taken for silence.
_SOUND_LATE_S = 1.0


class Transcoder:
    """Pictures of a codec that the log does not take, decoded and encoded again."""

    def __init__(self, codec: str, encoder: VideoEncoder, matrix: Matrix) -> None:
        self._colours = {"bt709": Colorspace.ITU709, "bt601": Colorspace.ITU601}[matrix]
        self._decoder: VideoCodecContext = av.CodecContext.create(codec, "r")  # type: ignore[assignment]
        self._decoder.thread_count = 1
        self._encoder = encoder

    def picture(self, n: int, data: bytes) -> list[EncodedPicture]:
        packet = av.Packet(data)
        packet.pts = n
        out: list[EncodedPicture] = []
        for picture in self._decoder.decode(packet):
            picture.colorspace = self._colours
            same = picture.reformat(
                format="yuv420p", src_colorspace=self._colours, dst_colorspace=Colorspace.ITU709, threads=1
            )
            out += self._encoder.encode(same, n)
        return out

    def flush(self) -> list[EncodedPicture]:
        return self._encoder.flush()


class Output:
    """One attempt's pictures and sound into its log.

    `began` is the Unix time of the beginning, to which everything that comes counts; a later attempt's numbers
    go on where the wall clock says. `codec` is what the browser encodes with (FFmpeg's name), None without pictures;
    `matrix` is that of its pictures, whatever they are marked with.
    """

    def __init__(
        self,
        spec: RecordingSpec,
        config: RecorderConfig,
        log: SegmentLog,
        window: Window,
        began: float,
        codec: str | None,
        matrix: Matrix,
    ) -> None:
        self._matrix = matrix
        self._log = log
        self._window = window
        self._part_seconds = config.log.part_seconds
        video, audio = wanted(spec)
        self._video, self._audio = video or VideoSpec(), audio or AudioSpec()
        self._rate = self._video.frame_rate
        self._epoch = began if log.epoch is None else log.epoch
        self._first = max(0, round((began - self._epoch) * self._rate))
        self._first_sample = round(self._first * self._audio.sample_rate / self._rate)
        codecs = codecs_of(spec.format)
        self._encoder = AudioEncoder(audio, codecs.audio) if audio else None
        self._sound = Sound(self._audio.sample_rate, self._audio.channels)
        self._pending: list[tuple[bytes, int, int]] = []  # sound that is ready before the writer is
        self._writer: CmafWriter | None = None
        self._transcoder: Transcoder | None = None
        self._pictures = 0
        self._needs_description = False
        self._vp9 = codec == "vp9"
        if codec is None or video is None or codecs.video is None:
            self._open(None)
        elif codec != codecs.video:
            encoder = VideoEncoder(video, config.encoder, config.log.part_seconds, codecs.video)
            self._transcoder = Transcoder(codec, encoder, matrix)
            self._open(encoder.track)
        elif codec == "h264":
            self._needs_description = True
        else:
            self._open(self._track(codec, b""))

    def description(self, data: bytes) -> None:
        """The decoder's configuration of the pictures that follow."""
        if self._needs_description:
            self._needs_description = False
            self._open(self._track("h264", avcc_marked(data, self._matrix)))

    def picture(self, n: int, key: bool, data: bytes) -> None:
        """Encoded picture number `n` since the beginning."""
        if self._writer is None:
            raise Lost("The browser encodes pictures without saying how.")
        self._pictures = n + 1
        if self._transcoder is not None:
            self._put(self._transcoder.picture(self._first + n, data))
        else:
            self._writer.video(vp9_marked(data, self._matrix) if self._vp9 and key else data, self._first + n, key)

    def sound(self, seconds: float, sample_rate: int, channels: int, planes: bytes) -> None:
        """Planes of int16."""
        if self._encoder is None:
            return
        samples = np.frombuffer(planes, np.int16).reshape(channels, -1) * np.float32(1 / 32768)
        self._encode(self._sound.add(seconds, sample_rate, samples))

    def elapsed(self, seconds: float) -> None:
        """So much time has passed since the beginning: sound that should be here by now is silence."""
        self._encode(self._sound.silence(round((seconds - _SOUND_LATE_S) * self._audio.sample_rate)))

    def close(self, seconds: float | None = None) -> None:
        """Close the last part; sound ends with the last picture, or at `seconds` without pictures. Idempotent."""
        if self._writer is None:
            return
        if self._transcoder is not None:
            self._put(self._transcoder.flush())
        length = self._pictures / self._rate if self._pictures else seconds
        if length is not None:
            self._encode(self._sound.silence(round(length * self._audio.sample_rate)))
        if self._encoder is not None:
            self._mux(self._encoder.flush())
        self._writer.close()
        self._writer = None

    def _track(self, codec: Literal["h264", "vp9"], extradata: bytes) -> VideoTrack:
        video = self._video
        return VideoTrack(codec, video.width, video.height, video.frame_rate, extradata, h273(self._matrix))

    def _open(self, video: VideoTrack | None) -> None:
        self._writer = CmafWriter(
            self._log,
            video=video,
            audio=self._encoder.track if self._encoder else None,
            part_seconds=self._part_seconds,
            epoch=self._epoch,
            window=self._window,
        )
        pending, self._pending = self._pending, []
        self._mux(pending)

    def _put(self, pictures: list[EncodedPicture]) -> None:
        assert self._writer is not None
        for data, n, key in pictures:
            self._writer.video(data, n, key)

    def _encode(self, samples: Any) -> None:
        if self._encoder is not None and len(samples):
            self._mux(self._encoder.encode(samples, self._first_sample + self._sound.length - len(samples)))

    def _mux(self, packets: list[tuple[bytes, int, int]]) -> None:
        if self._writer is None:
            self._pending += packets
            return
        for data, sample, samples in packets:
            self._writer.audio(data, sample, samples)
