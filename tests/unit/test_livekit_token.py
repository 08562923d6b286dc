"""LiveKit's JWT: tokens made by LiveKit's own library hold, and every kind of bad one is refused with its own error."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import timedelta
from typing import Any

import jwt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from livekit import api

from egress_ray.tokens.claims import BadToken, Claim
from egress_ray.tokens.livekit import check

KEY, SECRET = "APIkey12345", "a-secret-of-thirty-two-characters"
NOW = time.time()
CLAIM = Claim("app", "meeting", "42", NOW)


def made_by_livekit(**grants: Any) -> str:
    asked = api.VideoGrants(**{"room_join": True, "room": "meeting", **grants})
    token = api.AccessToken(KEY, SECRET).with_identity("42").with_grants(asked).with_ttl(timedelta(minutes=10))
    return token.to_jwt()


def made(secret: str = SECRET, algorithm: str = "HS256", **changed: Any) -> str:
    claims = {
        "iss": KEY,
        "sub": "42",
        "nbf": int(NOW) - 1,
        "exp": int(NOW) + 600,
        "video": {"roomJoin": True, "room": "meeting"},
        **changed,
    }
    kept = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(kept, secret if algorithm != "none" else "", algorithm)


def test_tokens_made_by_livekit_hold() -> None:
    for token in (made_by_livekit(), made_by_livekit(hidden=True, recorder=True, can_publish=False)):
        now = replace(CLAIM, now=time.time())
        check(token, now, KEY, SECRET)
        check(token, now, None, None)
    check(made(), CLAIM, KEY, SECRET)


BAD = {
    "a pin": ("a-pin-of-somebody", "is not a JWT"),
    "an AccessToken2": ("007eJxt9VMp+//+i9SOE", "is not a JWT"),
    "half": (made()[:60], "is not a JWT"),
    "no algorithm": (made(algorithm="none"), "is signed by another algorithm than HS256"),
    "another algorithm": (made(SECRET * 2, algorithm="HS512"), "is signed by another algorithm than HS256"),
    "another secret": (made(SECRET[::-1]), "is not signed with this server's secret"),
    "changed signature": (made()[:-4] + "AAAA", "is not signed with this server's secret"),
    "another key": (made(iss="APIother"), "is issued under another API key"),
    "never expires": (made(exp=None), "never expires: it needs an exp"),
    "expires at no time": (made(exp="tomorrow"), "has an exp that is no time"),
    "begins at no time": (made(nbf=[]), "has an nbf that is no time"),
    "expired": (made(exp=1111111), "has expired at 1970-01-13T20:38:31Z"),
    "not yet valid": (made(nbf=32503680000, exp=32503680060), "is not valid before 3000-01-01T00:00:00Z"),
    "no grant": (made(video=None), "does not allow to join a room"),
    "grant of nothing": (made(video="all"), "does not allow to join a room"),
    "no joining": (made(video={"room": "meeting", "roomJoin": "true"}), "does not allow to join a room"),
    "another room": (made(video={"room": "other", "roomJoin": True}), "is for another room"),
    "any room": (made(video={"roomJoin": True}), "is for another room"),
    "no subscribing": (made_by_livekit(can_subscribe=False), "does not allow to subscribe"),
    "another identity": (made(sub="alice"), "is for another identity: it must be the workerUid"),
}


@pytest.mark.parametrize(("token", "why"), BAD.values(), ids=BAD)
def test_bad_tokens_each_with_its_own_error(token: str, why: str) -> None:
    with pytest.raises(BadToken) as refusal:
        check(token, CLAIM, KEY, SECRET)
    assert str(refusal.value) == why


def test_without_key_and_secret_the_signature_is_believed_and_nothing_else() -> None:
    for name, (token, why) in BAD.items():
        if name in ("another secret", "changed signature", "another key"):
            check(token, CLAIM, None, None)
        else:
            with pytest.raises(BadToken, match=why.split(":")[0]):
                check(token, CLAIM, None, None)


@settings(deadline=None)
@given(st.text(max_size=80) | st.lists(st.text(max_size=30), min_size=3, max_size=3).map(".".join))
def test_any_text_is_refused(text: str) -> None:
    with pytest.raises(BadToken):
        check(text, CLAIM, None, None)
