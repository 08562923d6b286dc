"""Every error of the REST API in its documented shape; no input is ever echoed but the request id."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from egress_ray.api import limits
from egress_ray.api.models import ErrorDetail, ErrorReply

CODES = {
    400: "invalid_request",
    401: "unauthenticated",
    403: "forbidden",
    404: "task_not_found",
    409: "request_id_conflict",
    412: "ice_session_over",
    413: "body_too_large",
    428: "if_match_required",
    503: "unavailable",
}
_MESSAGES = {
    "missing": "is required",
    "extra_forbidden": "is not a known field",
    "json_invalid": "is not valid JSON",
    "model_attributes_type": "must be an object",
    "model_type": "must be an object",
    "dict_type": "must be an object",
}


class ApiError(Exception):
    """An error reply. `code` is by default the documented one of the status."""

    def __init__(
        self,
        status: int,
        error: str,
        *,
        request_id: str = "",
        details: Sequence[ErrorDetail] = (),
        code: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(error)
        self.status = status
        self.error = error
        self.request_id = request_id
        self.details = list(details)
        self.code = code or CODES[status]
        self.headers = headers


def reply(error: ApiError) -> JSONResponse:
    """An error as a response."""
    body = ErrorReply(request_id=error.request_id, error=error.error, code=error.code, details=error.details)
    return JSONResponse(body.model_dump(), error.status, error.headers)


def invalid(details: Sequence[ErrorDetail], request_id: str = "") -> ApiError:
    """A 400 that names its fields; its sentence is the first of them."""
    first = details[0]
    more = f" (and {len(details) - 1} more)" if len(details) > 1 else ""
    return ApiError(400, f"{first.field} {first.message}{more}.", request_id=request_id, details=details)


def refused(error: RequestValidationError) -> ApiError:
    """A 400 for a request that is not what its endpoint takes."""
    return invalid([_detail(each) for each in error.errors()], _request_id(error.body))


def install(app: FastAPI) -> None:
    """Turn whatever goes wrong into the documented shape."""

    @app.exception_handler(ApiError)
    async def api_error(_request: Request, error: ApiError) -> JSONResponse:
        return reply(error)

    @app.exception_handler(RequestValidationError)
    async def validation_error(_request: Request, error: RequestValidationError) -> JSONResponse:
        return reply(refused(error))

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> JSONResponse:
        if error.status_code == 404:
            return reply(ApiError(404, f"There is nothing at {request.url.path}.", code="not_found"))
        if error.status_code == 405:
            message = f"{request.method} is not a method of {request.url.path}."
            return reply(ApiError(405, message, code="method_not_allowed", headers=dict(error.headers or {})))
        if error.status_code == 400:  # a body that could not be read as JSON at all
            return reply(invalid([ErrorDetail(field="body", message="is not valid JSON")]))
        return reply(ApiError(error.status_code, str(error.detail), code="error"))


def _detail(error: dict[str, Any]) -> ErrorDetail:
    where = [str(part) for part in error["loc"]]
    if where[0] in ("body", "path", "query", "header") and len(where) > 1:
        where = where[1:]
    kind = error["type"]
    if kind == "json_invalid":
        where = ["body"]
    message = _MESSAGES.get(kind) or str(error["msg"])
    message = re.sub(r"^(Input|String|Value|List|Value error,) ", "", message)
    return ErrorDetail(field=".".join(where), message=message)


def _request_id(body: Any) -> str:
    """The request id of a refused body, when it is one."""
    found = body.get("request_id") if isinstance(body, dict) else None
    return found if isinstance(found, str) and re.fullmatch(limits.REQUEST_ID, found) else ""
