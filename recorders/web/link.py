"""The loopback server between the recorder and its own page in the browser.

It serves that page, its worker's script and one WebSocket, on 127.0.0.1 only, below a path that nobody can guess and
with the page's origin required, so that a page under record cannot reach it.

From the browser, JSON: ping, selected, ready, video, begun, status, ended, error, done. To the browser, JSON: pong, go,
stop. Pictures and sound (laid out in capture_worker.js) come by mail (mail.py), or as binary messages where the browser
has no file for that.
"""

from __future__ import annotations

import asyncio
import base64
import http
import json
import secrets
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from recorders.errors import Lost
from recorders.web.mail import Mail

if TYPE_CHECKING:
    from websockets.asyncio.server import Server, ServerConnection
    from websockets.http11 import Request, Response

_SCRIPT = Path(__file__).with_name("capture.js")
_WORKER = Path(__file__).with_name("capture_worker.js")
_HEAD = "<!doctype html><meta charset=utf-8><link rel=icon href=data:,>"
_PICTURE, _SOUND = 1, 2
_MAX_MESSAGE = 64 * 1024 * 1024
# How long the end of the capture waits for a better reason.
_REASON_S = 0.6
# When mail is looked for: the browser sends some ten times a second.
_MAIL_S, _MAIL_LATE_S = 0.1, 0.02


class Receiver(Protocol):
    """Who gets the media; called on the event loop, must not block."""

    def description(self, data: bytes) -> None:
        """The decoder's configuration (avcC for H.264), before the first picture that needs it."""
        ...

    def picture(self, n: int, key: bool, data: bytes) -> None:
        """Picture number `n` since the beginning: encoded, or its place in the ring (nothing: as the one before)."""
        ...

    def sound(self, seconds: float, sample_rate: int, channels: int, planes: bytes) -> None:
        """Planes of int16, the first sample `seconds` after the beginning."""
        ...

    def status(self, seconds: float, counters: dict[str, int]) -> None:
        """About once a second: time since the beginning, and counters that only grow."""
        ...


class Link:
    """One recording's connection to its page in the browser; `receiver` is set before the page captures anything."""

    def __init__(self) -> None:
        self.receiver: Receiver | None = None
        self._secret = secrets.token_urlsafe(24)
        self._answers: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._connection: ServerConnection | None = None
        self._server: Server | None = None
        self._mail: Mail | None = None
        self._collecting: asyncio.Task[None] | None = None
        self.heard = time.monotonic()  # when the browser last said anything
        self.idle_seconds = 0.0  # how long the page has been of one colour and silent
        self.broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def open(self) -> str:
        """Listen; returns the page's address, which is a secret."""
        from websockets.asyncio.server import serve
        from websockets.typing import Origin

        listener = socket.create_server(("127.0.0.1", 0))
        origin = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self._server = await serve(
            self._serve,
            sock=listener,
            origins=[Origin(origin)],
            process_request=self._page,
            compression=None,
            max_size=_MAX_MESSAGE,
            ping_interval=None,
        )
        return f"{origin}/{self._secret}"

    def expect_mail(self, mail: Mail) -> None:
        """Media comes by it from now on."""
        self._mail = mail
        self._collecting = asyncio.create_task(self._collect_always())

    async def close(self) -> None:
        """Stop listening and hang up."""
        if self._collecting is not None:
            self._collecting.cancel()
        if self._server is not None:
            self._server.close()
        if self._connection is not None:
            self._connection.transport.abort()
        futures: list[asyncio.Future[Any]] = [self.broken, *self._answers.values()]
        for future in futures:
            if future.done() and not future.cancelled():
                future.exception()  # whoever wanted to know has been told
            future.cancel()

    async def expect(self, kind: str) -> dict[str, Any]:
        """The browser's message of this kind, which comes once. Raises `Lost` when the connection breaks."""
        answer = self._answer(kind)
        await asyncio.wait((answer, self.broken), return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            return answer.result()
        self.broken.result()
        raise Lost("The browser hung up.")

    async def send(self, kind: str, **rest: Any) -> None:
        """Tell the browser; nothing happens when it is gone, which `broken` tells."""
        from websockets.exceptions import ConnectionClosed

        try:
            if self._connection is not None:
                await self._connection.send(json.dumps({"type": kind, **rest}))
        except ConnectionClosed:
            return

    def _answer(self, kind: str) -> asyncio.Future[dict[str, Any]]:
        if kind not in self._answers:
            self._answers[kind] = asyncio.get_running_loop().create_future()
        return self._answers[kind]

    def _page(self, connection: ServerConnection, request: Request) -> Response | None:
        path = request.path
        if secrets.compare_digest(path.encode(), f"/{self._secret}/socket".encode()) and self._connection is None:
            return None
        if secrets.compare_digest(path.encode(), f"/{self._secret}".encode()):
            return _served(connection, "text/html", f"{_HEAD}<script>{_SCRIPT.read_text()}</script>")
        if secrets.compare_digest(path.encode(), f"/{self._secret}/worker".encode()):
            return _served(connection, "text/javascript", _WORKER.read_text())
        return connection.respond(http.HTTPStatus.NOT_FOUND, "")

    async def _serve(self, connection: ServerConnection) -> None:
        from websockets.exceptions import ConnectionClosed

        self._connection = connection
        try:
            async for message in connection:
                self.heard = time.monotonic()
                if isinstance(message, bytes):
                    self._media(message)
                else:
                    self._collect()  # it was sent before
                    await self._message(connection, json.loads(message))
        except ConnectionClosed:
            pass
        self._collect()
        self._break(Lost("The browser was closed or crashed."))

    async def _collect_always(self) -> None:
        while not self.broken.done():
            found = self._collect()
            await asyncio.sleep(_MAIL_S if found else _MAIL_LATE_S)

    def _collect(self) -> bool:
        """Whether there was any."""
        if self._mail is None:
            return False
        try:
            message = self._mail.take()
        except Lost as error:
            self._break(error)
            return False
        if message:
            self.heard = time.monotonic()
            self._media(message)
        return bool(message)

    def _media(self, message: bytes) -> None:
        if self.receiver is None:
            return
        for record in _records(message):
            if record[0] == _PICTURE:
                _, key, n = struct.unpack_from("<BBxxI", record)
                self.receiver.picture(n, bool(key), record[8:])
            elif record[0] == _SOUND:
                _, channels, sample_rate, seconds, samples = struct.unpack_from("<BBxxIdI", record)
                planes = record[20:] or bytes(2 * channels * samples)  # silence is not sent
                self.receiver.sound(seconds, sample_rate, channels, planes)

    async def _message(self, connection: ServerConnection, message: dict[str, Any]) -> None:
        match message["type"]:
            case "ping":
                await connection.send(json.dumps({"type": "pong", "monotonic": time.monotonic() * 1000}))
            case "video" if self.receiver is not None:
                self.receiver.description(base64.b64decode(message["description"]))
            case "status" if self.receiver is not None:
                self.idle_seconds = float(message["idle"])
                self.receiver.status(message["seconds"], message["counters"])
            case "ended":
                # Why, somebody else may be about to tell: a browser that dies ends the capture first.
                lost = Lost("The page's tab was closed or crashed.")
                asyncio.get_running_loop().call_later(_REASON_S, self._break, lost)
            case "error":
                self._break(Lost(f"The browser could not capture the page: {message['message']}."))
            case kind:
                answer = self._answer(kind)
                if not answer.done():
                    answer.set_result(message)

    def _break(self, error: Lost) -> None:
        if not self.broken.done():
            self.broken.set_exception(error)


def _served(connection: ServerConnection, kind: str, text: str) -> Response:
    response = connection.respond(http.HTTPStatus.OK, text)
    del response.headers["Content-Type"]
    response.headers["Content-Type"] = f"{kind}; charset=utf-8"
    return response


def _records(message: bytes) -> Iterator[bytes]:
    """What is in a message of media: each with its length before it (u32, little endian)."""
    at = 0
    while at < len(message):
        (length,) = struct.unpack_from("<I", message, at)
        yield message[at + 4 : at + 4 + length]
        at += 4 + length
