"""The REST API as an ASGI application; what it needs of Ray comes in through a `Gateway`."""

from __future__ import annotations

from fastapi import FastAPI

from egress_ray.api import bounds, errors, files, openapi, pages, tasks, whip
from egress_ray.api.managers import Gateway
from egress_ray.secrets import Vault
from egress_ray.settings import Settings


def create_app(settings: Settings, gateway: Gateway, vault: Vault) -> FastAPI:
    """The application for one replica."""
    app = FastAPI(
        title="egress-ray",
        version="1",
        description="Records RTC channels and web pages to crash-safe HLS and MP4.",
    )
    app.state.settings = settings
    app.state.gateway = gateway
    app.state.vault = vault
    errors.install(app)
    app.add_middleware(bounds.BodyLimit)
    for module in (tasks, files, whip, pages):
        app.include_router(module.router)
    openapi.install(app)
    return app
