"""Start, stop, status and list: the endpoints about tasks."""

from __future__ import annotations

import secrets
import time
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query

from egress_ray.api import limits
from egress_ray.api.context import AppId, TaskId, WithGateway, WithSettings, WithVault, documented
from egress_ray.api.errors import ApiError, invalid
from egress_ray.api.managers import bounded
from egress_ray.api.models import (
    ErrorDetail,
    ListReply,
    StartReply,
    StartRequest,
    StatusReply,
    StopReply,
    TaskRequest,
)
from egress_ray.api.rules import problems
from egress_ray.settings import Settings
from egress_ray.tasks import ChannelTaken, NewTask, Refusal, RequestConflict, State, Task
from egress_ray.tokens.claims import BadToken, Claim
from egress_ray.tokens.door import check_start
from recorders.sources import source_of

router = APIRouter(prefix="/egress/v1/{app_id}/tasks", tags=["tasks"])


@router.post("", responses=documented(400, 403, 409, 413, 503))
async def start(
    app_id: AppId, body: StartRequest, gateway: WithGateway, settings: WithSettings, vault: WithVault
) -> StartReply:
    """Start a task. The same request again answers with the same task."""
    found = problems(app_id, body, settings)
    if found:
        raise invalid(found, body.request_id)
    token = body.payload.access_token.get_secret_value() if body.payload.access_token is not None else None
    if token is not None:
        _let_in(app_id, body, token, settings)
    plain = body.model_dump_json().encode() + (token or "").encode()
    new = NewTask(
        app_id=app_id,
        task_id=secrets.token_hex(8),
        request_id=body.request_id,
        cmd=body.cmd,
        payload=body.payload.model_dump(mode="json", exclude={"access_token"}, exclude_none=True),
        fingerprint=vault.fingerprint(plain),
        access_token=token,
        alone=token is not None and source_of(app_id, body.payload.channel or "", settings.sources) == "whip",
    )
    task = await bounded(gateway, gateway.manager.start(new), body.request_id)
    if isinstance(task, Refusal):
        raise ApiError(503, task.why, request_id=body.request_id)
    if isinstance(task, RequestConflict):
        message = f"Request id {body.request_id} was used before with another body, for task {task.task_id}."
        detail = ErrorDetail(field="request_id", message="was used before with another body")
        raise ApiError(409, message, request_id=body.request_id, details=[detail])
    if isinstance(task, ChannelTaken):
        channel = body.payload.channel
        message = f"Channel {channel} is recorded by task {task.task_id}, and its publishers can push to one only."
        detail = ErrorDetail(field="payload.channel", message=f"is recorded by task {task.task_id} already")
        raise ApiError(409, message, request_id=body.request_id, details=[detail], code="channel_is_recorded")
    return StartReply(request_id=body.request_id, task_id=task.task_id, status=task.state.lower())


@router.post("/{task_id}/stop", responses=documented(400, 404, 413, 503))
async def stop(app_id: AppId, task_id: TaskId, body: TaskRequest, gateway: WithGateway) -> StopReply:
    """Stop a task; one that has ended stays as it is."""
    stopped = await bounded(gateway, gateway.manager.stop(app_id, task_id), body.request_id)
    if stopped is None:
        raise _unknown(app_id, task_id, body.request_id)
    task, had_ended = stopped
    if had_ended:
        message = f"Task already in terminal state: {task.state}"
        return StopReply(request_id=body.request_id, status="completed", message=message)
    message = f"Stop task enqueued for task {task_id}"
    return StopReply(request_id=body.request_id, status="enqueued", message=message)


@router.post("/{task_id}/status", responses=documented(400, 404, 413, 503))
async def status(app_id: AppId, task_id: TaskId, body: TaskRequest, gateway: WithGateway) -> StatusReply:
    """A task as it is; `request_id` is this request's."""
    return status_reply(await find(gateway, app_id, task_id, body.request_id), body.request_id)


@router.post("/{task_id}/update", responses=documented(400, 413), response_model=None)
async def update(app_id: AppId, task_id: TaskId) -> None:
    """Not supported yet."""
    raise invalid([ErrorDetail(field="cmd", message="update is not supported yet")])


@router.get("/{task_id}", responses=documented(400, 404, 503))
async def task(app_id: AppId, task_id: TaskId, gateway: WithGateway) -> StatusReply:
    """A task as it is; `request_id` is that of its start."""
    found = await find(gateway, app_id, task_id)
    return status_reply(found, found.request_id)


@router.get("", responses=documented(400, 503))
async def tasks(
    app_id: AppId,
    gateway: WithGateway,
    state: State | None = None,
    cmd: Literal["record", "snapshot", "rtmp", "whip"] | None = None,
    limit: Annotated[int, Query(ge=limits.PAGE[0], le=limits.PAGE[1])] = 50,
    cursor: Annotated[str | None, Query(pattern=limits.CURSOR)] = None,
) -> ListReply:
    """This app's tasks, newest first."""
    page = await bounded(gateway, gateway.manager.tasks(app_id, state, cmd, limit, cursor))
    return ListReply(tasks=[status_reply(each, each.request_id) for each in page.tasks], cursor=page.cursor)


async def find(gateway: WithGateway, app_id: str, task_id: str, request_id: str = "") -> Task:
    """The task; `ApiError` 404 when this app has none of that id."""
    found = await bounded(gateway, gateway.manager.task(app_id, task_id), request_id)
    if found is None:
        raise _unknown(app_id, task_id, request_id)
    return found


def _let_in(app_id: str, body: StartRequest, token: str, settings: Settings) -> None:
    """`ApiError` 403 when the access token does not allow what is asked for."""
    payload = body.payload
    claim = Claim(app_id, payload.channel or "", str(payload.workerUid), time.time())
    try:
        check_start(token, claim, settings)
    except BadToken as error:
        detail = ErrorDetail(field="payload.access_token", message=str(error))
        raise ApiError(403, f"The access token {error}.", request_id=body.request_id, details=[detail]) from None


def status_reply(task: Task, request_id: str) -> StatusReply:
    """A task in its documented form."""
    payload: dict[str, Any] = {
        name: value
        for name, value in task.payload.items()
        if name not in ("filename_pattern", "format", "video", "audio")
    }
    payload["files"] = list(task.files)
    payload |= {name: task.payload.get(name) for name in ("format", "video", "audio")}
    return StatusReply(
        request_id=request_id,
        task_id=task.task_id,
        state=task.state,
        action=task.action,
        created_at=_rfc3339(task.created_at),
        error=task.error,
        message=task.message,
        reason=task.reason,
        payload=payload,
    )


def _rfc3339(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def _unknown(app_id: str, task_id: str, request_id: str) -> ApiError:
    return ApiError(404, f"App {app_id} has no task {task_id}.", request_id=request_id)
