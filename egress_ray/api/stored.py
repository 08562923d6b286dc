"""A file out of the object store over HTTP, whole or a range of it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any

from starlette.responses import Response, StreamingResponse

from egress_ray.api.errors import ApiError
from recorders.errors import StorageAway

if TYPE_CHECKING:
    from recorders.storage.remote import Remote

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
_UNSATISFIABLE = 416


async def stored(
    remote: Remote, name: str, asked: str | None, media_type: str, headers: Mapping[str, str]
) -> Response | None:
    """The response to a request with the Range header `asked`; None when there is no such file.

    Raises `ApiError` 503 when the store cannot be reached. A range that is not understood, or is several, is ignored.
    """
    try:
        size = await remote.size(name)
        if size is None:
            return None
        start, end = _range(asked, size)
        if start >= end and asked and size:
            return Response(status_code=_UNSATISFIABLE, headers={"Content-Range": f"bytes */{size}"})
        found = await remote.open(name, start, end) if size else None
    except StorageAway as error:
        raise ApiError(503, str(error)) from None
    partial = (start, end) != (0, size)
    told = {**headers, "Accept-Ranges": "bytes", "Content-Length": str(end - start)}
    if partial:
        told["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    body = _bytes(found) if found is not None else iter(())
    return StreamingResponse(body, 206 if partial else 200, told, media_type)


def _range(asked: str | None, size: int) -> tuple[int, int]:
    """From, and before which, byte; empty when the range is beyond the end."""
    found = _RANGE.fullmatch((asked or "").strip())
    if found is None or found.groups() == ("", ""):
        return 0, size
    first, last = found.groups()
    if not first:  # so many at the end
        return (max(0, size - int(last)), size) if int(last) else (size, size)
    start = int(first)
    end = min(size, int(last) + 1) if last else size
    if last and int(last) < start:
        return 0, size
    return min(start, size), end


async def _bytes(chunks: AsyncIterator[Any]) -> AsyncIterator[bytes]:
    async for chunk in chunks:
        yield bytes(chunk)
