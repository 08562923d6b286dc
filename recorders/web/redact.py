"""What of a page's words may be kept: no address' query, nothing that looks like a token. Pure."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

_GONE = "\N{HORIZONTAL ELLIPSIS}"
_SECRETS = re.compile(
    r"""
    (?P<url>\b(?:https?|wss?)://[^\s"'<>()]+)
  | (?P<named>(?<![\w-])[\w-]*(?:token|secret|passw|pwd|credential|signature|api_?key|authorization)[\w-]*
      ["']?\s*[:=]\s*["']?(?:bearer\s+|basic\s+)?)(?P<value>[^\s"',;&}]+)
  | (?P<bearer>\bbearer\s+)(?P<borne>\S+)
  | (?P<token>\beyJ[\w-]+\.[\w-]+(?:\.[\w-]*)? | (?<![\w+/=-])(?=[\w+/=-]*\d)(?=[\w+/=-]*[A-Za-z])[\w+/=-]{32,})
    """,
    re.VERBOSE | re.IGNORECASE,
)
_TOKEN_IN_PATH = re.compile(r"eyJ[\w.-]{16,}|(?<![\w~%-])(?=[\w~%-]*\d)(?=[\w~%-]*[A-Za-z])[\w~%-]{32,}")


def redacted(text: str, most: int) -> str:
    """`text` without what could let somebody in, `most` characters of it, as one line."""
    # What is looked at is bounded, too: the page says how long it is.
    line = _SECRETS.sub(_without, " ".join(text[: 4 * most].split()))
    return line if len(line) <= most else line[: most - 1] + _GONE


def bare(url: str) -> str:
    """An address as far as its path: neither user, query nor fragment."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return _GONE
    if not host:
        return f"{parts.scheme}:{_GONE}"
    name = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{name}{f':{port}' if port else ''}{_TOKEN_IN_PATH.sub(_GONE, parts.path)}"


def _without(found: re.Match[str]) -> str:
    if found["url"]:
        return bare(found["url"])
    return (found["named"] or found["bearer"] or "") + _GONE
