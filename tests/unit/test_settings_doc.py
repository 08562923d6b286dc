"""docs/settings.md says what the settings are."""

from __future__ import annotations

from scripts.settings_doc import TARGET, document


def test_it_is_current() -> None:
    assert TARGET.read_text() == document(), "run: make docs"
