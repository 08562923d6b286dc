"""WHIP (RFC 9725): publishing into a channel that is being recorded by the embedded back end."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.responses import Response

from egress_ray.api.context import AppId, Channel, User, WithGateway, WithSettings, documented
from egress_ray.api.errors import ApiError, invalid, refused, reply
from egress_ray.api.managers import Gateway, bounded
from egress_ray.api.models import ErrorDetail
from egress_ray.settings import Settings
from egress_ray.tokens.claims import BadToken, Claim
from egress_ray.tokens.door import may_publish

_CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "POST, PATCH, DELETE, OPTIONS",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, If-Match",
    "Access-Control-Expose-Headers": "Location, ETag, Link, Accept-Patch",
}
_RETRY_AFTER_S = "1"
_OFFER, _FRAGMENT = "application/sdp", "application/trickle-ice-sdpfrag"
_SDP = {_OFFER: {"schema": {"type": "string"}}}
_ICE = {_FRAGMENT: {"schema": {"type": "string"}}}
_ACCEPTS = {"Accept-Post": _OFFER, "Accept-Patch": _FRAGMENT}
Authorization = Annotated[str | None, Header(description="Bearer and the recording's access token, or a user's own")]


class _Readable(APIRoute):
    """A browser's script may read whatever is answered."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                response = await handler(request)
            except RequestValidationError as error:
                response = reply(refused(error))
            except ApiError as error:
                response = reply(error)
            response.headers.update(_CORS)
            return response

        return handle


router = APIRouter(prefix="/egress/v1/{app_id}/channels/{channel}/whip/{user}", tags=["whip"], route_class=_Readable)


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
    offer = await _body(request, _OFFER)
    recording = await _recording(gateway, app_id, channel)
    publication = await bounded(gateway, gateway.publish(recording, user, token, offer))
    if publication.status == "forbidden":
        raise ApiError(403, why or publication.error)
    if publication.status == "busy":
        raise ApiError(503, publication.error, headers={"Retry-After": _RETRY_AFTER_S})
    if publication.status != "created":
        raise invalid([ErrorDetail(field="body", message=f"was refused: {publication.error}")])
    response = Response(publication.answer, 201, {**_ACCEPTS, "ETag": publication.etag}, _OFFER)
    response.headers["Location"] = f"{request.url.path.rstrip('/')}/{publication.resource}"
    for link in _ice_servers(settings):
        response.headers.append("Link", link)
    return response


@router.patch(
    "/{resource}",
    status_code=204,
    response_class=Response,
    responses={
        200: {"description": "ICE was restarted; our side of it.", "content": _ICE},
        204: {"description": "The candidates were taken."},
        **documented(400, 401, 403, 404, 412, 413, 415, 428, 503),
    },
    openapi_extra={"requestBody": {"required": True, "content": _ICE}},
)
async def patch(
    app_id: AppId,
    channel: Channel,
    user: User,
    resource: str,
    request: Request,
    gateway: WithGateway,
    settings: WithSettings,
    authorization: Authorization = None,
    if_match: Annotated[str | None, Header(description="The session's ETag, or * to restart ICE")] = None,
) -> Response:
    """More ICE candidates of a publisher (trickle ICE), or with another ufrag, an ICE restart."""
    token, why = _key(_bearer(authorization), Claim(app_id, channel, user, time.time()), settings)
    fragment = await _body(request, _FRAGMENT)
    if if_match is None:
        raise ApiError(428, "If-Match must name the ICE session: its ETag, or * to restart ICE.")
    recording = await _recording(gateway, app_id, channel)
    publication = await bounded(gateway, gateway.patch(recording, resource, token, fragment, if_match))
    match publication.status:
        case "forbidden":
            raise ApiError(403, why or publication.error)
        case "unknown":
            raise _no_session()
        case "stale":
            raise ApiError(412, "The ICE session that If-Match names is over.")
        case "refused":
            raise invalid([ErrorDetail(field="body", message=f"was refused: {publication.error}")])
        case "restarted":
            return Response(publication.answer, 200, {"ETag": publication.etag}, _FRAGMENT)
    return Response(status_code=204)


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
        raise ApiError(403, why or publication.error)
    if publication.status != "deleted":
        raise _no_session()
    return Response(status_code=200)


@router.options("", include_in_schema=False)
@router.options("/{resource}", include_in_schema=False)
async def preflight() -> Response:
    """A browser asks whether it may."""
    return Response(status_code=204, headers=_ACCEPTS)


async def _body(request: Request, content_type: str) -> str:
    if request.headers.get("content-type", "").split(";")[0].strip().lower() != content_type:
        message = f"The content type must be {content_type}."
        raise ApiError(415, message, code="unsupported_media_type", headers=_ACCEPTS)
    try:
        return (await request.body()).decode()
    except UnicodeDecodeError:
        raise invalid([ErrorDetail(field="body", message="is not SDP")]) from None


def _ice_servers(settings: Settings) -> Iterator[str]:
    """The servers that a publisher is to use, as Link headers (RFC 9725, section 4.6)."""
    whip = settings.sources.whip
    if whip.stun_url:
        yield f'<{whip.stun_url}>; rel="ice-server"'
    if whip.turn_url:
        password = whip.turn_credential.get_secret_value() if whip.turn_credential else ""
        fields = {"username": whip.turn_username or "", "credential": password, "credential-type": "password"}
        yield f'<{whip.turn_url}>; rel="ice-server"' + "".join(f"; {key}={_quoted(v)}" for key, v in fields.items())


def _quoted(value: str) -> str:
    """A quoted-string (RFC 9110, section 5.6.4)."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _no_session() -> ApiError:
    return ApiError(404, "There is no such session.", code="session_not_found")


def _bearer(authorization: str | None) -> str:
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        message = "Publishing needs the recording's access token as a bearer token."
        raise ApiError(401, message, headers={"WWW-Authenticate": "Bearer"})
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
        raise ApiError(404, f"No recording of channel {channel} is live.", code="channel_not_live")
    return name
