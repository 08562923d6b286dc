"""Health, and the pages for people: the start page and a player."""

from __future__ import annotations

from html import escape
from pathlib import PurePosixPath
from urllib.parse import quote

from fastapi import APIRouter
from starlette.responses import HTMLResponse, JSONResponse, Response

from egress_ray.api.context import AppId, TaskId, WithGateway, documented
from egress_ray.api.managers import bounded
from egress_ray.api.tasks import find

router = APIRouter(tags=["service"])

_STYLE = (
    "<style>body{font:16px system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem;"
    "background:#16181d;color:#e6e6e6}a{color:#8ab4f8}video{width:100%;background:#000}"
    "code{background:#2a2d34;padding:.1em .3em}</style>"
)
_PLAYABLE = (".mp4", ".webm", ".m4a", ".ogg", ".m3u8")


@router.get("/healthz")
async def healthz() -> JSONResponse:
    """Alive."""
    return JSONResponse({"status": "ok"})


@router.get("/readyz", responses=documented(503))
async def readyz(gateway: WithGateway) -> JSONResponse:
    """Able to accept a task."""
    await bounded(gateway, gateway.manager.ready())
    return JSONResponse({"status": "ready"})


@router.get("/", response_class=HTMLResponse, include_in_schema=False)
async def index() -> HTMLResponse:
    """Where to go from here."""
    return HTMLResponse(
        f"<!doctype html><title>egress-ray</title>{_STYLE}<h1>egress-ray</h1>"
        "<p>Records RTC channels and web pages.</p><ul>"
        '<li><a href="docs">The API, to try</a></li><li><a href="openapi.json">The API as OpenAPI</a></li>'
        "<li>A recording's player: <code>/play/{app_id}/{task_id}</code></li></ul>"
    )


@router.get(
    "/play/{app_id}/{task_id}",
    response_class=Response,
    responses={200: {"content": {"text/html": {"schema": {"type": "string"}}}}, **documented(400, 404, 503)},
)
async def play(app_id: AppId, task_id: TaskId, gateway: WithGateway) -> HTMLResponse:
    """A page that plays a recording, while it is made, too (in browsers that play HLS by themselves)."""
    task = await find(gateway, app_id, task_id)
    base = f"/egress/v1/{app_id}/tasks/{task_id}/files/"
    playable = sorted(
        (name for name in task.files if PurePosixPath(name).suffix in _PLAYABLE),
        key=lambda name: _PLAYABLE.index(PurePosixPath(name).suffix),
    )
    if playable:
        player = f'<video controls autoplay muted playsinline src="{base}{quote(playable[0])}"></video>'
    else:
        player = "<p>Nothing has been recorded yet.</p>"
    links = "".join(f'<li><a href="{base}{quote(name)}">{escape(name)}</a></li>' for name in task.files)
    return HTMLResponse(
        f"<!doctype html><title>Task {task_id}</title>{_STYLE}<h1>Task {task_id}</h1>"
        f"<p>{task.state} {escape(task.error or task.message)}</p>{player}<ul>{links}</ul>"
    )
