"""Media URLs: what FFmpeg opens, over real sockets, as the sink is told of it."""

from __future__ import annotations

import asyncio
import io
import socket
import struct
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from itertools import pairwise, zip_longest
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import pytest

from recorders.config import MediaConfig
from recorders.errors import Lost, Unreachable
from recorders.native.feed import VideoFeed
from recorders.native.mixer import Mixer
from recorders.sources import media_player
from recorders.sources.base import EncodedFrame, Kind
from recorders.sources.media import MediaSource
from recorders.spec import ChannelSpec
from tests.unit.sinks import EncodedSink

RATE = 25  # pictures a second
SIZE = (64, 48)
_SOUND = 0x101  # FFmpeg's PID of the second stream
_HELD_UP_S = 1.0  # threads are, on a busy machine


class Heard(EncodedSink):
    """Keeps it all by participants, pictures with the time at which they came."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[str] = []
        self.over = False  # what comes now is not looked at
        self.pictures: dict[str, list[tuple[float, EncodedFrame]]] = defaultdict(list)
        self.sounds: dict[str, list[tuple[float, av.AudioFrame]]] = defaultdict(list)

    def joined(self, uid: str, name: str = "") -> None:
        self.events.append("joined")

    def left(self, uid: str) -> None:
        if not self.over:
            self.events.append("left")

    def encoded(self, uid: str, kind: Kind, frame: EncodedFrame) -> None:
        assert kind == "video"
        self.pictures[uid].append((time.monotonic(), frame))

    def audio(self, uid: str, frame: av.AudioFrame, t: float) -> None:
        self.sounds[uid].append((t, frame))


def source(*urls: str, **more: Any) -> MediaSource:
    config = {"urls": {"room": {f"user{i}": url for i, url in enumerate(urls)}}, "open_timeout_s": 3, **more}
    return MediaSource(ChannelSpec("app", "room", 1, "secret-token"), MediaConfig.model_validate(config))


def played(*urls: str, until: Callable[[Heard], bool] | None = None, **config: Any) -> Heard:
    """What comes of them until their end, or until then."""
    sink = Heard()

    async def play() -> None:
        async with asyncio.timeout(20):
            task = asyncio.create_task(source(*urls, **config).run(sink))
            if until is None:
                await task
                return
            while not (await asyncio.wait([task], timeout=0.02))[0] and not until(sink):
                pass
            sink.over = True
            assert task.cancel(), task.exception()

    asyncio.run(play())
    return sink


def made(
    kind: str,
    seconds: float,
    *,
    base: float = 0.0,
    sound: str = "",
    rate: int = 48000,
    layout: str = "",
    b_frames: int = 0,
) -> bytes:
    """Pictures and sound (a tone of amplitude 0.25), or sound alone where a `layout` is given; times from `base` on."""
    file = io.BytesIO()
    with av.open(file, "w", format=kind) as output:
        output.metadata["title"] = "a title"
        video = None if layout else cast(Any, output.add_stream("libx264", rate=RATE))
        audio = cast(Any, output.add_stream(sound, rate=rate)) if sound else None
        if audio:
            audio.codec_context.layout = layout or "mono"
        if video:
            video.width, video.height, video.pix_fmt = *SIZE, "yuv420p"
            video.options = {"preset": "ultrafast", "bf": str(b_frames), "x264-params": f"keyint={RATE}"}
            if not b_frames:
                video.options["tune"] = "zerolatency"
        for n in range(round(seconds * RATE)):
            if video:
                luma = np.full((SIZE[1] * 3 // 2, SIZE[0]), 128, np.uint8)
                luma[: SIZE[1] // 2] = 30 + n % 100
                picture = av.VideoFrame.from_ndarray(luma, "yuv420p")
                picture.pts, picture.time_base = round(base * RATE) + n, Fraction(1, RATE)
                output.mux(video.encode(picture))
            if audio:
                output.mux([packet for frame in _tone(audio, n, base) for packet in audio.encode(frame)])
        for stream in (video, audio):
            if stream:
                output.mux(stream.encode(None))
    return file.getvalue()


def _tone(audio: Any, n: int, base: float) -> Iterator[av.AudioFrame]:
    """The sound of picture `n`."""
    context = audio.codec_context
    samples = context.sample_rate // RATE
    wave = np.sin(np.arange(n * samples, (n + 1) * samples) * 2 * np.pi * 440 / context.sample_rate) * 8192
    pcm = np.repeat(wave.astype(np.int16), context.layout.nb_channels).reshape(1, -1)
    frame = av.AudioFrame.from_ndarray(pcm, "s16", context.layout.name)
    frame.sample_rate, frame.time_base = context.sample_rate, Fraction(1, context.sample_rate)
    frame.pts = round(base * context.sample_rate) + n * samples
    resampler = av.AudioResampler(context.format.name, context.layout.name, context.sample_rate)
    return iter(resampler.resample(frame))


class Server:
    """Answers each HTTP request with the next of `bodies`, at the pace of so many bytes a second; the last again."""

    def __init__(self, bodies: Sequence[bytes], pace: float, *, length: int = 0, silent: bool = False) -> None:
        self.opened: list[float] = []
        self._bodies, self._pace, self._silent = bodies, pace, silent
        self._head = "HTTP/1.0 200 OK\r\n" + (f"Content-Length: {length}\r\n" if length else "") + "\r\n"
        self._over = threading.Event()

    @contextmanager
    def serving(self) -> Iterator[str]:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
            try:
                yield f"http://127.0.0.1:{listener.getsockname()[1]}/live"
            finally:
                self._over.set()

    def _accept(self, listener: socket.socket) -> None:
        while not self._over.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            self.opened.append(time.monotonic())
            body = self._bodies[min(len(self.opened), len(self._bodies)) - 1]
            threading.Thread(target=self._answer, args=(connection, body), daemon=True).start()

    def _answer(self, connection: socket.socket, body: bytes) -> None:
        with connection:
            try:
                connection.recv(4096)
                connection.sendall(self._head.encode())
                for at in range(0, len(body), step := max(1, round(self._pace / 20))):
                    connection.sendall(body[at : at + step])
                    if self._over.wait(0.05):
                        return
                if self._silent:
                    self._over.wait()
            except OSError:
                return


@pytest.fixture(autouse=True)
def _little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media_player, "_READ_TIMEOUT_S", 0.7)
    monkeypatch.setattr(media_player, "_AGAIN_S", 0.2)


@pytest.mark.parametrize("silent", [False, True])
def test_a_live_url_that_breaks_off_is_opened_again(silent: bool) -> None:
    bodies = [made("mpegts", 1), made("mpegts", 4, base=500)]
    server = Server(bodies, len(bodies[0]), silent=silent)

    def late(sink: Heard) -> list[EncodedFrame]:
        return [frame for at, frame in sink.pictures["user0"] if at > server.opened[1]]

    with server.serving() as url:
        sink = played(url, until=lambda sink: len(server.opened) == 2 and len(late(sink)) > RATE)
    assert sink.events == ["joined"], "it stays while it is away"
    assert sink.counters == {"sources_failed": 1}
    assert late(sink)[0].key
    times = [frame.t for _, frame in sink.pictures["user0"]]
    assert times == sorted(times)
    assert all(-1.1 < at - frame.t < 0.5 for at, frame in sink.pictures["user0"])


def test_a_film_with_b_frames_that_is_played_in_a_loop_shows_all_its_pictures(tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    film.write_bytes(made("mp4", 1.0, b_frames=2))
    sink = played(str(film), loop=True, until=lambda sink: len(sink.pictures["user0"]) > 2.5 * RATE)
    times = [frame.t for _, frame in sink.pictures["user0"]]
    assert times != sorted(times)
    seam = sorted(times)[: 2 * RATE]
    assert max(seam) - min(seam) == pytest.approx((2 * RATE - 1) / RATE, abs=0.01)
    assert min(after - before for before, after in pairwise(seam)) == pytest.approx(1 / RATE, abs=0.01)


@pytest.mark.parametrize("loop", [False, True])
def test_a_broadcast_that_is_a_file_when_it_is_opened_again_is_over(loop: bool) -> None:
    bodies = [made("mpegts", 0.5), made("matroska", 0.5)]
    with (server := Server(bodies, 2 * len(bodies[0]))).serving() as url:
        sink = played(url, loop=loop)
    assert len(server.opened) == 2
    assert sink.events == ["joined", "left"]


def test_a_recording_of_which_all_has_broken_off_is_lost_and_not_unreachable(tmp_path: Path) -> None:
    film = made("matroska", 2)
    with Server([film[: len(film) // 2]], len(film), length=len(film), silent=True).serving() as url:
        with pytest.raises(Lost, match=r"user0 at http://127.0.0.1:\d+/live broke off") as caught:
            asyncio.run(source(url, str(tmp_path / "missing.mp4"), open_timeout_s=1).run(Heard()))
        assert not isinstance(caught.value, Unreachable)
    with pytest.raises(Unreachable, match="cannot be opened"):
        asyncio.run(source(str(tmp_path / "missing.mp4")).run(Heard()))


def test_who_cannot_be_opened_at_first_comes_while_another_is_there(tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    film.write_bytes(made("mp4", 3))
    live = made("mpegts", 2)
    with (server := Server([b"not yet", b"not yet", live], len(live))).serving() as url:
        sink = played(str(film), url, loop=True, until=lambda sink: len(sink.pictures["user1"]) > RATE / 2)
    assert len(server.opened) >= 3
    assert sink.counters == {"sources_failed": 1}
    assert sink.events == ["joined", "joined"]
    assert sink.pictures["user0"]


@pytest.mark.parametrize(("base", "then"), [(0.0, 1000.0), (1000.0, 0.0)])
def test_timestamps_that_jump_make_no_pause(base: float, then: float) -> None:
    old, new = (_split(made("mpegts", 2, base=at, sound="mp2")) for at in (base, then))
    # The last sound of the old comes among the first pictures of the new.
    late = [packet for packet in old[-len(old) // 16 :] if _pid(packet) == _SOUND]
    first, rest = new[: len(new) // 16], new[len(new) // 16 :]
    pictures, sound = ([p for p in first if (_pid(p) == _SOUND) == is_sound] for is_sound in (False, True))
    mixed = [p for pair in zip_longest(pictures, late, fillvalue=b"") for p in pair]
    body = b"".join((*[p for p in old if p not in late], *mixed, *sound, *rest))
    with Server([body], len(body) / 4).serving() as url:
        sink = played(url, until=lambda sink: len(sink.pictures["user0"]) >= 2.5 * RATE)
    times = [frame.t for _, frame in sink.pictures["user0"]]
    assert min(np.diff(times)) > -1e-6
    heard = [t for t, _ in sink.sounds["user0"]]
    # Who is held up is placed anew, too; where nobody is, test_media_pace knows how often that is.
    assert max(np.diff(times)) < _HELD_UP_S
    assert max(abs(np.diff(heard))) < _HELD_UP_S
    assert heard[-1] - heard[0] == pytest.approx(times[-1] - times[0], abs=0.2)


def _split(stream: bytes) -> list[bytes]:
    return [stream[at : at + 188] for at in range(0, len(stream), 188)]


def _pid(packet: bytes) -> int:
    """ISO/IEC 13818-1, section 2.4.3.2."""
    return int.from_bytes(packet[1:3], "big") & 0x1FFF


def test_sound_of_any_codec_is_heard(tmp_path: Path) -> None:
    cases = [
        ("wav", "pcm_mulaw", 8000, "mono"),
        ("wav", "pcm_alaw", 8000, "mono"),
        ("wav", "pcm_s16le", 44100, "stereo"),
        ("mov", "pcm_s16be", 48000, "stereo"),
        ("wav", "adpcm_ima_wav", 44100, "stereo"),
        ("wav", "g726", 8000, "mono"),
        ("mp4", "aac", 44100, "mono"),
        ("ogg", "libopus", 48000, "stereo"),
    ]
    paths = [tmp_path / sound for _, sound, _, _ in cases]
    for path, (kind, sound, rate, layout) in zip(paths, cases, strict=True):
        path.write_bytes(made(kind, 1, sound=sound, rate=rate, layout=layout))
    sink = played(*map(str, paths))
    assert not sink.counters
    for n, (_, sound, rate, layout) in enumerate(cases):
        _check_tone(sink.sounds[f"user{n}"], sound, rate, 2 if layout == "stereo" else 1)


def _check_tone(sounds: list[tuple[float, av.AudioFrame]], codec: str, rate: int, channels: int) -> None:
    """A second of what `made` makes."""
    assert {(frame.sample_rate, frame.layout.nb_channels) for _, frame in sounds} == {(rate, channels)}, codec
    ends = [t + frame.samples / rate for t, frame in sounds]
    assert all(abs(t - end) < 0.002 for (t, _), end in zip(sounds[1:], ends, strict=False)), codec
    mixer = Mixer(48000, 1)
    for t, frame in sounds:
        mixer.add("user", [frame], t - sounds[0][0])
    pcm = mixer.read(2 * 48000)[:, 0]
    assert np.flatnonzero(np.abs(pcm) > 0.01)[-1] / 48000 == pytest.approx(1, abs=0.08), codec
    spectrum = np.abs(np.fft.rfft(pcm[4800 : 48000 - 4800] * np.hanning(38400)))
    assert np.argmax(spectrum) * 48000 / 38400 == pytest.approx(440, abs=3), codec
    assert np.sqrt(2 * np.mean(pcm[12000:36000] ** 2)) == pytest.approx(0.25, rel=0.1), codec


def test_pictures_are_upright(tmp_path: Path) -> None:
    """By degrees clockwise, as a telephone says of what it has recorded; the upper third is dark."""
    edges = {0: "top", 90: "right", 180: "bottom", 270: "left"}
    film = bytearray(made("mp4", 1))
    at = film.find(b"tkhd") + 44  # ISO/IEC 14496-12, section 8.3.2: the matrix
    for degrees, (a, b) in zip(edges, ((1, 0), (0, 1), (-1, 0), (0, -1)), strict=True):
        film[at : at + 36] = struct.pack(">9i", *(v << 16 for v in (a, b, 0, -b, a, 0, 0, 0)), 1 << 30)
        (tmp_path / str(degrees)).write_bytes(film)
    sink = played(*(str(tmp_path / str(degrees)) for degrees in edges))
    assert not sink.counters
    for n, (degrees, dark) in enumerate(edges.items()):
        frames = [frame for _, frame in sink.pictures[f"user{n}"]]
        assert [frame.rotation for frame in frames] == [-degrees % 360] * RATE
        feed = VideoFeed(lambda: None, lambda n: None)
        for frame in frames:
            feed.push(frame)
        picture = feed.due(frames[0].t + 0.01)
        assert picture is not None
        assert (picture.width, picture.height) == (SIZE if degrees in (0, 180) else SIZE[::-1])
        luma = picture.to_ndarray()[: picture.height]
        sides = {"left": luma[:, 4], "right": luma[:, -4], "top": luma[4], "bottom": luma[-4]}
        means = {side: values.mean() for side, values in sides.items()}
        assert min(means, key=means.__getitem__) == dark


def test_a_damaged_packet_is_left_out_and_no_more(tmp_path: Path) -> None:
    film = bytearray(made("mp4", 1))
    with av.open(io.BytesIO(film), "r") as container:
        at = next(packet.pos for n, packet in enumerate(container.demux()) if n == 10)
    film[cast(int, at) : cast(int, at) + 4] = b"\xff" * 4  # a NAL unit longer than its packet
    (tmp_path / "film").write_bytes(film)
    sink = played(str(tmp_path / "film"))
    assert sink.counters == {"frames_dropped": 1}
    assert len(sink.pictures["user0"]) == RATE - 1
    assert sink.events == ["joined", "left"]


def test_what_nobody_decodes_is_left_out(tmp_path: Path) -> None:
    """A sound codec that FFmpeg has no decoder for, and text in no encoding that it names."""
    film = made("matroska", 1, sound="aac").replace(b"A_AAC", b"A_XYZ").replace(b"a title", b"\xfc title")
    (tmp_path / "film").write_bytes(film)
    sink = played(str(tmp_path / "film"))
    assert (len(sink.pictures["user0"]), dict(sink.sounds), sink.counters) == (RATE, {}, {})
    sound = made("matroska", 1, sound="aac", layout="mono").replace(b"A_AAC", b"A_XYZ")
    (tmp_path / "sound").write_bytes(sound)
    with pytest.raises(Unreachable, match="cannot be opened: neither sound nor picture"):
        played(str(tmp_path / "sound"))
