"""Which hosts match the settings' shell patterns. Pure functions, for the REST border and for what pages load."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

_PORTS = {"http": 80, "https": 443}
# The beginning of an IPv6 host, which no name's choice of characters has.
_IPV6 = re.compile(r"\[(\*|[^\]]*:)")


def host_of(url: str) -> tuple[str, int] | None:
    """Host (IPv6 without brackets) and port of an http or https URL; None for any other."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if "\\" in parts.netloc:  # a browser takes it for a slash, so that the host is another one
        return None
    return (host, port or _PORTS[parts.scheme]) if parts.scheme in _PORTS and host else None


def host_allowed(url: str, patterns: Iterable[str]) -> bool:
    """Whether `url` is http or https and its host matches one of `patterns`; see `matches`."""
    found = host_of(url)
    return found is not None and matches(*found, patterns)


def matches(host: str, port: int, patterns: Iterable[str]) -> bool:
    """Whether a host matches one of `patterns`, case ignored.

    A pattern with a port ("example.org:8443", "*:8080") also asks for that port; one without allows any. IPv6 hosts
    are written in brackets ("[2001:db8::1]", "[2001:db8::*]:80").
    """
    host = host.lower().rstrip(".")
    name = f"[{host}]" if ":" in host else host
    return any(fnmatchcase(f"{name}:{port}" if _has_port(pattern) else name, _shell(pattern)) for pattern in patterns)


def _shell(pattern: str) -> str:
    """As a shell understands it: there, a bracket begins a choice of characters."""
    return f"[[]{pattern[1:]}".lower() if _IPV6.match(pattern) else pattern.lower()


def _has_port(pattern: str) -> bool:
    return pattern.rpartition("]")[2].rpartition(":")[1] == ":"
