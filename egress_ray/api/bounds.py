"""ASGI middleware for bodies: none over the limit reaches a handler, and what is not SDP is taken as JSON."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from egress_ray.api.errors import ApiError, reply
from egress_ray.api.limits import BODY_BYTES


class BodyLimit:
    """Reads a request's body up to `BODY_BYTES` and answers 413 beyond.

    A body is JSON whatever its content type says (`curl -d` says it is a form), but for an SDP offer.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD", "OPTIONS", "DELETE"):
            await self._app(scope, receive, send)
            return
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        body = b""
        too_large = declared.isdigit() and int(declared) > BODY_BYTES
        while not too_large:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            too_large = len(body) > BODY_BYTES
            if not message.get("more_body", False):
                break
        if too_large:
            await reply(ApiError(413, f"The body is over {BODY_BYTES // 1024} KiB."))(scope, receive, send)
            return
        headers = [(name, value) for name, value in scope["headers"] if name != b"content-type"]
        if len(headers) == len(scope["headers"]) or b"sdp" not in dict(scope["headers"])[b"content-type"]:
            scope = {**scope, "headers": [*headers, (b"content-type", b"application/json")]}
        sent = False

        async def replay() -> Message:
            nonlocal sent
            if sent:
                return await receive()
            sent = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self._app(scope, replay, send)
