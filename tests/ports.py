"""Ports for servers that tests start."""

from __future__ import annotations

import random
import socket
from pathlib import Path

# Beyond those that Ray gives to its workers.
_FIRST = 20_000
_EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
_CHANCE = random.SystemRandom()


def free_port() -> int:
    """A TCP port on loopback that is free, and none that the system gives to connections: one of these may have it
    before a server that takes its time to start."""
    last = int(_EPHEMERAL.read_text().split()[0])
    while True:
        port = _CHANCE.randrange(_FIRST, max(last, _FIRST + 1))
        with socket.socket() as one:
            try:
                one.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
