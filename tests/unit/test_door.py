"""Who is let in: a start and a publisher, by the source that serves the channel and what is in the settings."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from egress_ray.manager.states import Event
from egress_ray.settings import Settings, load
from egress_ray.tokens.claims import BadToken, Claim
from egress_ray.tokens.door import check_start, may_publish
from tests.unit.agora_tokens import APP_ID, CERTIFICATE, Making, rtc
from tests.unit.api_client import TOKEN, serving
from tests.unit.test_livekit_token import KEY, SECRET, made

NOW = int(time.time())
DAY = 86_400  # all the tests of a session may run before these do
PUBLISHING = ((1, DAY), (2, DAY), (3, DAY))
OPAQUE = "007eJxt9VMp+//+i9SOE"


def token(channel: str = "room", uid: str = "42", certificate: str = CERTIFICATE, **of: Any) -> str:
    privileges = of.pop("privileges", ((1, DAY),))
    made_of = {"issued": NOW, "expire": DAY, "certificate": certificate, **of}
    return str(Making((rtc(channel, uid, privileges),), **made_of))


@pytest.fixture
def certified(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EGRESS_TOKENS__AGORA_CERTIFICATES", f'{{"{APP_ID}": "{CERTIFICATE}"}}')


def configured(source: str) -> Settings:
    return load({"sources": {"rules": [{"channel": "demo*", "source": "demo"}, {"source": source}]}})


def lets_in(given: str, settings: Settings, app_id: str = APP_ID, channel: str = "room") -> str:
    """Why not, or an empty string."""
    try:
        check_start(given, Claim(app_id, channel, "42", NOW), settings)
    except BadToken as error:
        return str(error)
    return ""


def test_without_a_certificate_only_agora_needs_a_token_and_believes_it() -> None:
    for source in ("whip", "media", "janus"):
        assert lets_in(OPAQUE, configured(source)) == ""
    agora = configured("agora")
    assert lets_in(OPAQUE, agora) == "is not base64 behind its version"
    assert lets_in(OPAQUE, agora, channel="demo1") == ""
    assert lets_in(token(certificate="0" * 32), agora) == ""
    assert lets_in(token(uid="1"), agora) == "is for another user"
    assert lets_in(token(), agora, app_id="other") == "is of another app"


@pytest.mark.usefixtures("certified")
def test_with_a_certificate_what_nobody_else_would_check_is_checked() -> None:
    for source in ("agora", "whip", "media"):
        settings = configured(source)
        assert lets_in(token(), settings) == ""
        assert lets_in(token(certificate="0" * 32), settings) == "is not signed with this app's certificate"
        assert lets_in(OPAQUE, settings) == "is not base64 behind its version"
        assert lets_in(OPAQUE, settings, channel="demo1") == ""
    assert lets_in(OPAQUE, configured("whip"), app_id="other") == "", "other apps have no certificate"
    assert lets_in(OPAQUE, configured("janus")) == "", "Janus checks its pin itself"


@pytest.mark.usefixtures("certified")
def test_who_may_publish_may_share_a_screen() -> None:
    settings, own = configured("whip"), token(uid="ada", privileges=PUBLISHING)
    for user in ("ada", "ada-screen"):
        assert may_publish(own, Claim(APP_ID, "room", user, NOW), settings)
    for user in ("ben", "ben-screen", "ada-screens"):
        with pytest.raises(BadToken, match="is for another user"):
            may_publish(own, Claim(APP_ID, "room", user, NOW), settings)


def test_livekit_needs_its_own_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    grant = {"roomJoin": True, "room": "room"}
    forged = made("another-secret-of-thirty-two-characters", video=grant)
    assert lets_in(forged, configured("livekit")) == ""
    assert lets_in(OPAQUE, configured("livekit")) == "is not a JWT"
    monkeypatch.setenv("EGRESS_SOURCES__LIVEKIT__API_KEY", KEY)
    monkeypatch.setenv("EGRESS_SOURCES__LIVEKIT__API_SECRET", SECRET)
    assert lets_in(forged, configured("livekit")) == "is not signed with this server's secret"
    assert lets_in(made(video=grant), configured("livekit")) == ""


@pytest.mark.usefixtures("certified")
def test_a_start_that_is_not_let_in_is_a_403_that_names_why(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with serving(tmp_path) as api:
        url = f"/egress/v1/{APP_ID}/tasks"

        def start(given: str, **changed: Any) -> Any:
            payload = {"channel": "room", "workerUid": 42, "access_token": given, **changed}
            return api.http.post(url, json={"request_id": "r1", "cmd": "record", "payload": payload})

        expired = token(expire=0)
        refused = start(expired)
        assert refused.status_code == 403
        why = f"has expired at {time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(NOW))}"
        assert refused.json() == {
            "request_id": "r1",
            "error": f"The access token {why}.",
            "code": "forbidden",
            "details": [{"field": "payload.access_token", "message": why}],
        }
        assert start(OPAQUE).status_code == 403
        assert start(expired, workerUid=0).status_code == 400, "what is wrong with the request is told first"
        assert api.manager.started == []
        assert start(OPAQUE, channel="egress_test").status_code == 200, "the documented example"
        assert start(token(), channel="room").status_code == 409
        assert expired not in caplog.text
        assert expired not in refused.text


@pytest.mark.usefixtures("certified")
def test_a_publisher_may_come_with_a_token_of_its_own(tmp_path: Path) -> None:
    with serving(tmp_path) as api:
        channel = f"/egress/v1/{APP_ID}/channels/egress_test"
        payload = {"channel": "egress_test", "workerUid": 42, "access_token": TOKEN}
        body = {"request_id": "r1", "cmd": "record", "payload": payload}
        task = api.http.post(f"/egress/v1/{APP_ID}/tasks", json=body).json()["task_id"]
        assert asyncio.run(api.manager.move(APP_ID, task, Event.CLAIMED)) is not None

        def publish(given: str, user: str = "user1") -> Any:
            headers = {"content-type": "application/sdp", "Authorization": f"Bearer {given}"}
            return api.http.post(f"{channel}/whip/{user}", content="v=0", headers=headers)

        own = token("egress_test", "user1", privileges=PUBLISHING)
        assert publish(own).status_code == 201
        forged = token("egress_test", "user1", "0" * 32, privileges=PUBLISHING)
        assert publish(TOKEN).status_code == 201, "the recording's own, for whomever"
        for bad, why in (
            (token("egress_test", "user2", privileges=PUBLISHING), "is for another user"),
            (token("egress_test", "user1"), "does not allow to publish"),
            (token("room", "user1", privileges=PUBLISHING), "is for another channel"),
            (forged, "is not signed with this app's certificate"),
        ):
            refused = publish(bad)
            assert (refused.status_code, refused.json()["error"]) == (403, f"The bearer token {why}.")
        assert publish("another-token").json()["error"] == "The bearer token is not this recording's access token."
        left = api.http.delete(f"{channel}/whip/user1/session1", headers={"Authorization": f"Bearer {own}"})
        assert left.status_code == 200
