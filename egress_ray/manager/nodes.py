"""The cluster's nodes, and what is free on them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

import ray
import ray._private.state
from ray._private.state import available_resources_per_node

log = logging.getLogger("egress_ray.manager")


async def leaving_nodes() -> set[str]:
    """Ids of the nodes that are being drained: they will be gone soon."""
    try:
        draining: dict[str, int] = await asyncio.to_thread(ray._private.state.state.get_draining_nodes)
    except Exception as error:  # its connection's errors are not documented
        log.warning("The control store does not tell of leaving nodes: %s", type(error).__name__)
        return set()
    return set(draining)


async def free_resources() -> dict[str, dict[str, float]]:
    """Of each node, by Ray's names."""
    free: dict[str, dict[str, float]] = await asyncio.to_thread(available_resources_per_node)
    return free


def cluster_resources() -> tuple[Mapping[str, float], Mapping[str, float]]:
    """All of the cluster's resources, and the free ones, by Ray's names."""
    total: Mapping[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    free: Mapping[str, float] = ray.available_resources()  # type: ignore[no-untyped-call]
    return total, free


def has_room(free: Mapping[str, float], needed: Mapping[str, float]) -> bool:
    """Whether a node with so much free has all that is needed."""
    return all(free.get(name, 0.0) >= amount for name, amount in needed.items())
