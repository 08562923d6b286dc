"""What a token has to be for, and the one error of tokens that are not."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True)
class Claim:
    """Who wants to be where: `uid` in `channel` of `app_id`, at `now` (Unix seconds)."""

    app_id: str
    channel: str
    uid: str
    now: float


class BadToken(ValueError):
    """A token does not hold; `str(error)` says why, to follow "The access token ", and tells nothing that is in it."""


def moment(at: float) -> str:
    """Unix seconds for people."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
