"""A browser's pictures as the log takes them: as they come, or transcoded; and the slate that follows on from them.

Blocking. All that comes out is numbered on the recording's own clock, in order.
"""

from __future__ import annotations

from typing import Any, Literal, Protocol, cast

import av
from av.video.codeccontext import VideoCodecContext
from av.video.reformatter import Colorspace

from recorders.config import RecorderConfig
from recorders.encoder import EncodedPicture, VideoEncoder
from recorders.errors import Lost
from recorders.log.tracks import VideoTrack
from recorders.spec import VideoSpec
from recorders.web import avcc
from recorders.web.colour import Matrix, avcc_marked, h273, vp9_marked
from recorders.web.slate import EncoderSlate, H264Slate, Slate, h264_sets, last_of


class Pictures(Protocol):
    """One attempt's pictures, of one browser after the other."""

    def described(self, data: bytes) -> None:
        """The decoder's configuration of the pictures that follow. Raises `Lost` when those before had another."""
        ...

    @property
    def track(self) -> VideoTrack | None:
        """What comes out; None as long as that is not known."""
        ...

    def add(self, n: int, key: bool, data: bytes) -> list[EncodedPicture]:
        """The browser's next picture. After another browser, the first one is a keyframe."""
        ...

    def slate(self) -> Slate | None:
        """Of the last picture; None before there is one."""
        ...

    def flush(self) -> list[EncodedPicture]:
        """What is still held."""
        ...


class Passed:
    """Pictures as the browser encodes them; VP9 needs no description.

    `matrix` is that of the pictures, whatever they are marked with.
    """

    def __init__(self, codec: Literal["h264", "vp9"], video: VideoSpec, config: RecorderConfig, matrix: Matrix) -> None:
        self._codec = codec
        self._video = video
        self._config = config
        self._matrix = matrix
        self._description = b""
        self._group: list[bytes] = []  # from the last keyframe on
        self.track = self._track(b"") if codec == "vp9" else None

    def described(self, data: bytes) -> None:
        """See `Pictures`."""
        if self._codec == "vp9":
            return
        if self._description and data != self._description:
            raise _another_way()
        self._description = data
        if self.track is None:
            slate = h264_sets(self._video, avcc.level(data), self._matrix)
            self.track = self._track(avcc.with_sets(avcc_marked(data, self._matrix), slate))

    def add(self, n: int, key: bool, data: bytes) -> list[EncodedPicture]:
        """See `Pictures`."""
        if key:
            self._group = []
        self._group.append(data)
        return [(vp9_marked(data, self._matrix) if self._codec == "vp9" and key else data, n, key)]

    def slate(self) -> Slate | None:
        """See `Pictures`."""
        picture = last_of(self._codec, self._description, self._group)
        if picture is None:
            return None
        if self._codec == "h264":
            return H264Slate(self._video, avcc.level(self._description), self._matrix, picture)
        encoder = VideoEncoder(self._video, self._config.encoder, self._config.log.part_seconds, "vp9")
        return EncoderSlate(encoder, picture, self._matrix)

    def flush(self) -> list[EncodedPicture]:
        """See `Pictures`."""
        return []

    def _track(self, extradata: bytes) -> VideoTrack:
        video = self._video
        return VideoTrack(self._codec, video.width, video.height, video.frame_rate, extradata, h273(self._matrix))


class Transcoded:
    """Pictures of a codec that the log does not take, decoded and encoded again."""

    def __init__(self, codec: str, wanted: str, video: VideoSpec, config: RecorderConfig, matrix: Matrix) -> None:
        self._colours = {"bt709": Colorspace.ITU709, "bt601": Colorspace.ITU601}[matrix]
        self._decoder = cast(VideoCodecContext, av.CodecContext.create(codec, "r"))
        self._decoder.thread_count = 1
        self._encoder = VideoEncoder(video, config.encoder, config.log.part_seconds, wanted)
        self._description = b""
        self._last: av.VideoFrame | None = None
        self.track = self._encoder.track

    def described(self, data: bytes) -> None:
        """See `Pictures`."""
        if self._description and data != self._description:
            raise _another_way()
        if not self._description:
            self._decoder.extradata = self._description = data

    def add(self, n: int, key: bool, data: bytes) -> list[EncodedPicture]:
        """See `Pictures`."""
        packet: av.Packet[Any] = av.Packet(data)
        packet.pts = n
        out: list[EncodedPicture] = []
        for picture in self._decoder.decode(packet):
            picture.colorspace = self._colours
            self._last = picture.reformat(
                format="yuv420p", src_colorspace=self._colours, dst_colorspace=Colorspace.ITU709, threads=1
            )
            out += self._encoder.encode(self._last, n)
        return out

    def slate(self) -> Slate | None:
        """See `Pictures`."""
        return EncoderSlate(self._encoder, self._last) if self._last is not None else None

    def flush(self) -> list[EncodedPicture]:
        """See `Pictures`."""
        return self._encoder.flush()


def _another_way() -> Lost:
    return Lost("The browser that went on encodes its pictures in another way than the one before.")
