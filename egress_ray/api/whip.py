"""WHIP (RFC 9725): publishing into a channel that is being recorded by the embedded back end."""

from __future__ import annotations

import time
from typing import Annotated

from fastapi import APIRouter, Header, Request
from starlette.responses import Response

from egress_ray.api.context import AppId, Channel, User, WithGateway, WithSettings, documented
from egress_ray.api.errors import ApiError, invalid
from egress_ray.api.managers import Gateway, bounded
from egress_ray.api.models import ErrorDetail
from egress_ray.settings import Settings
from egress_ray.tokens.claims import BadToken, Claim
from egress_ray.tokens.door import may_publish

router = APIRouter(prefix="/egress/v1/{app_id}/channels/{channel}/whip/{user}", tags=["whip"])

_CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "POST, DELETE, OPTIONS",
    "Access-Control-Allow-Headers": "Authorization, Content-Type",
    "Access-Control-Expose-Headers": "Location",
}
_SDP = {"application/sdp": {"schema": {"type": "string"}}}
Authorization = Annotated[str | None, Header(description="Bearer and the recording's access token, or a user's own")]


@router.post(
    "",
    status_code=201,
    response_class=Response,
    responses={
        201: {"description": "The SDP answer; `Location` is the session.", "content": _SDP},
        **documented(400, 401, 403, 404, 413, 415, 503),
    },
    openapi_extra={"requestBody": {"required": True, "content": _SDP}},
)
async def publish(
    app_id: AppId,
    channel: Channel,
    user: User,
    request: Request,
    gateway: WithGateway,
    settings: WithSettings,
    authorization: Authorization = None,
) -> Response:
    """Publish with an SDP offer."""
    token, why = _key(_bearer(authorization), Claim(app_id, channel, user, time.time()), settings)
    if request.headers.get("content-type", "").split(";")[0].strip().lower() != "application/sdp":
        raise ApiError(415, "The content type must be application/sdp.", code="unsupported_media_type")
    try:
        offer = (await request.body()).decode()
    except UnicodeDecodeError:
        raise invalid([ErrorDetail(field="body", message="is not an SDP offer")]) from None
    recording = await _recording(gateway, app_id, channel)
    publication = await bounded(gateway, gateway.publish(recording, user, token, offer))
    if publication.status == "forbidden":
        raise ApiError(403, why or publication.error, headers=_CORS)
    if publication.status != "created":
        raise invalid([ErrorDetail(field="body", message=f"was refused: {publication.error}")])
    headers = {**_CORS, "Location": f"{request.url.path.rstrip('/')}/{publication.resource}"}
    return Response(publication.answer, 201, headers, "application/sdp")


@router.delete("/{resource}", responses=documented(400, 401, 403, 404, 503))
async def unpublish(
    app_id: AppId,
    channel: Channel,
    user: User,
    resource: str,
    gateway: WithGateway,
    settings: WithSettings,
    authorization: Authorization = None,
) -> Response:
    """End a session; its URL is the `Location` of the publish."""
    token, why = _key(_bearer(authorization), Claim(app_id, channel, user, time.time()), settings)
    recording = await _recording(gateway, app_id, channel)
    publication = await bounded(gateway, gateway.unpublish(recording, resource, token))
    if publication.status == "forbidden":
        raise ApiError(403, why or publication.error, headers=_CORS)
    if publication.status != "deleted":
        raise ApiError(404, "There is no such session.", code="session_not_found", headers=_CORS)
    return Response(status_code=200, headers=_CORS)


@router.options("", include_in_schema=False)
@router.options("/{resource}", include_in_schema=False)
async def preflight() -> Response:
    """A browser asks whether it may."""
    return Response(status_code=204, headers=_CORS)


def _bearer(authorization: str | None) -> str:
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        message = "Publishing needs the recording's access token as a bearer token."
        raise ApiError(401, message, headers={**_CORS, "WWW-Authenticate": "Bearer"})
    return token.strip()


def _key(bearer: str, claim: Claim, settings: Settings) -> tuple[str | None, str]:
    """What to show to the recording: its own access token, or None for a user whose own token holds; and why that one
    does not."""
    try:
        return (None if may_publish(bearer, claim, settings) else bearer), ""
    except BadToken as error:
        return bearer, f"The bearer token {error}."


async def _recording(gateway: Gateway, app_id: str, channel: str) -> str:
    name = await bounded(gateway, gateway.manager.recording_of(app_id, channel))
    if name is None:
        raise ApiError(404, f"No recording of channel {channel} is live.", code="channel_not_live", headers=_CORS)
    return name
