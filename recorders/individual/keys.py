"""What a participant's files are called by. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from hashlib import sha256
from itertools import count

_OTHER = re.compile(r"[^A-Za-z0-9_-]")
_LENGTH = 40
_DIGEST = 8
LONGEST_KEY = _LENGTH + len("-") + _DIGEST


def key_of(name: str, uid: str, taken: Collection[str]) -> str:
    """A file name's part for a participant: its name, so that who comes back goes on in the same log.

    Another one of the same name who is there at the same time is told from it by its uid, and where that is the name of
    somebody who is there, by a digest of both.
    """
    return next(key for key in _keys(name, uid) if key not in taken)


def _keys(name: str, uid: str) -> Iterator[str]:
    """All that it may have, the best first; they depend on nobody else."""
    yield _plain(name)
    yield _plain(f"{name}-{uid}")
    for n in count():
        yield _digested(name, f"{name}\0{uid}\0{n}")


def _plain(name: str) -> str:
    """The name itself where letters, digits, `_` and `-` make it up; else those of it, and a digest of all of it."""
    return name if name and _begin(name) == name else _digested(name, name)


def _digested(name: str, of: str) -> str:
    return f"{_begin(name)}-{sha256(of.encode(errors='surrogatepass')).hexdigest()[:_DIGEST]}"


def _begin(name: str) -> str:
    return _OTHER.sub("-", name)[:_LENGTH]
