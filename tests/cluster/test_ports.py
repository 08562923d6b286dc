"""Nothing of the service listens beyond loopback, and Ray's own tools can look at it."""

from __future__ import annotations

import ipaddress

import psutil

from tests.cluster.service import App, Service, native


def beyond_loopback(service: Service) -> list[str]:
    """Addresses that processes of the service listen on, but for loopback."""
    found = []
    for process in service.descendants():
        try:
            connections = process.net_connections(kind="inet")
        except psutil.Error:
            continue
        found += [
            f"{process.name()} {each.laddr.ip}:{each.laddr.port}"
            for each in connections
            if each.status == psutil.CONN_LISTEN and not _is_loopback(each.laddr.ip)
        ]
    return found


def _is_loopback(address: str) -> bool:
    parsed = ipaddress.ip_address(address)
    mapped = getattr(parsed, "ipv4_mapped", None)
    return (mapped or parsed).is_loopback


def test_every_port_is_on_loopback_while_a_channel_is_recorded(app: App) -> None:
    task = app.record(native())
    assert app.service.processes("ray::record ")
    assert beyond_loopback(app.service) == []
    app.stop(task)
    app.wait(task, "STOPPED")
