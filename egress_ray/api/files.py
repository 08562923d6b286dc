"""A task's files over HTTP: playlist, parts, single file, manifest; while it records, too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.responses import FileResponse, Response

from egress_ray.api.context import AppId, TaskId, WithSettings, documented
from egress_ray.api.errors import ApiError
from egress_ray.folders import task_folder

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
}
_PLAYERS = {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": "Content-Length, Content-Range"}


_RESPONSES: dict[int | str, dict[str, Any]] = {
    **documented(400, 404),
    206: {"description": "The range asked for."},
    416: {"description": "No such range."},
}


@router.head("/{name:path}", response_class=FileResponse, responses=_RESPONSES)
@router.get("/{name:path}", response_class=FileResponse, responses=_RESPONSES)
async def file(app_id: AppId, task_id: TaskId, name: str, settings: WithSettings) -> Response:
    """A file of a task, whole or a range of it. A playlist may change while the task records."""
    folder = task_folder(settings.data_path, app_id, task_id)
    path = await run_in_threadpool(_find, folder, name)
    if path is None:
        raise ApiError(404, f"Task {task_id} has no file of that name.", code="file_not_found")
    kind = MEDIA_TYPES[path.suffix]
    if path.suffix in (".m3u8", ".json"):
        # Small, and replaced while it is served: its length must be that of the very bytes sent.
        text = await run_in_threadpool(path.read_bytes)
        return Response(text, media_type=kind, headers={**_PLAYERS, "Cache-Control": "no-cache"})
    return FileResponse(path, media_type=kind, headers={**_PLAYERS, "Cache-Control": "public, max-age=86400"})


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
