"""Where a recording belongs."""

from __future__ import annotations

from dataclasses import dataclass

from recorders.spec import Format


@dataclass(frozen=True, slots=True)
class Place:
    """Store (URL) and path in it, and what is to be made of the recording. No secret."""

    url: str
    path: str
    prefix: str
    format: Format
