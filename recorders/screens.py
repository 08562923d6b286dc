"""Screen shares: a participant of its own, told by its uid or name.

Every back end can say that: a publisher's second session, a second feed, or a further track that its source tells of as
another participant. So a screen has a cell, a sound and a life of its own.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import lru_cache

# ann-screen as anybody may publish it, and as API fields name any screen of ann's; the others as sources may say it.
_SCREEN = re.compile(r"(.+?)(?:-screen(?:-\d+)?|/screen| \(screen(?: \d+)?\))", re.DOTALL)


@lru_cache(maxsize=1024)
def sharers(*names: str) -> frozenset[str]:
    """Whose screen a participant with these names (uid, display name) is, by all that one is called; or nobody's."""
    found = [_SCREEN.fullmatch(name) for name in names]
    if not any(found):
        return frozenset()
    return frozenset(match[1] if match else name for match, name in zip(found, names, strict=True))


def means(user: str, *names: str) -> bool:
    """Whether a user that a request names is the participant with these names."""
    return user in names or bool(sharers(user) & sharers(*names))


def asked_for(users: Collection[str], *names: str) -> bool:
    """Whether the participant with these names is among the requested users; empty: everyone is.

    Who asks for a user gets the screen that the user shares, too.
    """
    return not users or any(means(user, *names) or user in sharers(*names) for user in users)
