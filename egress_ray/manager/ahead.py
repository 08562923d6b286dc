"""A process of Ray on each node that is up before there is an actor for it, which then begins half a second sooner.

Ray takes one for an actor by itself, but starts one ahead only as a node begins, or where its raylet is asked to, for
which there is no public function: this is the call that its own workers make. To the autoscaler, a node with nothing
but such a process is idle.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

import grpc
import ray
from ray._private.grpc_utils import init_grpc_channel
from ray.core.generated import common_pb2, node_manager_pb2, node_manager_pb2_grpc

from egress_ray.manager.rounds import again_and_again

log = logging.getLogger("egress_ray.manager")
_LOOK_S = 1.0
# How often nodes that have come are looked for, and how long after that one is started there: a manager that ends again
# and again leaves none behind.
_NODES_S = _CALM_S = 10.0
# A recording that begins has the processor to itself for so long.
_REFILL_S = 3.0
_CALL_S = 3.0
# Ray keeps it for longer where it has not more of them than free CPUs.
_KEPT_S = 600


class Ahead:
    """Keeps one on every node, for one manager."""

    def __init__(self) -> None:
        self._due: dict[str, float] = {}  # by node: when another is to be started (monotonic)
        self._looked = float("-inf")

    def used(self, node: str) -> None:
        """Something has begun on this node, most likely in the one that was there."""
        self._due[node] = time.monotonic() + _REFILL_S

    async def run(self) -> None:
        """Until cancelled."""
        await again_and_again(_LOOK_S, "have a process ready on each node", self._look)

    async def _look(self) -> None:
        now = time.monotonic()
        if now < min((self._looked + _NODES_S, *self._due.values())):
            return
        self._looked = now
        nodes: list[dict[str, Any]] = await asyncio.to_thread(ray.nodes)
        there = {each["NodeID"]: each for each in nodes if each["Alive"] and each["Resources"].get("CPU", 0) > 0}
        self._due = {node: self._due.get(node, now + _CALM_S) for node in there}
        for node in [node for node, due in self._due.items() if due <= now]:
            self._due[node] = float("inf")
            address = f"{there[node]['NodeManagerAddress']}:{there[node]['NodeManagerPort']}"
            try:
                await _start(address)
            except grpc.aio.AioRpcError as error:  # what begins next there takes longer
                log.warning("No process is started ahead on node %s: %s", node, error.code().name)


async def _start(raylet: str) -> None:
    # Without a job: Ray ends those of a job that has ended, as the one has that has deployed us on a cluster.
    request = node_manager_pb2.PrestartWorkersRequest(
        language=common_pb2.Language.PYTHON, num_workers=1, keep_alive_duration_secs=_KEPT_S
    )
    async with init_grpc_channel(raylet, asynchronous=True) as channel:
        await node_manager_pb2_grpc.NodeManagerServiceStub(channel).PrestartWorkers(request, timeout=_CALL_S)
