"""Which hosts a page's address may name: shell patterns from the settings. A pure function, for the REST border."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from urllib.parse import urlsplit


def host_allowed(url: str, patterns: Iterable[str]) -> bool:
    """Whether `url` is http or https and its host matches one of `patterns`, case ignored.

    A pattern with a port ("example.org:8443", "*:8080") also asks for that port; one without allows any. The
    port is the scheme's own where the URL names none. IPv6 hosts are written in brackets.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return False
    if parts.scheme not in ("http", "https") or not host:
        return False
    host = host.rstrip(".")
    name = f"[{host}]" if ":" in host else host
    address = f"{name}:{port or {'http': 80, 'https': 443}[parts.scheme]}"
    return any(fnmatchcase(address if _has_port(pattern) else name, pattern.lower()) for pattern in patterns)


def _has_port(pattern: str) -> bool:
    return pattern.rpartition("]")[2].rpartition(":")[1] == ":"
