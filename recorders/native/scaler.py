"""A picture of a participant, of any size and format, as it lies in its cell."""

from __future__ import annotations

import av
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

from recorders.native.halve import Halver, may_halve
from recorders.native.planes import Planes, planes_of

# The canvas is BT.709 in limited range, as the encoder says of it (`recorders.encoder`).
BT709, _BT601 = 1, (5, 6)  # AVColorSpace
# What else swscale converts from: GBR, FCC, SMPTE 240M, BT.2020 with non-constant luminance.
_CONVERTED = (0, 4, 7, 9)
# A picture that does not say, or names another, has BT.601 below so many lines and BT.709 from there on, as players
# assume.
_HD_HEIGHT = 720


class Scaler:
    """Scales the pictures of one cell. Not thread-safe."""

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()
        self._halvers: list[Halver] = []  # one after the other
        self._made_for = (0, 0, 0)

    def scaled(self, picture: av.VideoFrame, width: int, height: int) -> Planes:
        """In BT.709 of limited range; to be read before the next call.

        Raises FFmpeg's errors, and `ValueError` for a format that FFmpeg does not convert.
        """
        matrix, colours = _matrix_of(picture), _range_of(picture)
        if picture.format.name == "yuv420p" and colours == ColorRange.MPEG and matrix == Colorspace.ITU709:
            halvings = _halvings(picture.width, picture.height, width, height)
            if halvings is not None:
                return self._halved(picture, halvings)
        frame = self._reformatter.reformat(
            picture,
            width,
            height,
            "yuv420p",
            src_colorspace=matrix,
            dst_colorspace=Colorspace.ITU709,
            interpolation=Interpolation.BILINEAR,  # what looks right for least, and is encoded best
            src_color_range=colours,
            dst_color_range=ColorRange.MPEG,
            threads=1,
        )
        return planes_of(frame)

    def _halved(self, picture: av.VideoFrame, times: int) -> Planes:
        width, height = picture.width, picture.height
        if (width, height, times) != self._made_for:
            self._made_for = width, height, times
            self._halvers = [Halver(width >> n, height >> n) for n in range(times)]
        planes = planes_of(picture)
        for halver in self._halvers:
            planes = halver.halved(planes)
        return planes


def _halvings(width: int, height: int, to_width: int, to_height: int) -> int | None:
    """How often a picture is to be halved to have that size; None when that is not the way to it."""
    times = 0
    while (width, height) != (to_width, to_height):
        if width < 2 * to_width or not may_halve(width, height):
            return None
        width, height, times = width // 2, height // 2, times + 1
    return times


def fitted(width: int, height: int, cell_width: int, cell_height: int) -> tuple[int, int]:
    """The largest even size of the same aspect inside an even cell; at least 2 x 2."""
    if width * cell_height >= height * cell_width:
        return cell_width, _even_at_least_2(cell_width * height / width, cell_height)
    return _even_at_least_2(cell_height * width / height, cell_width), cell_height


def _even_at_least_2(value: float, limit: int) -> int:
    return min(limit, max(2, 2 * round(value / 2)))


def _matrix_of(picture: av.VideoFrame) -> Colorspace | None:
    """None where the picture's own tag serves."""
    if picture.format.is_rgb:
        return None
    if picture.colorspace == BT709:
        return Colorspace.ITU709
    if picture.colorspace in _BT601:
        return Colorspace.ITU601
    if picture.colorspace in _CONVERTED:
        return None
    return Colorspace.ITU601 if picture.height < _HD_HEIGHT else Colorspace.ITU709


def _range_of(picture: av.VideoFrame) -> ColorRange:
    if picture.color_range == ColorRange.JPEG or picture.format.name.startswith("yuvj"):
        return ColorRange.JPEG
    if picture.format.is_rgb:
        return ColorRange.JPEG
    return ColorRange.MPEG
