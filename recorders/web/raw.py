"""A browser's pictures as they are, encoded here.

A group (keyframe to keyframe) that showed one picture all through is sent again, byte for byte, as long as the page
stands still; then comes a keyframe, for the encoder does not know what was shown last.
"""

from __future__ import annotations

import struct
import time

import av
from av.video.reformatter import VideoReformatter

from recorders.config import RecorderConfig
from recorders.encoder import EncodedPicture, VideoEncoder
from recorders.errors import Lost
from recorders.formats import VideoCodec
from recorders.log.tracks import key_interval
from recorders.spec import VideoSpec
from recorders.web import hugepages
from recorders.web.colour import Matrix, h273
from recorders.web.ring import Ring

# The first group that stands still has not yet the encoder's full quality.
_REFINED = 2
# Of how many pictures "lately" is.
_LATELY = 10
_FORMATS = ("yuv420p", "nv12")


class Raw:
    """See `pictures.Pictures`. `data` of a picture is its place in `ring`; without, the last one is shown up to it."""

    def __init__(
        self, wanted: VideoCodec, video: VideoSpec, config: RecorderConfig, matrix: Matrix, ring: Ring
    ) -> None:
        hugepages.decline()
        settings = config.encoder.model_copy(update={"zerolatency": True})
        part = config.log.part_seconds
        self._encoder = VideoEncoder(video, settings, part, wanted, matrix=h273(matrix))
        self._key_every = key_interval(part, video.frame_rate)
        self._video = video
        self._reformatter = VideoReformatter()
        self._last: av.VideoFrame | None = None
        self._next = 0
        self.again_s = 0.0
        """How long it takes to make the last picture once more, lately."""
        self._group: list[tuple[bytes, bool]] = []  # what was encoded for the present group
        self._begun = 0  # its first number
        self._still = False  # one picture all through the group so far
        self._still_groups = 0  # those before it of which that is true, in a row
        self._replaying = False
        self.ring = ring
        self.track = self._encoder.track

    @property
    def next(self) -> int | None:
        """The first number that is still to come; None before there is a picture."""
        return None if self._last is None else self._next

    def described(self, data: bytes) -> None:
        """See `Pictures`."""

    def add(self, n: int, key: bool, data: bytes) -> list[EncodedPicture]:
        """See `Pictures`. What is missing before `n` is the last picture."""
        if self._last is None and not data:
            return []
        if self._last is None:
            self._next = self._begun = n
        out = [self._again(k) for k in range(self._next, n if data else n + 1)]
        if data:
            self._take(data)
            out.append(self._put(n, moved=True))
        return out

    def see(self, n: int, data: bytes) -> None:
        """Picture `n` is left out, and shown by what follows."""
        if self._last is None:
            self._next = n
        self._take(data)
        self._group, self._replaying = [], False

    def skip(self, n: int) -> int:
        """Leave out what is missing up to `n`, for want of time to encode it; how many pictures that is."""
        if self._last is None or n < self._next:
            return 0
        skipped, self._next = n + 1 - self._next, n + 1
        self._took(0.0)  # so that it is tried again
        self._group, self._replaying = [], False
        return skipped

    def slate(self) -> RawSlate | None:
        """See `Pictures`."""
        return RawSlate(self) if self._last is not None else None

    def flush(self) -> list[EncodedPicture]:
        """See `Pictures`."""
        return self._encoder.flush()

    def _again(self, n: int) -> EncodedPicture:
        return self._put(n, moved=False)

    def _put(self, n: int, *, moved: bool, key: bool = False) -> EncodedPicture:
        ends = self._replaying and moved
        begins = key or ends or not self._group or n - self._begun == self._key_every
        if begins:
            whole = self._still and len(self._group) == self._key_every
            self._still_groups = self._still_groups + 1 if whole else 0
            self._replaying = self._still_groups >= _REFINED and not moved and not key
            self._begun = n
            if not self._replaying:
                self._group = []
        self._still = begins or (self._still and not moved)
        self._next = n + 1
        if self._replaying:
            self._took(0.0)
            return self._group[n - self._begun][0], n, self._group[n - self._begun][1]
        assert self._last is not None
        begun = time.perf_counter()
        ((data, _, is_key),) = self._encoder.encode(self._last, n, begins)
        if not moved:
            self._took(time.perf_counter() - begun)
        self._group.append((data, is_key))
        return data, n, is_key

    def _took(self, seconds: float) -> None:
        """The last picture was made once more in that time."""
        self.again_s += (seconds - self.again_s) / _LATELY

    def _take(self, data: bytes) -> None:
        """The picture of this place becomes the last one."""
        slot, width, height, format = struct.unpack_from("<IHHB", data)
        if format >= len(_FORMATS):
            raise Lost("The browser's pictures are of a format that is not known here.")
        planes = self.ring.planes(slot, width, height)
        name, wanted = _FORMATS[format], (self._video.width, self._video.height)
        picture = av.VideoFrame.from_numpy_buffer(planes, format=name)
        if (name, (width, height)) != ("yuv420p", wanted):
            picture = self._reformatter.reformat(picture, *wanted, "yuv420p", threads=1)
        # Where it is, the last one is until now: it may be shown again.
        self._last = picture
        self.ring.release_older()


class RawSlate:
    """See `slate.Slate`: the last picture, by the same encoder."""

    def __init__(self, pictures: Raw) -> None:
        self._pictures = pictures

    def again(self, n: int, key: bool) -> EncodedPicture:
        """See `Slate`."""
        return self._pictures._put(n, moved=False, key=key)
