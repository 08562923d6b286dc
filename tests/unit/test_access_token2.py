"""AccessToken2 against Agora's own vectors (AgoraIO/Tools, AccessToken2Test.py), and every kind of bad token."""

from __future__ import annotations

import base64
import zlib
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from egress_ray.tokens.access_token2 import check, check_publishing, parse
from egress_ray.tokens.claims import BadToken, Claim
from tests.unit.agora_tokens import APP_ID, CERTIFICATE, CHANNEL, ISSUED, UID, Making, pack, rtc, service

CLAIM = Claim(APP_ID, CHANNEL, UID, ISSUED + 1)
PUBLISHER = ((1, 600), (2, 600), (3, 600), (4, 600))

RTC = (
    "007eJxTYBBbsMMnKq7p9Hf/HcIX5kce9b518kCiQgSr5Zrp4X1Tu6UUGCzNDZwdjU1TUs0Mkk1MzExMk5ISUy0SjQxNDcwMk4yN3b8IMEQwMTAwMoAw"
    "BIL4CgzmKeZGxmamqUmWFsYmFqbGluapxqnGaZYpJmYGSSkpiVwMRhYWRsYmhkbmxgDCaiTj"
)
RTC_UID_0 = (
    "007eJxTYLhzZP08Lxa1Pg57+TcXb/3cZ3wi4V6kbpbOog0G2dOYk20UGCzNDZwdjU1TUs0Mkk1MzExMk5ISUy0SjQxNDcwMk4yN3b8IMEQwMTAwMoAw"
    "BIL4CgzmKeZGxmamqUmWFsYmFqbGluapxqnGaZYpJmYGSSkpiQwMADacImo="
)
CHAT = (
    "007eJxTYNAIsnbS3v/A5t2TC6feR15r+6cq8bqAvfaW+tk/Vzz+p6xTYLA0N3B2NDZNSTUzSDYxMTMxTUpKTLVINDI0NTAzTDI2dv8iwBDBxMDAyADC"
    "rEDMCOZzMRhZWBgZmxgamRsDAB+lHrg="
)
MANY = (
    "007eJxTYAh5UWu1drfhsnu9etvupS0v/iFs+3PC/Sbl8gdht55xSusqMFiaGzg7GpumpJoZJJuYmJmYJiUlplokGhmaGpgZJhkbu38RYIhgYmBgZGBg"
    "YAWSLEAM4jOBSWYwyQImFRjMU8yNjM1MU5MsLYxNLEyNLc1TjVON0yxTTMwMklJSErkYjCwsjIxNDI3MjZmA5kBM4mQoSS0uiS8tTi1iZmBCMZ40I1mg"
    "ToSYgCwDAGL1OcI="
)
SERVICES = (
    rtc(privileges=PUBLISHER),
    service(2, [(1, 600)], "test_user"),
    service(3, [(1, 600), (2, 600)], CHANNEL, UID),
    service(4, []),
    service(5, [(1, 600)], UID),
)


@pytest.mark.parametrize(
    ("vector", "made"),
    [
        (RTC, Making()),
        (RTC_UID_0, Making((rtc(uid=""),))),
        (CHAT, Making((service(5, [(1, 600)], UID),))),
        (MANY, Making(SERVICES)),
    ],
    ids=["rtc", "rtc uid 0", "chat", "many services"],
)
def test_the_tokens_of_these_tests_are_made_as_agora_makes_them(vector: str, made: Making) -> None:
    assert zlib.decompress(base64.b64decode(vector[3:])) == made.unpacked


def test_vectors_are_read_and_hold() -> None:
    token = parse(RTC)
    assert (token.app_id, token.channel, token.uid) == (APP_ID, CHANNEL, UID)
    assert (token.issued, token.expires, token.salt) == (ISSUED, ISSUED + 600, 1)
    assert token.privileges == {1: ISSUED + 600}
    many = parse(MANY)
    assert many.privileges == dict.fromkeys((1, 2, 3, 4), ISSUED + 600)
    for each in (token, many, parse(RTC_UID_0)):
        check(each, CLAIM, CERTIFICATE)
        check(each, CLAIM, None)
    check(parse(RTC_UID_0), replace(CLAIM, uid="anybody"), CERTIFICATE)
    check_publishing(many, CLAIM)
    assert str(token.signature) not in repr(token)


def test_an_rtc_service_counts_wherever_it_stands() -> None:
    education = service(7, [(1, 600)], "room", "user") + b"\xff\xff"
    for before in ((*SERVICES[1:], education, SERVICES[0]), (*SERVICES, service(9, [], "unknown"))):
        check(parse(str(Making(before))), CLAIM, CERTIFICATE)


def test_a_privilege_of_0_seconds_lasts_as_long_as_the_token_and_none_lasts_longer() -> None:
    token = parse(str(Making((rtc(privileges=((1, 0), (2, 9999))),))))
    assert token.privileges == {1: ISSUED + 600, 2: ISSUED + 600}


def deflated(data: bytes, behind: bytes = b"") -> str:
    return "007" + base64.b64encode(data + behind).decode()


GOOD = Making()
BAD: dict[str, tuple[object, str]] = {
    "none": ("a-pin-of-somebody", "is no AccessToken2: it does not begin with 007"),
    "version 006": ("006" + RTC[3:], "is an AccessToken of version 006; 007 is needed"),
    "the documented example": ("007eJxt9VMp+//+i9SOE", "is not base64 behind its version"),
    "not base64": (RTC[:40] + "*" + RTC[41:], "is not base64 behind its version"),
    "white space": (RTC + "\n", "is not base64 behind its version"),
    "not zlib": (deflated(GOOD.unpacked), "is not compressed by zlib"),
    "cut off": (deflated(zlib.compress(GOOD.unpacked)[:-8]), "is cut off: its compressed content does not end"),
    "more behind zlib": (
        deflated(zlib.compress(GOOD.unpacked), b"more"),
        "goes on behind its compressed content",
    ),
    "bomb": (pack(b"\0" * 2_000_000), "inflates to more than 4096 bytes"),
    "small bomb": (pack(b"\0" * 4097), "inflates to more than 4096 bytes"),
    "a field cut short": (pack(GOOD.unpacked[:-4]), "ends within a field"),
    "more services than there are": (
        pack(GOOD.unpacked.replace(b"\1\0\0\0\1\0\1\0", b"\1\0\0\0\2\0\1\0", 1)),
        "ends within a field",
    ),
    "more behind the services": (Making(behind=b"x"), "goes on behind its last service"),
    "no signature": (pack(b"\0\0" + GOOD.content), "holds a signature that is none of HMAC-SHA256"),
    "no UTF-8": (Making((service(1, [(1, 600)], b"\xff", UID),)), "holds a name that is not UTF-8"),
    "a service twice": (Making((rtc(), rtc())), "holds the same service twice"),
    "a privilege twice": (Making((rtc(privileges=((1, 1), (1, 600))),)), "holds the same privilege twice"),
    "no RTC": (CHAT, "is not for RTC: it holds no such service"),
    "no services": (Making(()), "is not for RTC: it holds no such service"),
    "another app": (Making(app_id="0" * 32), "is of another app"),
    "another certificate": (Making(certificate="0" * 32), "is not signed with this app's certificate"),
    "changed after it was signed": (
        pack(GOOD.unpacked.replace(CHANNEL.encode(), CHANNEL[::-1].encode())),
        "is not signed with this app's certificate",
    ),
    "another channel": (Making((rtc(channel="other"),)), "is for another channel"),
    "another user": (Making((rtc(uid="1"),)), "is for another user"),
    "issued in the future": (
        Making(issued=ISSUED + 3600),
        "is issued in the future, at 1970-01-13T21:38:31Z",
    ),
    "expired": (Making(issued=ISSUED - 600), "has expired at 1970-01-13T20:38:31Z"),
    "no privilege to join": (Making((rtc(privileges=((2, 600),)),)), "does not allow to join a channel"),
    "joining has expired": (
        Making((rtc(privileges=((1, 60),)),), issued=ISSUED - 60),
        "has allowed to join the channel until 1970-01-13T20:38:31Z",
    ),
}


@pytest.mark.parametrize(("token", "why"), BAD.values(), ids=BAD)
def test_bad_tokens_each_with_its_own_error(token: object, why: str) -> None:
    with pytest.raises(BadToken) as refusal:
        check(parse(str(token)), CLAIM, CERTIFICATE)
    assert str(refusal.value) == why


def test_there_are_twenty_errors_at_least() -> None:
    assert len({why for _, why in BAD.values()}) >= 20


def test_without_a_certificate_the_signature_is_believed_and_nothing_else() -> None:
    check(parse(str(Making(certificate="0" * 32))), CLAIM, None)
    believed = ("another certificate", "changed after it was signed")
    for name, (token, why) in BAD.items():
        if name not in believed:
            with pytest.raises(BadToken, match=why.split(",")[0][:20]):
                check(parse(str(token)), CLAIM, None)


def test_publishing_needs_a_privilege_of_its_own() -> None:
    with pytest.raises(BadToken, match="does not allow to publish"):
        check_publishing(parse(RTC), CLAIM)
    late = parse(str(Making((rtc(privileges=((1, 600), (2, 60), (3, 30))),))))
    check_publishing(late, CLAIM)
    with pytest.raises(BadToken, match="has allowed to publish until 1970-01-13T20:39:31Z"):
        check_publishing(late, replace(CLAIM, now=ISSUED + 61))


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_changed_token_never_holds_and_never_breaks_the_parser(data: st.DataObject) -> None:
    unpacked = bytearray(Making(SERVICES).unpacked)
    at = data.draw(st.integers(0, len(unpacked) - 1))
    unpacked[at] ^= data.draw(st.integers(1, 255))
    unpacked = unpacked[: data.draw(st.integers(0, len(unpacked)))] if data.draw(st.booleans()) else unpacked
    with pytest.raises(BadToken):
        check(parse(pack(bytes(unpacked))), CLAIM, CERTIFICATE)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=60) | st.binary(max_size=300).map(lambda raw: "007" + base64.b64encode(raw).decode()))
def test_any_text_is_refused_in_one_way(text: str) -> None:
    with pytest.raises(BadToken):
        parse(text)
    with pytest.raises(BadToken):
        parse(pack(text.encode(errors="replace")))
