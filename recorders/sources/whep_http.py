"""The few HTTP requests of a WHEP client, by the standard library, in threads; each bounded."""

from __future__ import annotations

import asyncio
import http.client
import ssl
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

from recorders.errors import Lost

_REDIRECTS = 3
_REPLY_LIMIT = 256 * 1024


@dataclass(frozen=True, slots=True)
class Reply:
    """Status, absolute URL of the `Location` (empty without) and body."""

    status: int
    location: str
    body: str


async def request(method: str, url: str, token: str, body: str, timeout_s: float) -> Reply:
    """Send an SDP body, or none, with the token as bearer; redirections that keep the method are followed.

    Raises `Lost` with one sentence when there is no reply.
    """
    for _ in range(_REDIRECTS + 1):
        try:
            async with asyncio.timeout(timeout_s):
                reply = await asyncio.to_thread(_request, method, url, token, body, timeout_s)
        except TimeoutError:
            raise Lost(f"{host(url)} did not answer in {timeout_s:g} s.") from None
        except (OSError, http.client.HTTPException, UnicodeError, ValueError) as error:
            fact = getattr(error, "strerror", None) or type(error).__name__
            raise Lost(f"{host(url)} cannot be reached: {fact}.") from error
        if reply.status not in (307, 308) or not reply.location:
            return reply
        url = reply.location
    raise Lost(f"{host(url)} redirects without end.")


def host(url: str) -> str:
    """Host and port of a URL, fit for messages."""
    return urlsplit(url).netloc.rpartition("@")[2]


def _request(method: str, url: str, token: str, body: str, timeout_s: float) -> Reply:
    parts = urlsplit(url)
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        connection = http.client.HTTPSConnection(
            parts.hostname or "", parts.port, timeout=timeout_s, context=ssl.create_default_context()
        )
    elif parts.scheme == "http":
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout_s)
    else:
        raise ValueError(parts.scheme)
    headers = {"Authorization": f"Bearer {token}"}
    if body:
        headers |= {"Content-Type": "application/sdp", "Accept": "application/sdp"}
    try:
        path = parts.path or "/"
        connection.request(method, f"{path}?{parts.query}" if parts.query else path, body.encode() or None, headers)
        response = connection.getresponse()
        said = response.read(_REPLY_LIMIT).decode()
        location = response.getheader("Location")
        return Reply(response.status, urljoin(url, location) if location else "", said)
    finally:
        connection.close()
