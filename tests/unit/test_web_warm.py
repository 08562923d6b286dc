"""Which recordings a browser suits that was opened for nothing in particular."""

from __future__ import annotations

import pytest

from recorders.spec import ChannelSpec, PageSpec, RecordingSpec, VideoSpec
from recorders.web.warm import fits

_URL = "https://example.org/"


@pytest.mark.parametrize(
    ("page", "video", "fit"),
    [
        (PageSpec(_URL), VideoSpec(), True),
        (PageSpec(_URL), VideoSpec(640, 360, 24, 300), True),
        (PageSpec(_URL), None, True),
        (PageSpec(_URL), VideoSpec(frame_rate=60), True),
        (PageSpec(_URL, web_gl=True), VideoSpec(), False),
        (PageSpec(_URL, scale=2.0), VideoSpec(), False),
    ],
)
def test_pages(page: PageSpec, video: VideoSpec | None, fit: bool) -> None:
    assert fits(RecordingSpec("t", "/d", page, video=video)) is fit


def test_no_channel() -> None:
    assert not fits(RecordingSpec("t", "/d", ChannelSpec("app", "room", 1, "a-secret-token")))
