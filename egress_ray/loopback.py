"""Keeps a Serve replica's own gRPC server off other addresses; on one machine nobody calls it from elsewhere.

Serve binds it to every address and has no setting for it (`docs/decisions/0003-ports-on-loopback.md`).
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any


def close_replica_port() -> None:
    """Make the replica in this process bind to loopback; called before Serve has started that server."""
    if os.environ.get("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER") != "0":
        return
    replica: Any = import_module("ray.serve._private.replica")
    add = replica.add_port_to_grpc_server

    def add_on_loopback(server: Any, address: str) -> Any:
        return add(server, address.replace("[::]:", "127.0.0.1:"))

    replica.add_port_to_grpc_server = add_on_loopback
