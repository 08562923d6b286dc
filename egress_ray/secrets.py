"""Secrets at rest: access tokens are encrypted, request bodies are compared by a keyed digest."""

from __future__ import annotations

import hashlib
import hmac
import os
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken

from egress_ray.folders import make_private


class Vault:
    """Encrypts with a Fernet key (AES-128-CBC and HMAC-SHA256); raises ValueError for a key that is none."""

    def __init__(self, key: str) -> None:
        self._fernet = Fernet(key)
        self._digest_key = hashlib.sha256(b"egress-ray fingerprint" + key.encode()).digest()

    def encrypt(self, secret: str) -> bytes:
        """The secret, unreadable without the key."""
        return self._fernet.encrypt(secret.encode())

    def decrypt(self, data: bytes) -> str:
        """The secret back; raises ValueError when it was encrypted with another key."""
        try:
            return self._fernet.decrypt(data).decode()
        except InvalidToken:
            raise ValueError("The access token was encrypted with another key.") from None

    def fingerprint(self, data: bytes) -> str:
        """A digest that is equal for equal data and tells nothing without the key."""
        return hmac.new(self._digest_key, data, hashlib.sha256).hexdigest()


def open_vault(key: str | None, data_dir: Path) -> Vault:
    """With the key given, or with the one in the data folder's key file, which is made when missing (mode 0600)."""
    if key is not None:
        return Vault(key)
    path = data_dir / "secret.key"
    make_private(data_dir)
    if not path.exists():
        mine = path.with_name(f".secret.key.{os.getpid()}")
        handle = os.open(mine, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(Fernet.generate_key())
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(mine, path)  # fails when another process was first: then its key counts
        except FileExistsError:
            pass
        finally:
            mine.unlink()
    return Vault(path.read_text().strip())
