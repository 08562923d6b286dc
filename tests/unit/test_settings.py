"""Where a setting's value comes from, and that secrets stay out of what is passed around."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from egress_ray.app import build
from egress_ray.settings import load


def test_the_environment_goes_before_the_config_and_that_before_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load({}).limits.enqueued_s == 30
    assert load({"limits": {"enqueued_s": 40, "stop_s": 7}}).limits.enqueued_s == 40
    monkeypatch.setenv("EGRESS_LIMITS__ENQUEUED_S", "50")
    settings = load({"limits": {"enqueued_s": 40, "stop_s": 7}})
    assert (settings.limits.enqueued_s, settings.limits.stop_s) == (50, 7)


def test_lists_are_json_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EGRESS_WEB__ALLOWED_HOSTS", '["*.example.org"]')
    monkeypatch.setenv("EGRESS_SOURCES__RULES", '[{"source": "janus"}]')
    settings = load({})
    assert settings.web.allowed_hosts == ("*.example.org",)
    assert settings.sources.rules[0].source == "janus"


def test_an_unknown_setting_is_refused_by_name() -> None:
    with pytest.raises(ValidationError, match=r"limits\.enqued_s"):
        load({"limits": {"enqued_s": 1}})


def test_secrets_come_from_the_environment_and_are_not_passed_around(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("API_SECRET", "TOKEN", "TURN_CREDENTIAL"):
        monkeypatch.setenv(f"EGRESS_SOURCES__JANUS__{name}", "hush-hush")
    monkeypatch.setenv("EGRESS_SECRETS__KEY", "hush-key")
    monkeypatch.setenv("EGRESS_TOKENS__AGORA_CERTIFICATES", '{"my_app": "hush-certificate"}')
    monkeypatch.setenv("EGRESS_SOURCES__LIVEKIT__API_KEY", "hush-api-key")
    monkeypatch.setenv("EGRESS_SOURCES__LIVEKIT__API_SECRET", "hush-api-secret")
    monkeypatch.setenv("EGRESS_SOURCES__WHIP__TURN_CREDENTIAL", "hush-turn")
    monkeypatch.setenv("EGRESS_SOURCES__MEDIA__URLS", '{"cameras": {"door": "rtsp://admin:hush@camera.example/1"}}')
    monkeypatch.setenv("EGRESS_STORE__URL", "postgresql://db.example/egress?user=me&password=hush")
    settings = load({})
    assert "hush" not in str(settings.without_secrets())
    assert "hush" not in repr(settings)
    again = load(settings.without_secrets())
    assert again.secret_key == "hush-key"
    assert again.tokens.certificate("my_app") == "hush-certificate"
    assert again.tokens.certificate("other") is None
    assert again.sources.livekit.secret == "hush-api-secret"
    assert again.sources.media.urls["cameras"]["door"].startswith("rtsp://admin:hush@")
    assert again.store_url.endswith("hush")
    janus = again.sources.janus
    assert None not in (janus.api_secret, janus.token, janus.turn_credential)


@pytest.mark.parametrize(
    "args",
    [
        {"secrets": {"key": "hush"}},
        {"tokens": {"agora_certificates": {"my_app": "hush"}}},
        {"sources": {"janus": {"api_secret": "hush"}}},
        {"sources": {"janus": {"turn_credential": "hush"}}},
        {"sources": {"livekit": {"api_key": "hush", "api_secret": "hush"}}},
        {"sources": {"whep": {"turn_credential": "hush"}}},
        {"sources": {"media": {"urls": {"cameras": {"door": "rtsp://admin:hush@camera.example/1"}}}}},
        {"store": {"url": "postgresql://me:hush@db.example/egress"}},
        {"store": {"url": "postgresql://db.example/egress?user=me&password=hush"}},
    ],
)
def test_a_secret_in_the_serve_config_is_refused(args: dict[str, Any]) -> None:
    with pytest.raises(
        ValueError, match=r"^Setting (secrets|tokens|sources|store)\.[a-z_.]+ holds a secret: .* environment"
    ):
        build(args)


def test_media_without_passwords_may_be_in_the_serve_config() -> None:
    urls = {"lobby": {"door": "rtsp://camera.example/1", "film": "/srv/film.mp4"}}
    settings = load({"sources": {"media": {"urls": urls}}})
    assert settings.without_secrets()["sources"]["media"]["urls"] == urls


def test_a_wrong_secret_is_named_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EGRESS_SOURCES__LIVEKIT__API_SECRET", "hush-api-secret")
    with pytest.raises(ValidationError, match="api_key and api_secret go together") as error:
        load({})
    assert "hush" not in str(error.value)


@pytest.mark.parametrize(
    ("source", "setting", "value"),
    [
        ("whip", "udp_ports", [50100, 50000]),
        ("whip", "udp_ports", [0, 100]),
        ("whip", "public_address", "node.example"),
        ("whip", "stun_url", "turn:turn.example"),
        ("whep", "turn_url", "https://turn.example"),
        ("whep", "url", "https://sfu.example/{channel}"),
        ("whep", "url", "https://sfu.example/{room}/{user}"),
        ("whep", "url", "rtsp://sfu.example/{user}"),
        ("whep", "url", "https://me:hush@sfu.example/{user}"),
        ("janus", "url", "ws://me:hush@janus.example"),
        ("livekit", "url", "wss://me:hush@livekit.example"),
    ],
)
def test_a_wrong_network_setting_is_refused_by_name(source: str, setting: str, value: object) -> None:
    with pytest.raises(ValidationError, match=rf"sources\.{source}\.{setting}") as error:
        load({"sources": {source: {setting: value}}})
    assert "hush" not in str(error.value)
