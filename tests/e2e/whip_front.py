"""The HTTP side of WHIP for a source without the service: POST publishes, DELETE leaves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from recorders.errors import RecorderError
from recorders.sources.base import Ingest
from tests.e2e.network import Proxy


@asynccontextmanager
async def whip_front(source: Ingest, networks: Mapping[str, Proxy] | None = None) -> AsyncIterator[str]:
    """Serves `source` on a free port of 127.0.0.1; yields the URL to which a user's name is appended. `networks` are
    the users' ones, by default none is between."""

    async def publish(request: Request) -> Response:
        user, offer = request.path_params["user"], (await request.body()).decode()
        network = (networks or {}).get(user)
        try:
            published = await source.publish(user, network.offer(offer) if network else offer)
        except RecorderError as error:
            return Response(str(error), 400)
        headers = {"Location": f"{request.url.path}/{published.resource}"}
        answer = network.answer(published.answer) if network else published.answer
        return Response(answer, 201, headers, "application/sdp")

    async def leave(request: Request) -> Response:
        return Response(status_code=200 if await source.unpublish(request.path_params["resource"]) else 404)

    app = Starlette(
        routes=[
            Route("/whip/{user}", publish, methods=["POST"]),
            Route("/whip/{user}/{resource}", leave, methods=["DELETE"]),
        ]
    )
    async with http_server(app) as origin:
        yield f"{origin}/whip/"


@asynccontextmanager
async def http_server(app: Starlette) -> AsyncIterator[str]:
    """An application on a free port of 127.0.0.1; yields its origin."""
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning"))
    task = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110, uvicorn tells in no other way
        await asyncio.sleep(0.01)
    try:
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await asyncio.wait_for(task, 10)
