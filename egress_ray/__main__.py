"""`python -m egress_ray`: the whole service on this machine, in the foreground, ended by Ctrl-C."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from egress_ray import environment
from egress_ray.names import MANAGER
from egress_ray.settings import Settings

# How long Ray may take to end, and the files of a recording that has stopped to be finished.
_SHUTDOWN_LIMIT_S = 20.0
_FINISH_S = 5.0
CONFIG = Path("serve_config.yaml")


def main() -> int:
    """Run until a signal; 0 after a clean end, 1 when the service could not start."""
    environment.apply(os.environ)
    from egress_ray.app import build
    from egress_ray.settings import load

    args = _args(CONFIG)
    try:
        settings = load(args)
    except ValidationError as error:
        for each in error.errors(include_input=False):
            print(f"Setting {'.'.join(map(str, each['loc']))}: {each['msg']}", file=sys.stderr)
        return 1

    import ray
    from ray import serve

    from egress_ray.manager.placement import PAGES

    logging.getLogger("ray").setLevel(logging.WARNING)
    pages = settings.cost.pages_per_node
    context = ray.init(
        address="local",
        log_to_driver=False,
        dashboard_host="127.0.0.1",
        resources={PAGES: pages} if pages is not None else None,
        _node_ip_address="127.0.0.1",
    )
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):  # after Ray, which sets handlers of its own
        signal.signal(number, lambda *_: ended.set())
    try:
        serve.start(http_options={"host": settings.http.host, "port": settings.http.port})
        serve.run(build(args), name="egress", route_prefix="/", logging_config={"enable_access_log": False})
        host, port = settings.http.host, settings.http.port
        print(f"egress-ray is ready at http://{host}:{port} (docs at /docs)")
        print(f"Ray's dashboard: http://{context.dashboard_url}")
        print(f"Recordings are kept in {settings.data_path}. Ctrl-C ends the service.", flush=True)
        ended.wait()
        print("Ending: recordings are being closed", flush=True)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        with contextlib.suppress(KeyboardInterrupt):
            _close_recordings(settings)
    finally:
        limit = threading.Timer(_SHUTDOWN_LIMIT_S, lambda: os._exit(1))
        limit.daemon = True
        limit.start()
        serve.shutdown()  # type: ignore[no-untyped-call]
        ray.shutdown()
    return 0


def _close_recordings(settings: Settings) -> None:
    """Stop every task and let its files be finished, within a bound; what is left goes on at the next start.

    A second Ctrl-C ends the wait.
    """
    import ray
    from ray.exceptions import GetTimeoutError, RayActorError

    within = settings.limits.stop_s + _FINISH_S
    try:
        manager = ray.get_actor(MANAGER, namespace=settings.namespace)
        answer: Any = manager.shut_down.remote(within)
        left = ray.get(answer, timeout=within + 2)
    except (RayActorError, GetTimeoutError, ValueError):
        return
    if left:
        print(f"{left} recordings were not closed in time; they go on at the next start", flush=True)


def _args(config: Path) -> dict[str, Any]:
    """The settings in the Serve config of this folder, so that both ways of starting mean the same."""
    if not config.is_file():
        return {}
    document = yaml.safe_load(config.read_text())
    args: dict[str, Any] = document["applications"][0].get("args") or {}
    return args


if __name__ == "__main__":
    sys.exit(main())
