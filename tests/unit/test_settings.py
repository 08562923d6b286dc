"""Where a setting's value comes from, and that secrets stay out of what is passed around."""

from __future__ import annotations

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
    settings = load({})
    assert "hush" not in str(settings.without_secrets())
    assert "hush" not in repr(settings)
    again = load(settings.without_secrets())
    assert again.secret_key == "hush-key"
    janus = again.sources.janus
    assert None not in (janus.api_secret, janus.token, janus.turn_credential)


def test_a_secret_in_the_serve_config_is_refused() -> None:
    with pytest.raises(ValueError, match="environment"):
        build({"secrets": {"key": "hush"}})
    with pytest.raises(ValueError, match="environment"):
        build({"sources": {"janus": {"turn_credential": "hush"}}})
