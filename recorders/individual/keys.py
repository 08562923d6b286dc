"""What a participant's files are called by. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection
from hashlib import sha256

_OTHER = re.compile(r"[^A-Za-z0-9_-]")
_LENGTH = 40
_DIGEST = 8


def key_of(name: str, uid: str, taken: Collection[str]) -> str:
    """A file name's part for a participant: its name, so that who comes back goes on in the same log.

    Another one of the same name who is there at the same time is told from it by its uid.
    """
    key = _plain(name)
    return key if key not in taken else _plain(f"{name}-{uid}")


def _plain(name: str) -> str:
    """The name itself where letters, digits, `_` and `-` make it up; else those of it, and a digest of all of it."""
    plain = _OTHER.sub("-", name)[:_LENGTH]
    return (
        name
        if plain == name and name
        else f"{plain}-{sha256(name.encode(errors='surrogatepass')).hexdigest()[:_DIGEST]}"
    )
