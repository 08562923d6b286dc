"""What a recording takes of a node, as Ray resources; measured costs, see `benchmarks/results.md`. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from egress_ray.settings import CostSettings

_PIXELS_PER_SECOND_720P30 = 1280 * 720 * 30
MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Cost:
    """CPUs and bytes of memory to reserve."""

    cpus: float
    memory: int

    def __str__(self) -> str:
        return f"{self.cpus:.2f} CPU and {self.memory // MIB} MiB"


def cost(payload: Mapping[str, Any], settings: CostSettings) -> Cost:
    """What the recording that a payload asks for needs, by kind, picture size and rate, and users named."""
    video = payload["video"]
    size = video["width"] * video["height"] * video["frameRate"] / _PIXELS_PER_SECOND_720P30
    if payload["layout"] == "freestyle":
        return Cost(round(0.2 + 0.5 * size, 2), settings.web_memory_mb * MIB)
    users = max(2, len(payload.get("users") or ()))
    return Cost(round(0.05 + (0.3 + 0.1 * (users - 2)) * size, 2), settings.native_memory_mb * MIB)


def missing(needed: Cost, total: Mapping[str, float], free: Mapping[str, float], waited_s: float) -> str:
    """Why a recording found no place; `total` and `free` are the cluster's resources as Ray names them."""
    short = []
    for name, amount, unit in (("CPU", needed.cpus, 1), ("memory", needed.memory, MIB)):
        if total.get(name, 0) < amount:
            short.append(f"the whole cluster has {total.get(name, 0) / unit:.2f} {_unit(name)}")
        elif free.get(name, 0) < amount:
            short.append(f"{free.get(name, 0) / unit:.2f} {_unit(name)} were free")
    fact = "; ".join(short) or "the free resources were not on one node"
    return f"No node had {needed} free within {waited_s:.0f} s: {fact}."


def _unit(name: str) -> str:
    return "CPU" if name == "CPU" else "MiB of memory"
