"""What a SOCKS5 client says, read."""

from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st

from recorders.web.socks import greeting, request


def asked(host: str, port: int) -> bytes:
    return b"\x05\x01\x00\x03" + bytes([len(host)]) + host.encode() + port.to_bytes(2, "big")


@given(st.integers(0, 65535), st.text("abc.-0", min_size=1, max_size=255), st.integers(0, 300))
def test_a_request_is_read_whole_or_not_at_all(port: int, host: str, cut: int) -> None:
    whole = bytearray(asked(host, port))
    assert request(whole) == (host, port)
    assert cut >= len(whole) or request(whole[:cut]) is None


@given(st.binary(max_size=40))
def test_no_bytes_do_more_than_fail(data: bytes) -> None:
    for read in (greeting, request):
        with contextlib.suppress(ValueError):
            read(bytearray(data))


def test_addresses_in_a_request() -> None:
    assert request(bytearray(b"\x05\x01\x00\x01\x7f\x00\x00\x01\x00\x50")) == ("127.0.0.1", 80)
    assert request(bytearray(b"\x05\x01\x00\x04" + bytes(15) + b"\x01\x01\xbb")) == ("::1", 443)
    assert request(bytearray(asked("[::1]", 80))) == ("::1", 80)
