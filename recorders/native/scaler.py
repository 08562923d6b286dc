"""A picture of a participant, of any size and format, as it lies in its cell."""

from __future__ import annotations

import av
import cv2
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

from recorders.native.planes import Planes, copy, planes_of

# Pictures are scaled in a thread of ours: OpenCV would start others.
cv2.setNumThreads(1)

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

    def scale(self, picture: av.VideoFrame, out: Planes) -> None:
        """To the size of `out`, in BT.709 of limited range.

        Raises FFmpeg's errors, and `ValueError` for a format that FFmpeg does not convert; then `out` is as it was.
        """
        height, width = out[0].shape
        matrix, colours = _matrix_of(picture), _range_of(picture)
        if picture.format.name == "yuv420p" and colours == ColorRange.MPEG and matrix == Colorspace.ITU709:
            if (picture.width, picture.height) == (width, height):
                copy(planes_of(picture), out)
                return
            if (picture.width, picture.height) == (2 * width, 2 * height):
                _halve(planes_of(picture), out)
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


def _halve(planes: Planes, out: Planes) -> None:
    """As 720p is in a quarter of 720p: each pixel is the mean of four, for a third of what swscale takes."""
    for plane, half in zip(planes, out, strict=True):
        height, width = half.shape
        cv2.resize(plane, (width, height), dst=half, interpolation=cv2.INTER_AREA)


def empty_picture(width: int, height: int) -> av.VideoFrame:
    """Of even size, of whatever was in the memory, in BT.709 of limited range."""
    picture = av.VideoFrame(width, height, "yuv420p")
    picture.colorspace, picture.color_range = BT709, ColorRange.MPEG
    return picture


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
