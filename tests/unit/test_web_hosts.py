"""Which hosts a page's address may name."""

from __future__ import annotations

import pytest

from recorders.web.hosts import host_allowed


@pytest.mark.parametrize(
    ("url", "patterns", "allowed"),
    [
        ("https://example.org/a", ("*",), True),
        ("https://example.org/a", (), False),
        ("https://example.org/a", ("example.com", "EXAMPLE.org"), True),
        ("https://a.example.org", ("*.example.org",), True),
        ("https://example.org", ("*.example.org",), False),
        ("https://example.org.", ("example.org",), True),
        ("https://example.org.evil.net", ("example.org", "*.example.org"), False),
        ("https://example.org@evil.net/", ("example.org",), False),
        ("https://evil.net/#@example.org", ("example.org",), False),
        ("https://evil.net\\@example.org/", ("example.org",), False),
        ("https://example.org:8443", ("example.org",), True),
        ("https://example.org:8443", ("example.org:8443",), True),
        ("https://example.org", ("example.org:443",), True),
        ("https://example.org:8443", ("example.org:443",), False),
        ("http://[::1]:80/", ("[::1]",), True),
        ("http://[2001:db8::1]/", ("[2001:db8::1]",), True),
        ("http://[2001:db8::1]/", ("[2001:DB8::1]:80",), True),
        ("http://[2001:db8::1]:8080/", ("[2001:db8::1]:80", "[2001:db8::2]"), False),
        ("http://[2001:db8::1]:8080/", ("[2001:db8::*]",), True),
        ("http://[2001:db8::1]:8080/", ("[2001:db8::*]:80*",), True),
        ("http://[2001:db8::1]/", ("[2001:db8::[13]]",), True),
        ("http://[2001:db9::1]/", ("[2001:db8::*]",), False),
        ("http://[2001:db8::1]/", ("[*]",), True),
        ("http://2/", ("[2001:db8::1]",), False),
        ("https://b.example.org", ("[a-c].example.org",), True),
        ("file:///etc/passwd", ("*",), False),
        ("javascript:alert(1)", ("*",), False),
        ("http://", ("*",), False),
        ("http://[bad", ("*",), False),
        ("http://a:99999/", ("*",), False),
    ],
)
def test_host_allowed(url: str, patterns: tuple[str, ...], allowed: bool) -> None:
    assert host_allowed(url, patterns) is allowed
