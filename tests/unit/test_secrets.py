"""What an access token looks like at rest, and whose key opens it."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st

from egress_ray.secrets import Vault, open_vault

VAULT = Vault(Fernet.generate_key().decode())


@given(st.text(min_size=10))
def test_a_secret_comes_back_and_cannot_be_read(secret: str) -> None:
    sealed = VAULT.encrypt(secret)
    assert VAULT.decrypt(sealed) == secret
    assert secret.encode() not in sealed
    assert VAULT.encrypt(secret) != sealed, "equal secrets must not look equal"


def test_another_key_opens_nothing() -> None:
    with pytest.raises(ValueError, match="was encrypted with another key"):
        Vault(Fernet.generate_key().decode()).decrypt(VAULT.encrypt("a secret token"))
    with pytest.raises(ValueError, match="32 url-safe"):
        Vault("too short")


def test_fingerprints_are_equal_for_equal_bodies_of_one_service() -> None:
    assert VAULT.fingerprint(b"body") == VAULT.fingerprint(b"body") != VAULT.fingerprint(b"other")
    assert Vault(Fernet.generate_key().decode()).fingerprint(b"body") != VAULT.fingerprint(b"body")


def test_the_key_file_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    first = open_vault(None, tmp_path / "data")
    (path,) = (tmp_path / "data").iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    again = open_vault(None, tmp_path / "data")
    assert again.decrypt(first.encrypt("a secret token")) == "a secret token"
    given_key = open_vault(Fernet.generate_key().decode(), tmp_path / "data")
    with pytest.raises(ValueError, match="another key"):
        given_key.decrypt(again.encrypt("a secret token"))
