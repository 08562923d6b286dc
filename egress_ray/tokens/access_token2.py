"""Agora's AccessToken2 ("007..."): its format, read strictly, and what makes one good for a claim.

    "007" + base64(zlib(string(signature) + content))
    content = string(app id) u32(issued) u32(expires in) u32(salt) u16(services) service...
    service = u16(type) u16(privileges) {u16(privilege) u32(expires in)}... and strings by type

Little endian; a string is u16(length) and its bytes. The signature is HMAC-SHA256 over the content; its key is made of
the app's certificate, salt and time of issue. Source: AgoraIO/Tools, DynamicKey/AgoraDynamicKey.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import struct
import zlib
from dataclasses import dataclass, field

from egress_ray.tokens.claims import BadToken, Claim, moment

VERSION = "007"
JOIN, PUBLISH_AUDIO, PUBLISH_VIDEO = 1, 2, 3
# Of a token with all services there are; what inflates to more is no token.
_CONTENT_LIMIT = 4096
# Clocks of those who issue tokens may be ahead of ours by so much.
_LEEWAY_S = 60
_RTC = 1
# What follows the privileges of a service, by its type: RTC, RTM, streaming, FPA, chat, education.
_LAYOUTS: dict[int, str] = {_RTC: "ss", 2: "s", 3: "ss", 4: "", 5: "s", 7: "ssh"}


@dataclass(frozen=True, slots=True)
class AccessToken2:
    """A token that could be read; whether it holds is told by `check`.

    Times are Unix seconds. `uid` is empty for anybody. `privileges` are those of the RTC service, each with the time
    at which it ends.
    """

    app_id: str
    channel: str
    uid: str
    expires: int
    issued: int
    salt: int
    privileges: dict[int, int]
    signature: bytes = field(repr=False)
    content: bytes = field(repr=False)


def parse(token: str) -> AccessToken2:
    """Raises `BadToken` for what is no AccessToken2 with an RTC service."""
    reader = _Reader(_inflated(token))
    signature = reader.string()
    content = reader.rest
    app_id, issued, lasts, salt = reader.text(), reader.number("I"), reader.number("I"), reader.number("I")
    if len(signature) != hashlib.sha256().digest_size:
        raise BadToken("holds a signature that is none of HMAC-SHA256")
    ends = issued + lasts
    rtc: tuple[str, str, dict[int, int]] | None = None
    seen: set[int] = set()
    for _ in range(reader.number("H")):
        kind = reader.number("H")
        if kind in seen:
            raise BadToken("holds the same service twice")
        seen.add(kind)
        privileges = _privileges(reader, issued, ends)
        if kind not in _LAYOUTS:  # nobody can tell where it ends, nor what follows
            break
        strings = [reader.text() if what == "s" else reader.number(what) for what in _LAYOUTS[kind]]
        if kind == _RTC:
            rtc = str(strings[0]), str(strings[1]), privileges
    else:
        if reader.rest:
            raise BadToken("goes on behind its last service")
    if rtc is None:
        raise BadToken("is not for RTC: it holds no such service")
    return AccessToken2(app_id, rtc[0], rtc[1], ends, issued, salt, rtc[2], signature, content)


def check(token: AccessToken2, claim: Claim, certificate: str | None) -> None:
    """Raises `BadToken` unless the claim may join; without a certificate the signature is believed."""
    if token.app_id != claim.app_id:
        raise BadToken("is of another app")
    if certificate is not None and not hmac.compare_digest(token.signature, _signature(token, certificate)):
        raise BadToken("is not signed with this app's certificate")
    if token.channel != claim.channel:
        raise BadToken("is for another channel")
    if token.uid not in ("", claim.uid):
        raise BadToken("is for another user")
    if token.issued > claim.now + _LEEWAY_S:
        raise BadToken(f"is issued in the future, at {moment(token.issued)}")
    if token.expires <= claim.now:
        raise BadToken(f"has expired at {moment(token.expires)}")
    if JOIN not in token.privileges:
        raise BadToken("does not allow to join a channel")
    if token.privileges[JOIN] <= claim.now:
        raise BadToken(f"has allowed to join the channel until {moment(token.privileges[JOIN])}")


def check_publishing(token: AccessToken2, claim: Claim) -> None:
    """Raises `BadToken` unless sound or picture may be published, besides what `check` asks for."""
    ends = [token.privileges[each] for each in (PUBLISH_AUDIO, PUBLISH_VIDEO) if each in token.privileges]
    if not ends:
        raise BadToken("does not allow to publish")
    if max(ends) <= claim.now:
        raise BadToken(f"has allowed to publish until {moment(max(ends))}")


def _inflated(token: str) -> bytes:
    if token.startswith("006"):
        raise BadToken("is an AccessToken of version 006; 007 is needed")
    if not token.startswith(VERSION):
        raise BadToken("is no AccessToken2: it does not begin with 007")
    try:
        packed = base64.b64decode(token[len(VERSION) :], validate=True)
    except (binascii.Error, ValueError):
        raise BadToken("is not base64 behind its version") from None
    inflater = zlib.decompressobj()
    try:
        content = inflater.decompress(packed, _CONTENT_LIMIT + 1)
    except zlib.error:
        raise BadToken("is not compressed by zlib") from None
    if len(content) > _CONTENT_LIMIT:
        raise BadToken(f"inflates to more than {_CONTENT_LIMIT} bytes")
    if not inflater.eof:
        raise BadToken("is cut off: its compressed content does not end")
    if inflater.unused_data:
        raise BadToken("goes on behind its compressed content")
    return content


def _privileges(reader: _Reader, issued: int, ends: int) -> dict[int, int]:
    found: dict[int, int] = {}
    for _ in range(reader.number("H")):
        privilege, lasts = reader.number("H"), reader.number("I")
        if privilege in found:
            raise BadToken("holds the same privilege twice")
        found[privilege] = min(ends, issued + lasts) if lasts else ends  # 0: as long as the token
    return found


def _signature(token: AccessToken2, certificate: str) -> bytes:
    key = hmac.digest(struct.pack("<I", token.issued), certificate.encode(), "sha256")
    key = hmac.digest(struct.pack("<I", token.salt), key, "sha256")
    return hmac.digest(key, token.content, "sha256")


class _Reader:
    """Takes fields off the front of bytes."""

    def __init__(self, data: bytes) -> None:
        self.rest = data

    def number(self, form: str) -> int:
        size = struct.calcsize(f"<{form}")
        return int(struct.unpack(f"<{form}", self._take(size))[0])

    def string(self) -> bytes:
        return self._take(self.number("H"))

    def text(self) -> str:
        try:
            return self.string().decode()
        except UnicodeDecodeError:
            raise BadToken("holds a name that is not UTF-8") from None

    def _take(self, size: int) -> bytes:
        if len(self.rest) < size:
            raise BadToken("ends within a field")
        taken, self.rest = self.rest[:size], self.rest[size:]
        return taken
