"""What handlers share: the types of path parts, the replica's settings and gateway, and documented errors."""

from __future__ import annotations

from typing import Annotated, Any, cast

from fastapi import Depends, Path, Request

from egress_ray.api import limits
from egress_ray.api.managers import Gateway
from egress_ray.api.models import ErrorReply
from egress_ray.secrets import Vault
from egress_ray.settings import Settings

AppId = Annotated[str, Path(pattern=limits.APP_ID, examples=["my_app"])]
TaskId = Annotated[str, Path(pattern=limits.TASK_ID, examples=["1ta5k3552"])]
Channel = Annotated[str, Path(pattern=limits.CHANNEL, examples=["egress_test"])]
User = Annotated[str, Path(pattern=limits.USER, examples=["user1"])]

_MEANINGS = {
    400: "A field is not as documented; details name it.",
    401: "No bearer token.",
    403: "The token is not valid for this channel.",
    404: "There is no such task in this app.",
    409: "The request id was used before with another body, or the channel, to which publishers push, is recorded "
    "already.",
    412: "The ICE session that If-Match names is over.",
    413: "The body is over 64 KiB.",
    415: "The content type is not the one that is documented.",
    428: "If-Match is missing.",
    503: "The manager or its store cannot be reached; nothing was accepted.",
}


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Error replies for the OpenAPI document."""
    return {status: {"model": ErrorReply, "description": _MEANINGS[status]} for status in statuses}


def _gateway(request: Request) -> Gateway:
    return cast(Gateway, request.app.state.gateway)


def _settings(request: Request) -> Settings:
    return cast(Settings, request.app.state.settings)


def _vault(request: Request) -> Vault:
    return cast(Vault, request.app.state.vault)


WithGateway = Annotated[Gateway, Depends(_gateway)]
WithSettings = Annotated[Settings, Depends(_settings)]
WithVault = Annotated[Vault, Depends(_vault)]
