"""A real Janus with its VideoRoom plugin, as an ordinary process on this machine; it can be killed and started again.

Janus leaves loopback out of ICE, so media goes over this machine's own address; it stays on the machine.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from string import Template
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from recorders.config import JanusConfig
from recorders.sources.janus_api import Message, Session
from tests.e2e.janus_publisher import Publisher
from tests.ports import free_port

START_S = 10.0

_CONFIG = {
    "janus.jcfg": """
general: { api_secret = "$SECRET"  admin_secret = "$SECRET"  debug_level = 3  debug_colors = false  $GENERAL }
media: { min_nack_queue = 1000  slowlink_threshold = 1 }
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
admin: { admin_ws = true  admin_ws_port = $ADMIN_PORT  admin_ws_ip = "127.0.0.1" }
""",
}


class Janus:
    """A server with its configuration in `folder`. `url` is its WebSocket API, `general` more of its settings."""

    def __init__(self, folder: Path, *, string_ids: bool = False, general: str = "") -> None:
        program = shutil.which("janus")
        if program is None:
            pytest.fail("Janus is not installed: apt-get install janus")
        self.api_secret = secrets.token_hex(8)
        self._port, self._admin_port = free_port(), free_port()
        self.url = f"ws://127.0.0.1:{self._port}"
        self._command = [program, "-F", str(folder)]
        self._log = folder / "janus.log"
        values = {
            "SECRET": self.api_secret,
            "PORT": str(self._port),
            "ADMIN_PORT": str(self._admin_port),
            "STRING_IDS": str(string_ids).lower(),
            "GENERAL": general,
        }
        for name, text in _CONFIG.items():
            (folder / name).write_text(Template(text).substitute(values))

    def start(self) -> None:
        """Returns when it takes connections."""
        with self._log.open("ab") as out:
            self._process = subprocess.Popen(self._command, stdout=out, stderr=subprocess.STDOUT)
        limit = time.monotonic() + START_S
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._port), 1):
                return
            if self._process.poll() is not None or time.monotonic() > limit:
                self.stop()
                pytest.fail(f"Janus did not start:\n{self._log.read_text()[-2000:]}")
            time.sleep(0.05)

    def kill(self) -> None:
        """As kill -9 does it."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """By SIGTERM, as a service manager does it."""
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self.kill()

    def config(self, **changed: Any) -> JanusConfig:
        """The recorder's settings for this server."""
        return JanusConfig.model_validate({"url": self.url, "api_secret": self.api_secret, **changed})

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

    async def participants(self, room: int | str) -> set[str]:
        """Display names of those who are in a room."""
        async with self.handle() as (session, handle):
            reply = await session.message(handle, {"request": "listparticipants", "room": room})
            return {one["display"] for one in reply["plugindata"]["data"]["participants"]}

    @asynccontextmanager
    async def handle(self, token: str | None = None) -> AsyncIterator[tuple[Session, int]]:
        session = Session(self.config(token=token), lambda event: None)
        await session.open()
        try:
            yield session, await session.attach()
        finally:
            await session.close()

    @asynccontextmanager
    async def publisher(
        self,
        room: int | str,
        pin: str,
        uid: int | str,
        name: str,
        *layers: Path,
        camera: bool = True,
        ppm: float = 0.0,
    ) -> AsyncIterator[Publisher]:
        """A participant that sends a clip as it is encoded, again and again; its media flows when the context begins.

        Several clips are simulcast layers, smallest first. Its clock is too fast by `ppm` parts in a million.
        """
        async with self.handle() as (session, handle):
            publisher = Publisher(session, handle, layers, ppm)
            try:
                await publisher.join(room, pin, uid, name, camera=camera)
                yield publisher
            finally:
                await publisher.close()

    async def admin(self, request: Message) -> None:
        """A request to the admin API, such as `hangup_webrtc` or `destroy_session`."""
        url, protocol = f"ws://127.0.0.1:{self._admin_port}", Subprotocol("janus-admin-protocol")
        async with connect(url, subprotocols=[protocol]) as admin:
            await admin.send(json.dumps({**request, "admin_secret": self.api_secret, "transaction": "admin"}))
            reply = json.loads(await admin.recv())
            assert reply["janus"] == "success", reply


@contextmanager
def running_janus(folder: Path, *, string_ids: bool = False, general: str = "") -> Iterator[Janus]:
    """A Janus that runs until the context ends."""
    janus = Janus(folder, string_ids=string_ids, general=general)
    janus.start()
    try:
        yield janus
    finally:
        janus.stop()
