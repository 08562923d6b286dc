"""`python -m tests.cluster.nodes`: the service on a cluster of three nodes on this machine, each with its own disk.

The head records nothing. `nodes.json` in the data folder tells of the others: Ray's id, the raylet's pid, data folder.
"""

from __future__ import annotations

import json
import os
import signal
import threading
from pathlib import Path

from egress_ray import environment

_RECORDERS = 2
_MEMORY = 6 * 2**30


def main() -> None:
    environment.apply(os.environ)
    from ray.cluster_utils import Cluster

    from egress_ray.app import build

    data, port = Path(os.environ["EGRESS_DATA_DIR"]), int(os.environ["EGRESS_HTTP__PORT"])
    data.mkdir(parents=True, exist_ok=True)
    cluster = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 0, "include_dashboard": False, "node_ip_address": "127.0.0.1"},
    )
    nodes = []
    for number in range(1, _RECORDERS + 1):
        own = data.with_name(f"{data.name}-{number}")
        node = cluster.add_node(
            num_cpus=4, memory=_MEMORY, node_ip_address="127.0.0.1", env_vars={"EGRESS_DATA_DIR": str(own)}
        )
        raylet = node.all_processes["raylet"][0].process.pid
        nodes.append({"node_id": node.node_id, "raylet": raylet, "data": str(own)})
    (data / "nodes.json").write_text(json.dumps({"address": cluster.address, "nodes": nodes}))

    import ray
    from ray import serve

    ray.init(address=cluster.address, log_to_driver=False)
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    serve.start(proxy_location="HeadOnly", http_options={"host": "127.0.0.1", "port": port})
    serve.run(build({}), name="egress", route_prefix="/")
    ended.wait()
    limit = threading.Timer(20, lambda: os._exit(1))
    limit.daemon = True
    limit.start()
    serve.shutdown()  # type: ignore[no-untyped-call]
    ray.shutdown()
    cluster.shutdown()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()
