"""What a recording takes of a node, as Ray resources; measured costs, see `benchmarks/results.md`. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from egress_ray.settings import CostSettings
from recorders.formats import codecs_of

_PIXELS_PER_SECOND_720P30 = 1280 * 720 * 30
MIB = 1024 * 1024
# The resource of a node that counts the pages it may record at once.
PAGES = "pages"


@dataclass(frozen=True, slots=True)
class Cost:
    """CPUs and bytes of memory to reserve, and places for pages where these are counted."""

    cpus: float
    memory: int
    pages: int = 0

    def __str__(self) -> str:
        place = " and a place for a page" if self.pages else ""
        return f"{self.cpus:.2f} CPU and {self.memory // MIB} MiB{place}"

    @property
    def resources(self) -> dict[str, float]:
        """What is neither CPU nor memory."""
        return {PAGES: self.pages} if self.pages else {}

    @property
    def amounts(self) -> dict[str, float]:
        """All of it, by Ray's names."""
        return {"CPU": self.cpus, "memory": self.memory, **self.resources}


def cost(payload: Mapping[str, Any], settings: CostSettings) -> Cost:
    """What the recording that a payload asks for needs, by kind, picture size and rate, and users named.

    Of individual recordings it is assumed that their pictures need no new encoding.
    """
    video = payload.get("video") if codecs_of(payload.get("format", "hls")).video else None
    size = video["width"] * video["height"] * video["frameRate"] / _PIXELS_PER_SECOND_720P30 if video else 0.0
    if payload["layout"] == "freestyle":
        counted = int(settings.pages_per_node is not None)
        return Cost(round(0.2 + 0.5 * size, 2), settings.web_memory_mb * MIB, counted)
    users = max(2, len(payload.get("users") or ()))
    if payload.get("mode") == "individual":
        each = settings.individual_cpus if video else settings.individual_cpus / 2
        memory = settings.native_memory_mb + settings.individual_memory_mb * users
        return Cost(round(0.05 + each * users, 2), memory * MIB)
    if not video:
        return Cost(round(0.1 + 0.01 * users, 2), settings.native_memory_mb * MIB)
    return Cost(round(0.05 + (0.3 + 0.1 * (users - 2)) * size, 2), settings.native_memory_mb * MIB)


def missing(needed: Cost, total: Mapping[str, float], free: Mapping[str, float], waited_s: float) -> str:
    """Why a recording found no place; `total` and `free` are the cluster's resources as Ray names them."""
    short = []
    for name, amount in needed.amounts.items():
        unit = MIB if name == "memory" else 1
        if total.get(name, 0) < amount:
            short.append(f"the whole cluster has {total.get(name, 0) / unit:.2f} {_unit(name)}")
        elif free.get(name, 0) < amount:
            short.append(f"{free.get(name, 0) / unit:.2f} {_unit(name)} were free")
    fact = "; ".join(short) or "the free resources were not on one node, or its process was slow to start"
    return f"No node had {needed} free within {waited_s:.0f} s: {fact}."


def _unit(name: str) -> str:
    return {"CPU": "CPU", "memory": "MiB of memory", PAGES: "places for pages"}[name]
