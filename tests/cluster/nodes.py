"""`python -m tests.cluster.nodes`: the service on a cluster of three nodes on this machine, each with its own disk.

The head records nothing. `nodes.json` in the data folder tells of the others: Ray's id, the raylet's pid, data folder.
One whose raylet has ended is replaced by a new one with the same disk.
"""

from __future__ import annotations

import json
import os
import signal
import threading
from pathlib import Path
from typing import Any

from egress_ray import environment

_RECORDERS = 2
_MEMORY = 6 * 2**30
_LOOK_S = 0.5


def main() -> None:
    environment.apply(os.environ)
    from ray._common.utils import reset_ray_address
    from ray.cluster_utils import Cluster

    from egress_ray.app import build

    data, port = Path(os.environ["EGRESS_DATA_DIR"]), int(os.environ["EGRESS_HTTP__PORT"])
    data.mkdir(parents=True, exist_ok=True)
    cluster = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 0, "include_dashboard": False, "node_ip_address": "127.0.0.1"},
    )
    reset_ray_address()  # or whoever asks Ray for this machine's cluster gets this one, dead or alive
    disks = [data.with_name(f"{data.name}-{number}") for number in range(1, _RECORDERS + 1)]
    nodes = {disk: _add(cluster, disk) for disk in disks}
    _tell(data, cluster.address, nodes)

    import ray
    from ray import serve

    ray.init(address=cluster.address, log_to_driver=False)
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    serve.start(proxy_location="HeadOnly", http_options={"host": "127.0.0.1", "port": port})
    serve.run(build({}), name="egress", route_prefix="/")
    while not ended.wait(_LOOK_S):
        for disk, node in nodes.items():
            if _raylet(node).poll() is not None:
                nodes[disk] = _add(cluster, disk)
                _tell(data, cluster.address, nodes)
    limit = threading.Timer(20, lambda: os._exit(1))
    limit.daemon = True
    limit.start()
    serve.shutdown()  # type: ignore[no-untyped-call]
    ray.shutdown()
    cluster.shutdown()  # type: ignore[no-untyped-call]


def _add(cluster: Any, disk: Path) -> Any:
    environ = {"EGRESS_DATA_DIR": str(disk)}
    return cluster.add_node(num_cpus=4, memory=_MEMORY, node_ip_address="127.0.0.1", env_vars=environ)


def _raylet(node: Any) -> Any:
    return node.all_processes["raylet"][0].process


def _tell(data: Path, address: str, nodes: dict[Path, Any]) -> None:
    told = [{"node_id": node.node_id, "raylet": _raylet(node).pid, "data": str(disk)} for disk, node in nodes.items()]
    draft = data / "nodes.new"
    draft.write_text(json.dumps({"address": address, "nodes": told}))
    draft.rename(data / "nodes.json")


if __name__ == "__main__":
    main()
