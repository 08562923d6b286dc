"""A picture of a participant, of any size and format, as it lies in its cell."""

from __future__ import annotations

import av
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

from recorders.native.halve import Halver, may_halve
from recorders.native.planes import Planes, copy, empty_planes, planes_of

# The canvas is BT.709 in limited range, as the encoder says of it (`recorders.encoder`).
BT709, _BT601 = 1, (5, 6)  # AVColorSpace
# What else swscale converts from: GBR, FCC, SMPTE 240M, BT.2020 with non-constant luminance.
_CONVERTED = (0, 4, 7, 9)
# A picture that does not say, or names another, has BT.601 below so many lines and BT.709 from there on, as players
# assume.
_HD_HEIGHT = 720


class Scaler:
    """Scales the pictures of one cell. Not thread-safe; nor are those that share a `Halver`."""

    def __init__(self, halver: Halver) -> None:
        self._halver = halver
        self._reformatter = VideoReformatter()
        self._between: list[Planes] = []  # what is halved more than once, biggest first

    def scale(self, picture: av.VideoFrame, out: Planes) -> None:
        """To the size of `out`, in BT.709 of limited range.

        Raises FFmpeg's errors, and `ValueError` for a format that FFmpeg does not convert; then `out` is as it was.
        """
        height, width = out[0].shape
        matrix, colours = _matrix_of(picture), _range_of(picture)
        if picture.format.name == "yuv420p" and colours == ColorRange.MPEG and matrix == Colorspace.ITU709:
            halvings = _halvings(picture.width, picture.height, width, height)
            if halvings is not None:
                self._halve(planes_of(picture), out, halvings)
                return
        shrunk = width < picture.width and height < picture.height
        frame = self._reformatter.reformat(
            picture,
            width,
            height,
            "yuv420p",
            src_colorspace=matrix,
            dst_colorspace=Colorspace.ITU709,
            interpolation=Interpolation.AREA if shrunk else Interpolation.BILINEAR,  # what looks right for least
            src_color_range=colours,
            dst_color_range=ColorRange.MPEG,
            threads=1,
        )
        copy(planes_of(frame), out)

    def _halve(self, planes: Planes, out: Planes, times: int) -> None:
        if not times:
            copy(planes, out)
            return
        height, width = planes[0].shape
        sizes = [(height >> n, width >> n) for n in range(1, times)]
        if sizes != [between[0].shape for between in self._between]:
            self._between = [empty_planes(width, height) for height, width in sizes]
        for half in (*self._between, out):
            self._halver.halve(planes, half)
            planes = half


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
