"""What is seen where no picture is: between cells, beside letterboxed pictures, in an empty channel."""

from __future__ import annotations

from collections.abc import Mapping

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace

from recorders.errors import InvalidSpec
from recorders.native.planes import Planes, colour_of, plain_planes, planes_of
from recorders.spec import Background

FORMATS = ("PNG", "JPEG", "WEBP")


def background_planes(background: Background, files: Mapping[str, str], width: int, height: int) -> Planes:
    """The background of a canvas of even size. A picture covers it: scaled to fill it, what sticks out cut off evenly;
    where the picture is transparent, the colour is seen.

    `files` are those that may be named. Raises `InvalidSpec` where that picture is not to be had on this machine.
    """
    if background.image is None:
        return plain_planes(colour_of(background.color), width, height)
    path = files.get(background.image)
    if path is None:
        raise InvalidSpec(f"There is no background picture {background.image}.")
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(path, formats=FORMATS) as opened:
            upright = ImageOps.exif_transpose(opened).convert("RGBA")
    except FileNotFoundError:
        raise InvalidSpec(f"The background picture {background.image} is not on this machine, at {path}.") from None
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError) as error:
        raise InvalidSpec(f"The background picture {background.image} cannot be read: {error}.") from error
    fitting = ImageOps.fit(upright, (width, height), Image.Resampling.LANCZOS)
    paper = Image.new("RGBA", (width, height), background.color)
    paper.alpha_composite(fitting)
    frame = av.VideoFrame.from_ndarray(np.asarray(paper.convert("RGB")), "rgb24").reformat(
        format="yuv420p",
        dst_colorspace=Colorspace.ITU709,
        src_color_range=ColorRange.JPEG,
        dst_color_range=ColorRange.MPEG,
    )
    y, u, v = planes_of(frame)
    return y.copy(), u.copy(), v.copy()
