"""Where pages may go: addresses and hosts against the rules."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from egress_ray.api.models import StartRequest
from egress_ray.api.rules import problems
from egress_ray.settings import load
from recorders.config import WebConfig
from recorders.web.addresses import Address, Rules, kind_of, literal

RULES = Rules()
V4, V6 = st.ip_addresses(v=4), st.ip_addresses(v=6)


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("127.0.0.1", "loopback"),
        ("127.255.255.254", "loopback"),
        ("::1", "loopback"),
        ("0.0.0.0", "unspecified"),
        ("::", "unspecified"),
        ("10.0.0.1", "private"),
        ("172.31.255.255", "private"),
        ("172.32.0.1", None),
        ("192.168.1.1", "private"),
        ("169.254.1.1", "link-local"),
        ("169.254.169.254", "metadata"),
        ("168.63.129.16", "metadata"),
        ("fd00:ec2::254", "metadata"),
        ("100.100.100.200", "metadata"),
        ("100.64.0.1", "carrier-grade NAT"),
        ("100.128.0.1", None),
        ("fe80::1", "link-local"),
        ("fe80::1%eth0", "link-local"),
        ("fd12:3456::1", "unique-local"),
        ("fec0::1", "unique-local"),
        ("224.0.0.251", "multicast"),
        ("ff02::fb", "multicast"),
        ("255.255.255.255", "reserved"),
        ("::ffff:127.0.0.1", "loopback"),
        ("::ffff:8.8.8.8", None),
        ("::127.0.0.1", "reserved"),
        ("64:ff9b::a9fe:a9fe", "metadata"),
        ("64:ff9b::8.8.8.8", None),
        ("64:ff9b:1::8.8.8.8", "private"),
        ("2002:7f00:1::", "loopback"),
        ("2002:c0a8:101::1", "private"),
        ("2001:0:7f00:1::", "reserved"),
        ("2001:db8::1", "documentation"),
        ("8.8.8.8", None),
        ("2606:4700::1111", None),
    ],
)
def test_kinds(address: str, kind: str | None) -> None:
    assert kind_of(ip_address(address)) == kind


@given(st.one_of(V4, V6))
def test_nothing_that_is_not_global_is_public(address: Address) -> None:
    """Whatever the standard library calls special is so here, too, but for addresses that hold a public one."""
    holds = isinstance(address, IPv6Address) and (address.ipv4_mapped or address.sixtofour or address in _NAT64)
    if not address.is_global or address.is_multicast or address.is_reserved or address.is_unspecified:
        assert holds or RULES.against_address(address) is not None


_NAT64 = ip_network("64:ff9b::/96")


@given(V4)
def test_an_address_in_another_is_judged_as_itself(address: IPv4Address) -> None:
    mapped = IPv6Address(0xFFFF_0000_0000 | int(address))
    translated = IPv6Address(int(IPv6Address("64:ff9b::")) | int(address))
    tunnelled = IPv6Address(int(IPv6Address("2002::")) | int(address) << 80 | 1)
    assert {kind_of(each) for each in (mapped, translated, tunnelled)} == {kind_of(address)}
    assert RULES.against_address(mapped) == RULES.against_address(address)


@given(V4, st.integers(0, 32))
def test_denied_goes_before_allowed_and_allowed_before_special(address: IPv4Address, length: int) -> None:
    around = IPv4Network((int(address), length), strict=False)
    everything = (ip_network("0.0.0.0/0"),)
    mapped = IPv6Address(0xFFFF_0000_0000 | int(address))
    for form in (address, mapped):
        assert Rules(allowed_networks=(around,)).against_address(form, own=True) is None
        assert Rules(allowed_networks=everything, denied_networks=(around,)).against_address(form) is not None
    tunnelled = IPv6Address(int(IPv6Address("2002::")) | int(address) << 80)
    assert Rules(denied_networks=(around,)).against_address(tunnelled) is not None


@given(V4)
def test_every_spelling_of_an_address_is_that_address(address: IPv4Address) -> None:
    number, parts = int(address), address.packed
    spellings = {
        str(address),
        f"{address}.",
        str(number),
        hex(number),
        hex(number).upper().replace("0X", "0x"),
        f"0{number:o}",
        ".".join(hex(part) for part in parts),
        ".".join(f"0{part:o}" for part in parts),
        f"{parts[0]}.{number & 0xFFFFFF}",
        f"{parts[0]}.{parts[1]}.{number & 0xFFFF}",
        "".join(f"%{ord(character):02x}" for character in str(address)),
        str(address).translate({ord("0") + n: 0xFF10 + n for n in range(10)}),
        str(address).replace(".", "\u3002"),
    }
    for spelling in spellings:
        assert literal(spelling) == address, spelling


@given(V6)
def test_ipv6_with_and_without_brackets(address: IPv6Address) -> None:
    assert literal(f"[{address}]") == literal(str(address)) == literal(address.exploded) == address


@pytest.mark.parametrize("name", ["localhost", "LOCALHOST.", "a.b.localhost"])
def test_names_of_this_machine(name: str) -> None:
    assert literal(name) == IPv4Address("127.0.0.1")


@pytest.mark.parametrize(
    "name", ["example.org", "1.example", "cafe", "dead.beef", "0x7g", "", "256.256.256.256", "::g"]
)
def test_names_that_are_no_addresses(name: str) -> None:
    assert literal(name) is None


def test_hosts() -> None:
    rules = Rules(reachable_hosts=("*.example.org", "10.*"), denied_hosts=("ads.example.org", "*:25"))
    assert rules.against_host("www.example.org", 443) is None
    assert rules.against_host("WWW.EXAMPLE.ORG.", 443) is None
    assert rules.against_host("example.net", 443) == "it is not among the reachable hosts"
    assert rules.against_host("ads.example.org", 443) == "it is among the denied hosts"
    assert rules.against_host("www.example.org", 25) == "it is among the denied hosts"
    assert rules.against_literal("10.0.0.1", 80) == "it is a private address"
    assert rules.against_literal("www.example.org", 80) is None


def test_this_machine_s_own_addresses_are_not_for_pages_unless_allowed() -> None:
    own = ip_address("8.8.8.8")
    assert RULES.against_address(own, own=True) == "a local address"
    assert Rules(allowed_networks=(ip_network("8.8.8.8/32"),)).against_address(own, own=True) is None


def test_the_settings_networks() -> None:
    rules = Rules.of(WebConfig(allowed_networks=("10.1.0.0/16", "fd00::/8", "127.0.0.1"), denied_networks=("1.1.1.1",)))
    assert rules.allowed_networks == (ip_network("10.1.0.0/16"), ip_network("fd00::/8"), ip_network("127.0.0.1/32"))
    assert rules.against_address(ip_address("1.1.1.1")) == "a denied address"
    with pytest.raises(ValidationError, match=r"10\.1\.0\.1/16 has host bits set"):
        WebConfig(allowed_networks=("10.1.0.1/16",))


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://127.0.0.1:8265/", "names a host that pages may not reach: it is a loopback address"),
        ("http://0x7f.1/", "names a host that pages may not reach: it is a loopback address"),
        ("http://localhost/", "names a host that pages may not reach: it is a loopback address"),
        ("http://[::ffff:169.254.169.254]/", "names a host that pages may not reach: it is a metadata address"),
        ("https://ads.example.org/", "names a host that pages may not reach: it is among the denied hosts"),
        ("http://127.0.0.1\\@example.org/", "names a host that this service may not record"),
        ("https://example.org/", None),
        ("http://10.2.3.4/", None),
    ],
)
def test_the_rest_border(url: str, message: str | None) -> None:
    settings = load({"web": {"denied_hosts": ["ads.*"], "allowed_networks": ["10.0.0.0/8"]}})
    given = {"request_id": "a", "cmd": "record", "payload": {"layout": "freestyle", "url": url}}
    found = [(each.field, each.message) for each in problems("app", StartRequest.model_validate(given), settings)]
    assert found == ([("payload.url", message)] if message else [])
