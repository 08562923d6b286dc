"""One session of the Janus WebSocket API: requests with their answers, events by handle, keepalives.

Secrets (the API's, a room's pin) are in requests only, never in logs or errors.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, InvalidURI, WebSocketException
from websockets.typing import Subprotocol

from recorders.errors import Lost, Refused, Unreachable

Message = dict[str, Any]

# A session without requests ends after 60 s.
_KEEPALIVE_S = 20.0
_FORBIDDEN = 403  # JANUS_ERROR_UNAUTHORIZED: the API secret

_quiet = logging.getLogger(f"{__name__}.socket")
_quiet.setLevel(logging.INFO)  # at debug level websockets logs what is sent


class ApiError(Exception):
    """Janus answered with an error."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{reason} ({code})")
        self.code = code


class Session:
    """A session of its own connection. `on_event` is awaited for each event that answers no request."""

    def __init__(
        self, url: str, api_secret: str | None, answer_s: float, on_event: Callable[[Message], Awaitable[None]]
    ) -> None:
        self.host = urlsplit(url).netloc.rpartition("@")[2]
        self._url = url
        self._secret = {"apisecret": api_secret} if api_secret else {}
        self._answer_s = answer_s
        self._on_event = on_event
        self._socket: ClientConnection | None = None
        self._id: int | None = None
        self._waiting: dict[str, asyncio.Future[Message]] = {}
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        """Connect and create the session. Raises `Lost` or `Refused`; bounded by the caller."""
        try:
            self._socket = await connect(
                self._url,
                subprotocols=[Subprotocol("janus-protocol")],
                open_timeout=None,
                logger=_quiet,
                max_size=1 << 20,
            )
        except (OSError, InvalidURI, InvalidHandshake, WebSocketException) as error:
            raise Unreachable(f"Janus at {self.host} cannot be reached: {_reason(error)}.") from error
        self._tasks.append(asyncio.create_task(self._read(self._socket)))
        try:
            self._id = (await self.request({"janus": "create"}))["data"]["id"]
        except ApiError as error:
            if error.code == _FORBIDDEN:
                raise Refused(f"Janus at {self.host} does not accept the API secret.") from error
            raise Unreachable(f"Janus at {self.host} gives no session: {error}.") from error
        self._tasks.append(asyncio.create_task(self._keep_alive()))

    async def until_closed(self) -> None:
        """Returns when the connection is gone."""
        await asyncio.wait(self._tasks[:1])

    async def close(self) -> None:
        """End the session on the server too, if it is there; bounded."""
        try:
            async with asyncio.timeout(1.0):
                if self._id is not None:
                    await self.request({"janus": "destroy"})
        except (TimeoutError, Lost, ApiError):
            pass
        for task in self._tasks:
            task.cancel()
        if self._socket is not None:
            self._socket.transport.abort()

    async def attach(self) -> int:
        """A new handle of the VideoRoom plugin."""
        reply = await self.request({"janus": "attach", "plugin": "janus.plugin.videoroom"})
        return int(reply["data"]["id"])

    async def detach(self, handle: int) -> None:
        """Let a handle go; errors mean that it is gone."""
        try:
            await self.request({"janus": "detach", "handle_id": handle})
        except (ApiError, Lost):
            return

    async def message(self, handle: int, body: Message, jsep: Message | None = None) -> Message:
        """Send a message to the plugin; returns its event. Raises `ApiError` for the plugin's errors too."""
        request = {"janus": "message", "handle_id": handle, "body": body, **({"jsep": jsep} if jsep else {})}
        reply = await self.request(request)
        data = reply.get("plugindata", {}).get("data", {})
        if "error_code" in data:
            raise ApiError(data["error_code"], str(data.get("error", "")))
        return reply

    async def request(self, request: Message) -> Message:
        """Raises `ApiError`, or `Lost` when there is no answer in time."""
        assert self._socket is not None
        transaction = secrets.token_hex(8)
        session = {} if self._id is None else {"session_id": self._id}
        answer = self._waiting[transaction] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(self._answer_s):
                await self._socket.send(json.dumps({**request, **session, **self._secret, "transaction": transaction}))
                reply: Message = await answer
        except (TimeoutError, WebSocketException) as error:
            raise Lost(f"Janus at {self.host} did not answer in {self._answer_s:g} s.") from error
        finally:
            self._waiting.pop(transaction, None)
        if reply["janus"] == "error":
            raise ApiError(reply["error"]["code"], str(reply["error"].get("reason", "")))
        return reply

    async def _read(self, socket: ClientConnection) -> None:
        try:
            async for text in socket:
                message = json.loads(text)
                waiting = self._waiting.get(message.get("transaction", ""))
                if waiting is None:
                    await self._on_event(message)
                elif message.get("janus") != "ack" and not waiting.done():
                    waiting.set_result(message)
        except WebSocketException:
            return
        finally:
            for waiting in self._waiting.values():
                if not waiting.done():
                    waiting.set_exception(Lost(f"The connection to Janus at {self.host} was lost."))

    async def _keep_alive(self) -> None:
        assert self._socket is not None
        while True:
            await asyncio.sleep(_KEEPALIVE_S)
            message = {"janus": "keepalive", "session_id": self._id, "transaction": "keepalive", **self._secret}
            try:
                await self._socket.send(json.dumps(message))
            except WebSocketException:
                return


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).rstrip(".") or type(error).__name__
