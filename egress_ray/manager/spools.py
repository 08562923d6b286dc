"""What nodes still have to put into the store, after recorders and tasks have gone: each node is asked now and then."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from egress_ray.manager.room import Room
from egress_ray.manager.rounds import again_and_again
from egress_ray.recording.finishing import Swept, sweep
from egress_ray.store.rows import Key

log = logging.getLogger("egress_ray.manager")
_EACH_S = 10.0
_SWEEP_S = 120.0


class Spools:
    """Drives what is left behind on every node. `settle` is told of recordings that wait there, with all they have in
    the store, and the node's id."""

    def __init__(self, data_dir: str, stored: bool, room: Room, settle: Callable[[Key, str], Awaitable[None]]) -> None:
        self._data_dir = data_dir
        self._stored = stored
        self._room = room
        self._settle = settle

    async def run(self) -> None:
        """Until cancelled."""
        await again_and_again(_EACH_S, "look at the nodes' spools", self._round)

    async def _round(self) -> None:
        nodes = [str(node["NodeID"]) for node in await asyncio.to_thread(ray.nodes) if node["Alive"]]
        await asyncio.gather(*(self._visit(node) for node in nodes))

    async def _visit(self, node: str) -> None:
        own = node == ray.get_runtime_context().get_node_id()
        if not own and not self._stored:
            return  # nothing to do there, and its recordings tell of its disk
        try:
            swept = await asyncio.wait_for(self._sweep(node, own), _SWEEP_S)
        except (RayError, TimeoutError, OSError) as error:
            log.warning("The spools of node %s could not be looked at: %s", node, type(error).__name__)
            return
        self._room.seen(node, swept.free_mb)
        for app_id, task_id in swept.waiting:
            await self._settle(Key(app_id, task_id), node)

    async def _sweep(self, node: str, own: bool) -> Swept:
        if own:
            return await asyncio.to_thread(sweep, self._data_dir)
        there: Any = NodeAffinitySchedulingStrategy(node, soft=False)
        work = ray.remote(sweep).options(num_cpus=0, name="spools", max_retries=0, scheduling_strategy=there)
        swept: Swept = await work.remote(self._data_dir)
        return swept
