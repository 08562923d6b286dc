"""Screen shares: a participant of its own, told by its name, `<user>-screen`.

Every back end can say that: a publisher's second session, a second feed, or a second track that its source tells of
as another participant. So a screen has a cell, a sound and a life of its own.
"""

from __future__ import annotations

from collections.abc import Collection

SUFFIX = "-screen"


def sharer(name: str) -> str | None:
    """Whose screen goes by that name (or uid); None where it is no screen's."""
    return (name.removesuffix(SUFFIX) or None) if name.endswith(SUFFIX) else None


def asked_for(users: Collection[str], *names: str) -> bool:
    """Whether a participant with these names (uid, display name) is among the requested users; empty: everyone is.

    Who asks for a user gets the screen that the user shares, too.
    """
    return not users or any(name in users or sharer(name) in users for name in names)
