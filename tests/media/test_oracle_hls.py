"""The oracle reads playlists part by part, validates them, and finds what is planted in them."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests.oracle.analyse import analyse
from tests.oracle.hls import probe_quiet, validate
from tests.oracle.planted import record


@pytest.fixture
def playlist(tmp_path: Path) -> Path:
    """A clean one of three parts."""
    return record(tmp_path / "x.m3u8", seconds=6, hls=True)


def rewrite(path: Path, change: Callable[[str], str]) -> Path:
    before = path.read_text()
    after = change(before)
    assert after != before
    path.write_text(after)
    return path


def test_a_clean_playlist(playlist: Path) -> None:
    report = analyse(playlist, users=["user1", "user2"], frame_rate=30)
    assert report.problems == ()
    assert [round(part.end - part.start, 3) for part in report.parts] == [2.0, 2.0, 2.0]
    assert report.frames == 180
    assert validate(playlist) == []
    assert probe_quiet(playlist) == ""


def test_over_http_and_without_an_end(playlist: Path) -> None:
    rewrite(playlist, lambda text: text.replace("#EXT-X-ENDLIST\n", ""))

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(playlist.parent)))
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_port}/x.m3u8"
        assert analyse(url, users=["user1", "user2"], frame_rate=30).problems == ()
        assert validate(url) == ["There is no #EXT-X-ENDLIST."]
        assert validate(url, finished=False) == []
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text.replace("#EXTM3U\n", ""), "does not start with #EXTM3U"),
        (lambda text: re.sub(r"#EXT-X-VERSION:\d", "#EXT-X-VERSION:3", text), "its tags need 6"),
        (lambda text: re.sub(r"#EXT-X-TARGETDURATION:\d", "#EXT-X-TARGETDURATION:1", text), "longer than the target"),
        (lambda text: re.sub(r"#EXT-X-MAP.*\n", "", text), "without #EXT-X-MAP"),
        (lambda text: text.replace("part_001.m4s", "part_009.m4s"), "part_009.m4s cannot be read"),
        (lambda text: re.sub(r"#EXTINF:.*\n(.*\n)part_001", r"\1part_001", text), "a segment without #EXTINF"),
        (lambda text: text.replace("part_002.m4s\n", "part_002.m4s\n#EXT-X-MEDIA-SEQUENCE:0\n"), "after the first"),
        (lambda text: re.sub(r"#EXT-X-PROGRAM-DATE-TIME.*\n", "", text), "no #EXT-X-PROGRAM-DATE-TIME"),
        (lambda text: text.replace("DATE-TIME:20", "DATE-TIME:19", 1), "where the durations lead"),
        (lambda text: text.replace("#EXT-X-INDEPENDENT-SEGMENTS\n", ""), "no #EXT-X-INDEPENDENT-SEGMENTS"),
    ],
)
def test_broken_playlists(playlist: Path, change: Callable[[str], str], said: str) -> None:
    assert any(said in problem for problem in validate(rewrite(playlist, change)))


def test_extinf_that_is_not_true(playlist: Path) -> None:
    rewrite(playlist, lambda text: text.replace("#EXTINF:2.000", "#EXTINF:1.800", 1))
    problems = analyse(playlist, frame_rate=30).problems
    assert problems == ("part_000.m4s lasts 2.000 s, EXTINF says 1.800 s.",)


def test_a_part_that_starts_again_at_zero(playlist: Path) -> None:
    part = playlist.parent / "part_002.m4s"
    data = bytearray(part.read_bytes())
    for found in re.finditer(b"tfdt\x01", bytes(data)):  # ISO/IEC 14496-12, section 8.8.12
        data[found.start() + 8 : found.start() + 16] = struct.pack(">Q", 0)
    part.write_bytes(data)
    problems = analyse(playlist, frame_rate=30).problems
    assert any("video timestamps go back" in problem for problem in problems)
    assert any("audio timestamps go back" in problem for problem in problems)
    assert any("part_002.m4s starts -4000 ms after the end of the part before" in problem for problem in problems)


def test_damaged_bytes(playlist: Path) -> None:
    part = playlist.parent / "part_001.m4s"
    data = bytearray(part.read_bytes())
    begin = data.index(b"mdat") + 4
    data[begin : begin + 4000] = bytes(4000)
    part.write_bytes(data)
    assert any("cannot be decoded" in problem for problem in analyse(playlist, frame_rate=30).problems)
    assert probe_quiet(playlist) != ""
