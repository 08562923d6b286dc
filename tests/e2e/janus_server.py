"""A real Janus with its VideoRoom plugin, as an ordinary process on this machine, and publishers to its rooms.

Janus leaves loopback out of ICE, so media goes over this machine's own address; it stays on the machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

import av
import pytest
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from recorders.sources.janus_api import Message, Session

START_S = 10.0

_CONFIG = {
    "janus.jcfg": """
general: { api_secret = "$SECRET"  debug_level = 3  debug_colors = false }
media: { min_nack_queue = 1000 }
plugins: {
  disable = "libjanus_audiobridge.so,libjanus_echotest.so,libjanus_nosip.so,libjanus_recordplay.so,libjanus_sip.so,\
libjanus_streaming.so,libjanus_textroom.so,libjanus_videocall.so,libjanus_voicemail.so,libjanus_lua.so,\
libjanus_duktape.so"
}
transports: {
  disable = "libjanus_http.so,libjanus_pfunix.so,libjanus_rabbitmq.so,libjanus_mqtt.so,libjanus_nanomsg.so"
}
""",
    "janus.plugin.videoroom.jcfg": "general: { string_ids = $STRING_IDS }",
    "janus.transport.websockets.jcfg": """
general: { json = "compact"  ws = true  ws_port = $PORT  ws_ip = "127.0.0.1"  wss = false }
admin: { admin_ws = false }
""",
}


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@dataclass
class Janus:
    """A running server. `url` is its WebSocket API."""

    url: str
    api_secret: str
    process: subprocess.Popen[bytes]

    def session(self) -> Session:
        async def ignore(event: Message) -> None:
            pass

        return Session(self.url, self.api_secret, 5.0, ignore)

    async def create_room(self, room: int | str, pin: str) -> None:
        """A room with H.264, VP8 and Opus."""
        async with self.handle() as (session, handle):
            await session.message(
                handle,
                {
                    "request": "create",
                    "room": room,
                    "pin": pin,
                    "publishers": 10,
                    "audiocodec": "opus",
                    "videocodec": "h264,vp8",
                },
            )

    @asynccontextmanager
    async def handle(self) -> AsyncIterator[tuple[Session, int]]:
        session = self.session()
        await session.open()
        try:
            yield session, await session.attach()
        finally:
            await session.close()

    @asynccontextmanager
    async def publisher(self, room: int | str, pin: str, uid: int | str, name: str, clip: Path) -> AsyncIterator[None]:
        """A participant that sends a clip as it is encoded; it is in the room when the context begins."""
        pc = RTCPeerConnection(RTCConfiguration([]))
        player = ClipPlayer(clip)
        async with self.handle() as (session, handle):
            try:
                await session.message(
                    handle,
                    {"request": "join", "ptype": "publisher", "room": room, "pin": pin, "id": uid, "display": name},
                )
                pc.addTransceiver(player.audio, "sendonly")
                video = pc.addTransceiver(player.video, "sendonly")
                video.setCodecPreferences(player.codecs())
                await pc.setLocalDescription(await pc.createOffer())
                reply = await session.message(
                    handle, {"request": "publish"}, {"type": "offer", "sdp": pc.localDescription.sdp}
                )
                await pc.setRemoteDescription(RTCSessionDescription(reply["jsep"]["sdp"], "answer"))
                yield
            finally:
                player.close()
                await pc.close()


class ClipPlayer:
    """A clip's packets as aiortc's tracks, in real time from the first one that is asked for."""

    def __init__(self, clip: Path) -> None:
        self._clip = clip
        self._begun: float | None = None
        with av.open(str(clip)) as media:
            self._codec = media.streams.video[0].codec_context.name
        self.audio = _ClipTrack(self, "audio")
        self.video = _ClipTrack(self, "video")

    def codecs(self) -> list[Any]:
        from aiortc import RTCRtpSender

        mime = {"h264": "video/H264", "vp8": "video/VP8"}[self._codec]
        return [codec for codec in RTCRtpSender.getCapabilities("video").codecs if codec.mimeType == mime]

    def begun(self) -> float:
        if self._begun is None:
            self._begun = time.monotonic()
        return self._begun

    def packets(self, kind: str) -> Iterator[av.Packet[Any]]:
        with av.open(str(self._clip)) as media:
            stream = media.streams.video[0] if kind == "video" else media.streams.audio[0]
            annex_b = None
            if stream.codec_context.name == "h264":
                annex_b = av.BitStreamFilterContext("h264_mp4toannexb", stream)
            for packet in media.demux(stream):
                if packet.dts is None:
                    continue
                yield from annex_b.filter(packet) if annex_b else [packet]

    def close(self) -> None:
        self.audio.stop()
        self.video.stop()


class _ClipTrack(MediaStreamTrack):
    def __init__(self, player: ClipPlayer, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self._player = player
        self._packets = player.packets(kind)

    async def recv(self) -> av.Packet[Any]:
        packet = next(self._packets, None)
        if packet is None:
            self.stop()
            await asyncio.Event().wait()
        assert packet is not None
        assert packet.pts is not None
        wait = self._player.begun() + float(packet.pts * packet.time_base) - time.monotonic()
        await asyncio.sleep(max(0.0, wait))
        return packet


@contextmanager
def running_janus(folder: Path, *, string_ids: bool = False) -> Iterator[Janus]:
    """Starts Janus with its configuration in `folder`; ends it again."""
    program = shutil.which("janus")
    if program is None:
        pytest.fail("Janus is not installed: apt-get install janus")
    port, secret = free_port(), secrets.token_hex(8)
    for name, text in _CONFIG.items():
        values = {"SECRET": secret, "PORT": str(port), "STRING_IDS": str(string_ids).lower()}
        (folder / name).write_text(Template(text).substitute(values))
    log = folder / "janus.log"
    with log.open("wb") as out:
        process = subprocess.Popen([program, "-F", str(folder)], stdout=out, stderr=subprocess.STDOUT)
    try:
        limit = time.monotonic() + START_S
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            if process.poll() is not None or time.monotonic() > limit:
                pytest.fail(f"Janus did not start:\n{log.read_text()[-2000:]}")
            time.sleep(0.05)
        yield Janus(f"ws://127.0.0.1:{port}", secret, process)
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
