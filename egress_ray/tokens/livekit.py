"""LiveKit's access token: a JWT (RFC 7519) signed by HS256 whose `video` grant names the room."""

from __future__ import annotations

from typing import Any

import jwt

from egress_ray.tokens.claims import BadToken, Claim, moment

# Clocks of those who issue tokens may be ahead of ours by so much.
_LEEWAY_S = 60


def check(token: str, claim: Claim, key: str | None, secret: str | None) -> None:
    """Raises `BadToken` unless the claim may join and subscribe; without key and secret the signature is believed."""
    content = _content(token)
    if secret is not None:
        _signed(token, secret)
        if content.get("iss") != key:
            raise BadToken("is issued under another API key")
    expires, begins = _time(content, "exp"), _time(content, "nbf")
    if expires is None:
        raise BadToken("never expires: it needs an exp")
    if expires <= claim.now:
        raise BadToken(f"has expired at {moment(expires)}")
    if begins is not None and begins > claim.now + _LEEWAY_S:
        raise BadToken(f"is not valid before {moment(begins)}")
    grant = content.get("video")
    if not isinstance(grant, dict) or grant.get("roomJoin") is not True:
        raise BadToken("does not allow to join a room")
    if grant.get("room") != claim.channel:
        raise BadToken("is for another room")
    if grant.get("canSubscribe", True) is not True:
        raise BadToken("does not allow to subscribe")
    if content.get("sub") != claim.uid:
        raise BadToken("is for another identity: it must be the workerUid")


def _content(token: str) -> dict[str, Any]:
    try:
        algorithm = jwt.get_unverified_header(token).get("alg")
        content: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    except jwt.InvalidTokenError:
        raise BadToken("is not a JWT") from None
    if algorithm != "HS256":
        raise BadToken("is signed by another algorithm than HS256")
    return content


def _signed(token: str, secret: str) -> None:
    try:
        jwt.PyJWS().decode(token, secret, algorithms=["HS256"])
    except jwt.InvalidTokenError:
        raise BadToken("is not signed with this server's secret") from None


def _time(content: dict[str, Any], name: str) -> float | None:
    value = content.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1 << 40:
        raise BadToken(f"has an {name} that is no time")
    return value
