"""A task's files over HTTP: playlist, parts, single file, manifest; while it records, too."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import FileResponse, Response

from egress_ray.api.context import AppId, TaskId, WithGateway, WithSettings, documented
from egress_ray.api.errors import ApiError
from egress_ray.api.managers import Gateway
from egress_ray.api.stored import stored
from egress_ray.api.tasks import find
from egress_ray.folders import here, task_folder
from egress_ray.recording.spec import place_of
from egress_ray.settings import Settings

if TYPE_CHECKING:
    from recorders.storage.remote import Remote

router = APIRouter(prefix="/egress/v1/{app_id}/tasks/{task_id}/files", tags=["files"])

MEDIA_TYPES = {
    ".m3u8": "application/vnd.apple.mpegurl",
    ".m4s": "video/iso.segment",
    ".mp4": "video/mp4",
    ".webm": "video/webm",
    ".m4a": "audio/mp4",
    ".ogg": "audio/ogg",
    ".json": "application/json",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".txt": "text/plain; charset=utf-8",
}
_REPLACED = (".m3u8", ".json", ".jpg", ".txt")
# Stores' clients that are kept at hand.
_REMOTES = 256
_PLAYERS = {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": "Content-Length, Content-Range"}
# Of a page's words nothing is to be made but text.
_AS_TOLD = {"X-Content-Type-Options": "nosniff"}


_RESPONSES: dict[int | str, dict[str, Any]] = {
    **documented(400, 404, 503),
    206: {"description": "The range asked for."},
    416: {"description": "No such range."},
}


@router.head("/{name:path}", response_class=FileResponse, responses=_RESPONSES)
@router.get("/{name:path}", response_class=FileResponse, responses=_RESPONSES)
async def file(
    request: Request, app_id: AppId, task_id: TaskId, name: str, settings: WithSettings, gateway: WithGateway
) -> Response:
    """A file of a task, whole or a range of it. A playlist may change while the task records."""
    path = await run_in_threadpool(_find, task_folder(here(settings.data_path), app_id, task_id), name)
    found = None
    if path is not None:
        kind = MEDIA_TYPES[path.suffix]
        if path.suffix in _REPLACED:
            # Small, and replaced while it is served: its length must be that of the very bytes sent.
            text = await run_in_threadpool(_read, path)
            if text is not None:
                return Response(text, media_type=kind, headers=_headers(path.suffix))
        else:
            return FileResponse(path, media_type=kind, headers=_headers(path.suffix))
    suffix = PurePosixPath(name).suffix
    if settings.storage.url is not None and suffix in MEDIA_TYPES and _plain(name):
        remote = await _remote(app_id, task_id, settings, gateway)
        found = await stored(remote, name, request.headers.get("range"), MEDIA_TYPES[suffix], _headers(suffix))
    if found is None:
        raise ApiError(404, f"Task {task_id} has no file of that name.", code="file_not_found")
    return found


_remotes: dict[tuple[str, str], Remote] = {}


async def _remote(app_id: str, task_id: str, settings: Settings, gateway: Gateway) -> Remote:
    """Where a task's files are; `ApiError` 404 for an unknown task."""
    key = (app_id, task_id)
    if key not in _remotes:
        from recorders.storage.remote import Remote

        place = place_of(await find(gateway, app_id, task_id), settings.storage, "")
        assert place is not None
        if len(_remotes) >= _REMOTES:
            _remotes.pop(next(iter(_remotes)))
        _remotes[key] = Remote(place.url, place.path)
    return _remotes[key]


def _headers(suffix: str) -> dict[str, str]:
    return {**_PLAYERS, **_AS_TOLD, "Cache-Control": "no-cache" if suffix in _REPLACED else "public, max-age=86400"}


def _plain(name: str) -> bool:
    """Whether it is a name of ours, and nothing that leads elsewhere."""
    return name.isprintable() and all(part and not part.startswith(".") for part in name.split("/"))


def _read(path: Path) -> bytes | None:
    """None when it has just gone to the store."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _find(folder: Path, name: str) -> Path | None:
    """The file of that name below the folder; never one beyond it, nor one that is still being written."""
    if "\0" in name:
        return None
    try:
        path = (folder / name).resolve()
        inside = path.is_relative_to(folder.resolve())
        known = path.suffix in MEDIA_TYPES and not path.name.startswith(".")
        return path if inside and known and path.is_file() else None
    except OSError:  # a name that is too long
        return None
