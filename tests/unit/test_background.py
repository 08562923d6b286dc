"""Backgrounds by their pixels: colours, and pictures that cover the canvas."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from recorders.errors import InvalidSpec
from recorders.native.background import background_planes
from recorders.native.planes import BLACK, Planes, colour_of
from recorders.spec import Background


def rgb(planes: Planes) -> np.ndarray:
    """As a player shows them."""
    height, width = planes[0].shape
    frame = av.VideoFrame.from_ndarray(
        np.concatenate([plane.reshape(-1) for plane in planes]).reshape(height * 3 // 2, width), "yuv420p"
    )
    frame.colorspace, frame.color_range = 1, 1
    return frame.reformat(format="rgb24", src_colorspace="ITU709", dst_color_range=2).to_ndarray()


def picture(path: Path, colours: list[str], size: tuple[int, int] = (400, 100), fmt: str = "PNG") -> dict[str, str]:
    """Vertical bars; the settings that name it."""
    image = Image.new("RGBA", size)
    for i, colour in enumerate(colours):
        image.paste(colour, (i * size[0] // len(colours), 0, (i + 1) * size[0] // len(colours), size[1]))
    image.convert("RGB" if fmt == "JPEG" else "RGBA").save(path, fmt)
    return {"office": str(path)}


@pytest.mark.parametrize("colour", ["#000000", "#ffffff", "#ff0000", "#00FF00", "#0000ff", "#204060", "#c0ffee"])
def test_colours_come_out_as_they_were_asked_for(colour: str) -> None:
    shown = rgb(background_planes(Background(colour), {}, 64, 36))
    wanted = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    assert np.abs(shown.astype(int) - wanted).max() <= 3


def test_black_is_the_default() -> None:
    assert tuple(int(plane[0, 0]) for plane in background_planes(Background(), {}, 4, 4)) == BLACK
    assert colour_of("#000000") == BLACK
    assert colour_of("#ffffff") == (235, 128, 128)


@pytest.mark.parametrize("fmt", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("size", [(160, 90), (90, 160)])
def test_a_picture_covers_the_canvas_and_keeps_its_shape(tmp_path: Path, fmt: str, size: tuple[int, int]) -> None:
    files = picture(tmp_path / "x", ["#ff0000", "#00ff00", "#00ff00", "#0000ff"], fmt=fmt)  # 4:1, green in the middle
    shown = rgb(background_planes(Background("#ffffff", "office"), files, *size)).astype(int)
    assert shown.shape == (size[1], size[0], 3)
    middle = shown[:, size[0] // 4 : -size[0] // 4]
    assert np.abs(middle - (0, 255, 0)).mean() < 12  # 16:9 of a 4:1 picture: its middle 44 %


def test_where_a_picture_is_transparent_the_colour_is_seen(tmp_path: Path) -> None:
    files = picture(tmp_path / "x.png", ["#ff0000ff", "#00000000"], size=(320, 180))
    shown = rgb(background_planes(Background("#2040c0", "office"), files, 160, 90)).astype(int)
    assert np.abs(shown[:, :70] - (255, 0, 0)).max() < 8
    assert np.abs(shown[:, 90:] - (0x20, 0x40, 0xC0)).max() < 8


def test_pictures_that_are_not_to_be_had(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "p.gif").write_bytes(b"GIF89a" + bytes(20))
    files = {"gone": str(tmp_path / "gone.png"), "text": str(tmp_path / "text.png"), "gif": str(tmp_path / "p.gif")}
    with pytest.raises(InvalidSpec, match="no background picture other"):
        background_planes(Background(image="other"), files, 4, 4)
    with pytest.raises(InvalidSpec, match=r"gone is not on this machine, at /.*gone\.png"):
        background_planes(Background(image="gone"), files, 4, 4)
    for name in ("text", "gif"):
        with pytest.raises(InvalidSpec, match=f"{name} cannot be read"):
            background_planes(Background(image=name), files, 4, 4)
