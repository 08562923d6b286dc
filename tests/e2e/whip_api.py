"""The service's own WHIP endpoint before one recorder in this process, with neither Ray nor a store."""

from __future__ import annotations

import typing
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from egress_ray.api.app import create_app
from egress_ray.api.managers import Gateway
from egress_ray.recording.job import Publication, recording_name
from egress_ray.secrets import Vault
from egress_ray.settings import load
from recorders.errors import RecorderError
from recorders.sources.base import Ingest
from tests.e2e.whip_front import http_server

TOKEN = "access-token"


class _Manager:
    async def recording_of(self, app_id: str, channel: str) -> str:
        return recording_name(app_id, "task", 1)


class _Cluster:
    """A `Gateway` to one source, as `egress_ray.recording.actor` asks it."""

    def __init__(self, source: Ingest) -> None:
        self.manager = _Manager()
        self._source = source

    async def publish(self, recording: str, user: str, token: str, offer: str) -> Publication:
        if token != TOKEN:
            return Publication("forbidden", error="The bearer token is not this recording's access token.")
        try:
            published = await self._source.publish(user, offer)
        except RecorderError as error:
            return Publication("refused", error=str(error))
        return Publication("created", published.resource, published.answer, etag=published.etag)

    async def patch(self, recording: str, resource: str, token: str, fragment: str, if_match: str) -> Publication:
        try:
            patched = await self._source.patch(resource, fragment, if_match)
        except RecorderError as error:
            return Publication("refused", error=str(error))
        return Publication(patched.outcome, resource, patched.fragment, etag=patched.etag)

    async def unpublish(self, recording: str, resource: str, token: str) -> Publication:
        return Publication("deleted" if await self._source.unpublish(resource) else "unknown")

    def unreachable(self, error: Exception) -> bool:
        return False


@asynccontextmanager
async def whip_api(source: Ingest, folder: str) -> AsyncIterator[str]:
    """Serves it on a free port of 127.0.0.1; yields the URL to which a user's name is appended."""
    app = create_app(load({"data_dir": folder}), typing.cast(Gateway, _Cluster(source)), typing.cast(Vault, None))
    async with http_server(app) as origin:
        yield f"{origin}/egress/v1/app/channels/room/whip/"
