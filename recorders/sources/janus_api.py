"""One session of the Janus WebSocket API: requests with their answers, events by handle, keepalives.

Secrets (the API's, the token, a room's pin) are in requests only, never in logs or errors.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, InvalidURI, WebSocketException
from websockets.typing import Subprotocol

from recorders.config import JanusConfig
from recorders.errors import Lost, Refused, Unreachable

Message = dict[str, Any]

# A session without requests ends after so long where the server does not say; 0 is never.
_SESSION_TIMEOUT_S = 60.0
_KEEPALIVES = 3  # sent in that time
# JANUS_ERROR_UNAUTHORIZED (the API secret, the token), _UNAUTHORIZED_PLUGIN (the token), _SESSION_NOT_FOUND
_FORBIDDEN, _FORBIDDEN_PLUGIN, _NO_SESSION = 403, 405, 458
# A server that is cut off is noticed after both.
_PING_EVERY_S, _PONG_WITHIN_S = 4.0, 6.0

_quiet = logging.getLogger(f"{__name__}.socket")
_quiet.setLevel(logging.INFO)  # at debug level websockets logs what is sent


class ApiError(Exception):
    """Janus answered with an error."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{reason} ({code})")
        self.code = code


class Session:
    """A session and its connection, which may be replaced. `on_event` is told each event that answers no request."""

    def __init__(self, config: JanusConfig, on_event: Callable[[Message], None]) -> None:
        self.host = urlsplit(config.url).netloc.rpartition("@")[2]
        self._url = config.url
        self._secrets = {
            name: secret.get_secret_value()
            for name, secret in (("apisecret", config.api_secret), ("token", config.token))
            if secret is not None
        }
        self._answer_s = config.connect_timeout_s
        self._on_event = on_event
        self._socket: ClientConnection | None = None
        self._id: int | None = None
        self._timeout_s = _SESSION_TIMEOUT_S
        self.ended = asyncio.Event()  # the session has, though its connection may be there
        self._waiting: dict[str, asyncio.Future[Message]] = {}
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        """Connect and create the session. Raises `Lost` or `Refused`; bounded by the caller."""
        await self._connect()
        self._id = None
        self.ended.clear()
        try:
            facts = await self._ask({"janus": "info"})
            self._timeout_s = float(facts.get("session-timeout", _SESSION_TIMEOUT_S))
            self._id = (await self._ask({"janus": "create"}))["data"]["id"]
        except ApiError as error:
            if error.code == _FORBIDDEN:
                raise Refused(f"Janus at {self.host} does not accept the {self._credential()}.") from error
            raise Unreachable(f"Janus at {self.host} gives no session: {error}.") from error
        self._tasks.append(asyncio.create_task(self._keep_alive()))

    async def claim(self) -> bool:
        """Connect anew and take the session along, with all its handles; False where Janus has it no more.

        Janus keeps it for `reclaim_session_timeout`, by default not at all. Raises `Lost`; bounded by the caller.
        """
        await self._connect()
        try:
            await self.request({"janus": "claim"})
        except ApiError:
            self._id = None
            return False
        self._tasks.append(asyncio.create_task(self._keep_alive()))
        return True

    async def until_lost(self) -> None:
        """Returns when the connection is gone, or the session has `ended`."""
        ended = asyncio.create_task(self.ended.wait())
        try:
            await asyncio.wait((self._tasks[0], ended), return_when=asyncio.FIRST_COMPLETED)
        finally:
            ended.cancel()

    async def close(self) -> None:
        """End the session on the server too, if it is there; bounded."""
        try:
            async with asyncio.timeout(1.0):
                await self.request({"janus": "destroy"})
        except (TimeoutError, Lost, ApiError):
            pass
        self.drop()

    def drop(self) -> None:
        """Let the connection go; the session on the server may outlive it."""
        for task in self._tasks:
            task.cancel()
        self._tasks = []
        if self._socket is not None:
            self._socket.transport.abort()
            self._socket = None

    async def attach(self) -> int:
        """A new handle of the VideoRoom plugin. Raises `Refused` where the token is not good for it."""
        try:
            reply = await self.request({"janus": "attach", "plugin": "janus.plugin.videoroom"})
        except ApiError as error:
            if error.code in (_FORBIDDEN, _FORBIDDEN_PLUGIN):
                raise Refused(f"Janus at {self.host} does not accept the {self._credential()}.") from error
            raise
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
        """Ask something of the session. Raises `ApiError`, or `Lost` without one or without an answer in time."""
        if self._id is None:  # what is asked then, by a handle of the last one, Janus would answer for session 0
            raise Lost(f"There is no session at Janus at {self.host}.")
        return await self._ask(request)

    async def _ask(self, request: Message) -> Message:
        if self._socket is None:
            raise Lost(f"There is no connection to Janus at {self.host}.")
        transaction = secrets.token_hex(8)
        answer = self._waiting[transaction] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(self._answer_s):
                await self._send(request, transaction)
                reply: Message = await answer
        except (TimeoutError, WebSocketException) as error:
            raise Lost(f"Janus at {self.host} did not answer in {self._answer_s:g} s.") from error
        finally:
            self._waiting.pop(transaction, None)
        if reply["janus"] == "error":
            raise ApiError(reply["error"]["code"], str(reply["error"].get("reason", "")))
        return reply

    def _credential(self) -> str:
        return " and the ".join({"apisecret": "API secret", "token": "token"}[name] for name in self._secrets) or (
            "request: it asks for an API secret or a token"
        )

    async def _connect(self) -> None:
        self.drop()
        try:
            self._socket = await connect(
                self._url,
                subprotocols=[Subprotocol("janus-protocol")],
                open_timeout=None,
                ping_interval=_PING_EVERY_S,
                ping_timeout=_PONG_WITHIN_S,
                logger=_quiet,
                max_size=1 << 20,
            )
        except (OSError, InvalidURI, InvalidHandshake, WebSocketException) as error:
            raise Unreachable(f"Janus at {self.host} cannot be reached: {_reason(error)}.") from error
        self._tasks.append(asyncio.create_task(self._read(self._socket)))

    async def _read(self, socket: ClientConnection) -> None:
        try:
            async for text in socket:
                message = json.loads(text)
                if message.get("janus") == "timeout" or message.get("error", {}).get("code") == _NO_SESSION:
                    self.ended.set()
                waiting = self._waiting.get(message.get("transaction", ""))
                if waiting is None:
                    self._on_event(message)
                elif message.get("janus") != "ack" and not waiting.done():
                    waiting.set_result(message)
        except WebSocketException:
            return
        finally:
            for waiting in self._waiting.values():
                if not waiting.done():
                    waiting.set_exception(Lost(f"The connection to Janus at {self.host} was lost."))

    async def _keep_alive(self) -> None:
        while self._timeout_s > 0 and self._socket is not None:
            await asyncio.sleep(self._timeout_s / _KEEPALIVES)
            try:
                await self._send({"janus": "keepalive"}, "keepalive")
            except WebSocketException:  # the reader tells of the end
                return

    async def _send(self, request: Message, transaction: str) -> None:
        assert self._socket is not None
        session = {} if self._id is None else {"session_id": self._id}
        await self._socket.send(json.dumps({**request, **session, **self._secrets, "transaction": transaction}))


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).rstrip(".") or type(error).__name__
