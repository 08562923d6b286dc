"""Makes AccessToken2 tokens, good ones and bad ones; with the parameters of Agora's own tests, byte for byte theirs."""

from __future__ import annotations

import base64
import hashlib
import hmac
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field

APP_ID = "970CA35de60c44645bbae8a215061b33"
CERTIFICATE = "5CFd2fd1755d40ecb72977518be15d3b"
CHANNEL = "7d72365eb983485397e3e3f9d460bdda"
UID = "2882341273"
ISSUED = 1111111


def string(value: str | bytes) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return struct.pack("<H", len(data)) + data


def service(kind: int, privileges: Sequence[tuple[int, int]], *strings: str | bytes) -> bytes:
    """`privileges` with the seconds for which they last."""
    table = b"".join(struct.pack("<HI", *each) for each in privileges)
    return struct.pack("<HH", kind, len(privileges)) + table + b"".join(map(string, strings))


def rtc(channel: str = CHANNEL, uid: str = UID, privileges: Sequence[tuple[int, int]] = ((1, 600),)) -> bytes:
    return service(1, privileges, channel, uid)


@dataclass(frozen=True)
class Making:
    """A token in the making; any part of it may be made wrong."""

    services: tuple[bytes, ...] = field(default_factory=lambda: (rtc(),))
    app_id: str | bytes = APP_ID
    certificate: str = CERTIFICATE
    issued: int = ISSUED
    expire: int = 600
    salt: int = 1
    behind: bytes = b""

    @property
    def content(self) -> bytes:
        head = string(self.app_id) + struct.pack("<IIIH", self.issued, self.expire, self.salt, len(self.services))
        return head + b"".join(self.services) + self.behind

    @property
    def signature(self) -> bytes:
        key = hmac.new(struct.pack("<I", self.issued), self.certificate.encode(), hashlib.sha256).digest()
        key = hmac.new(struct.pack("<I", self.salt), key, hashlib.sha256).digest()
        return hmac.new(key, self.content, hashlib.sha256).digest()

    @property
    def unpacked(self) -> bytes:
        return string(self.signature) + self.content

    def __str__(self) -> str:
        return pack(self.unpacked)


def pack(unpacked: bytes) -> str:
    return "007" + base64.b64encode(zlib.compress(unpacked)).decode()
