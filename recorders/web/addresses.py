"""Where pages may go: which addresses are not for them, and the settings' lists. Pure.

The kinds are those of IANA's special-purpose address registries (RFC 6890 and what came after), told from a table of
our own: what Python's `ipaddress` says differs by release. Cloud providers' metadata services are told apart.
"""

from __future__ import annotations

import contextlib
import socket
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import unquote

from recorders.config import WebConfig
from recorders.web.hosts import matches

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# The first network that an address is in tells its kind.
_KINDS: tuple[tuple[Network, str], ...] = tuple(
    (ip_network(network), kind)
    for kind, networks in (
        # The first is most clouds', then Azure's (public by its number), Oracle's, Alibaba's and Amazon's.
        ("metadata", "169.254.169.254/32 168.63.129.16/32 192.0.0.192/32 100.100.100.200/32 fd00:ec2::254/128"),
        ("loopback", "127.0.0.0/8 ::1/128"),
        ("private", "10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 64:ff9b:1::/48"),
        ("link-local", "169.254.0.0/16 fe80::/10"),
        ("unique-local", "fc00::/7 fec0::/10"),
        ("carrier-grade NAT", "100.64.0.0/10"),
        ("unspecified", "0.0.0.0/8 ::/128"),
        ("multicast", "224.0.0.0/4 ff00::/8"),
        ("documentation", "192.0.2.0/24 198.51.100.0/24 203.0.113.0/24 2001:db8::/32 3fff::/20"),
        ("benchmarking", "198.18.0.0/15 2001:2::/48"),
        # Among them Teredo, in which an IPv4 address is hidden that nobody needs to reach so.
        ("reserved", "192.0.0.0/24 192.88.99.0/24 240.0.0.0/4 2001::/23"),
    )
    for network in networks.split()
)
# IPv6 is given out from here; whatever is elsewhere is for something else.
_UNICAST = IPv6Network("2000::/3")
# IPv6 addresses that lead to the IPv4 address in them: its lowest bit's place, counted from the right.
_MAPPED = IPv6Network("::ffff:0:0/96")
_EMBEDDING = ((_MAPPED, 0), (IPv6Network("64:ff9b::/96"), 0), (IPv6Network("2002::/16"), 80))


@dataclass(frozen=True, slots=True)
class Rules:
    """The settings' lists: hosts by shell patterns (see `hosts`), addresses by networks."""

    reachable_hosts: tuple[str, ...] = ("*",)
    denied_hosts: tuple[str, ...] = ()
    allowed_networks: tuple[Network, ...] = ()
    denied_networks: tuple[Network, ...] = ()

    @classmethod
    def of(cls, config: WebConfig) -> Rules:
        """Those of the settings."""
        return cls(
            config.reachable_hosts,
            config.denied_hosts,
            tuple(map(ip_network, config.allowed_networks)),
            tuple(map(ip_network, config.denied_networks)),
        )

    def against_host(self, host: str, port: int) -> str | None:
        """Why pages may not reach a host, whatever its addresses are ("it is ..."); None when they may."""
        if matches(host, port, self.denied_hosts):
            return "it is among the denied hosts"
        if not matches(host, port, self.reachable_hosts):
            return "it is not among the reachable hosts"
        return None

    def against_address(self, address: Address, own: bool = False) -> str | None:
        """Why pages may not reach an address ("a loopback address"); None when they may.

        `own`: it is one of this machine's.
        """
        address = _plain(address)
        if any(form in network for form in _forms(address) for network in self.denied_networks):
            return "a denied address"
        if any(address in network for network in self.allowed_networks):
            return None
        kind = kind_of(address) or ("local" if own else None)
        return f"{'an' if kind == 'unspecified' else 'a'} {kind} address" if kind else None

    def against_literal(self, host: str, port: int) -> str | None:
        """Why pages may not reach a host that is written as an address, or by its name; None when they may, or when
        its addresses would have to be looked up first."""
        reason = self.against_host(host, port)
        if reason is None and (address := literal(host)) is not None:
            reason = self.against_address(address)
            reason = f"it is {reason}" if reason else None
        return reason


def kind_of(address: Address) -> str | None:
    """The kind of an address that is not public ("private", "loopback", ...); None for a public one."""
    return next(filter(None, map(_kind, _forms(_plain(address)))), None)


def literal(host: str) -> Address | None:
    """The address that a URL's host is, in any spelling that browsers take (WHATWG URL, host parsing): decimal, octal,
    hex, short, percent-encoded, full width, `localhost`; None for a name that has to be looked up."""
    host = unicodedata.normalize("NFKC", unquote(host)).replace("\u3002", ".").lower().rstrip(".")
    if host == "localhost" or host.endswith(".localhost"):
        return IPv4Address("127.0.0.1")
    with contextlib.suppress(ValueError):
        return ip_address(host.removeprefix("[").removesuffix("]"))
    if not host or any(character not in "0123456789abcdefx." for character in host):
        return None
    with contextlib.suppress(OSError):
        return IPv4Address(socket.inet_aton(host))
    return None


def _plain(address: Address) -> Address:
    """Without a scope, and IPv4 where a socket would speak IPv4."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        return IPv6Address(int(address))
    return address


def _kind(address: Address) -> str | None:
    found = next((kind for network, kind in _KINDS if address in network), None)
    if found is None and isinstance(address, IPv6Address) and address not in _UNICAST:
        return None if any(address in network for network, _ in _EMBEDDING) else "reserved"
    return found


def _forms(address: Address) -> Iterator[Address]:
    """The address, and the one that it leads to."""
    yield address
    if isinstance(address, IPv6Address):
        for network, place in _EMBEDDING:
            if address in network:
                yield IPv4Address(int(address) >> place & 0xFFFFFFFF)
