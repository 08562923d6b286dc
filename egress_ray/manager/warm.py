"""Recorders that are up before there is a recording for them, on every node so many, each with a browser open.

They are actors like all recorders, but reserve no CPU before they are taken, and have a name of their own.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util import list_named_actors
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from egress_ray.manager.nodes import free_resources, has_room
from egress_ray.manager.placement import MIB, Cost
from egress_ray.manager.rounds import again_and_again
from egress_ray.recording.job import is_warm, warm_name
from egress_ray.settings import Settings
from recorders.errors import RecorderError

log = logging.getLogger("egress_ray.manager")
_LOOK_S = 1.0
# A recording that begins has the processor to itself for so long, before the next browser is opened.
_REFILL_S = 3.0
# How long recordings that did not find room keep the room that was made for them.
_WAY_S = 20.0
_OPEN_S = 60.0
# After a browser that did not open.
_AGAIN_S = 10.0
# How long one that is idle may say nothing.
_STILL_S, _SILENT_S = 10.0, 15.0
# What its process is called meanwhile.
_TITLE = "kept ready"
_CALL_S = 3.0
_TAKE_S = 2.0
_CLOSE_S = 5.0


@dataclass(eq=False, slots=True)
class _Warm:
    """One that is there or coming; `ready` once its browser is open."""

    node: str
    actor: Any
    ready: bool = False
    watch: asyncio.Task[None] | None = None


class Warm:
    """Keeps them, for one manager of `version`."""

    def __init__(self, settings: Settings, version: str) -> None:
        self._settings = settings
        self._version = version
        self._kept: list[_Warm] = []
        self._adopted: dict[str, Any] = {}
        self.leaving_nodes: Collection[str] = ()  # nothing is begun there any more
        self._not_before = 0.0

    async def adopt(self) -> None:
        """Take over from the manager before: what is recording by its name, what is idle if its version is this one.
        Whatever else there is ends."""
        everyone: list[Any] = await asyncio.to_thread(list_named_actors, True)
        names = [each["name"] for each in everyone if each["namespace"] == self._settings.namespace]
        await asyncio.gather(*(self._adopt(name) for name in names if is_warm(name)))

    async def run(self) -> None:
        """Until cancelled."""
        if self._settings.warm.browsers:
            await again_and_again(_LOOK_S, "look at the browsers that are kept ready", self._look)

    def find(self, recording: str) -> Any | None:
        """The actor that records under this name since before this manager; told once."""
        return self._adopted.pop(recording, None)

    async def end_unclaimed(self) -> None:
        """End recorders of the manager before that no open task has asked for."""
        actors = list(self._adopted.values())
        self._adopted.clear()
        await asyncio.gather(*map(self._dismiss, actors))

    async def take(self, recording: str, label: str, needed: Cost, on: str | None, avoid: str | None) -> Any | None:
        """One for this recording, with what it needs besides memory reserved, from the node `on` or else from that with
        most CPU free; None when there is none."""
        if not any(each.ready for each in self._kept):
            return None
        free = await free_resources()
        besides = {"CPU": needed.cpus, **needed.resources}
        fit = [
            each
            for each in self._kept
            if each.ready
            and (on is None or each.node == on)
            and each.node not in (avoid, *self.leaving_nodes)
            and has_room(free.get(each.node, {}), besides)
        ]
        for chosen in sorted(fit, key=lambda each: -_free(free, each.node, "CPU")):
            if chosen not in self._kept:  # taken by another task meanwhile
                continue
            self._forget(chosen)
            self._not_before = time.monotonic() + _REFILL_S
            try:
                taken = await asyncio.wait_for(chosen.actor.take.remote(recording, label, besides), _TAKE_S)
            except (RayError, TimeoutError) as error:
                log.warning("A browser that was kept ready could not be taken: %s", type(error).__name__)
                await self._dismiss(chosen.actor)
                continue
            if taken:
                return chosen.actor
            self._keep(chosen)
            return None
        return None

    async def make_way(self, needed: Cost) -> None:
        """A recording waits for room: end those that hold the memory that it needs."""
        if self._kept:
            self._not_before = time.monotonic() + _WAY_S
            free = await free_resources()
            await self._end([each for each in self._kept if _free(free, each.node, "memory") < needed.memory])

    async def leaving(self, nodes: Collection[str]) -> None:
        """These nodes will be gone soon."""
        self.leaving_nodes = nodes
        await self._end([each for each in self._kept if each.node in nodes])

    async def close(self) -> None:
        """End all that are idle."""
        self._not_before = float("inf")
        await self._end(list(self._kept))

    async def _end(self, those: list[_Warm]) -> None:
        for each in those:
            self._forget(each)
        await asyncio.gather(*(self._dismiss(each.actor) for each in those))

    async def _look(self) -> None:
        """Open what is missing, one at a time on each node."""
        if time.monotonic() < self._not_before:
            return
        nodes: list[dict[str, Any]] = await asyncio.to_thread(ray.nodes)
        free = await free_resources()
        memory = self._settings.cost.web_memory_mb * MIB
        for node in (each["NodeID"] for each in nodes if each["Alive"] and each["Resources"].get("CPU", 0) > 0):
            there = [each for each in self._kept if each.node == node]
            room = node not in self.leaving_nodes and _free(free, node, "memory") >= memory
            if room and len(there) < self._settings.warm.browsers and all(each.ready for each in there):
                self._make(node, memory)

    def _make(self, node: str, memory: int) -> None:
        from egress_ray.recording.actor import Recording

        namespace = self._settings.namespace
        actor = (
            ray.remote(Recording)
            .options(
                name=warm_name(self._version, secrets.token_hex(6)),
                namespace=namespace,
                lifetime="detached",
                num_cpus=0,
                memory=memory,
                max_restarts=0,
                max_concurrency=100,
                scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False),
            )
            .remote("a browser kept ready", namespace)
        )
        self._keep(_Warm(node, actor))

    def _keep(self, warm: _Warm) -> None:
        self._kept.append(warm)
        warm.watch = asyncio.create_task(self._watch(warm))

    def _forget(self, warm: _Warm) -> None:
        if warm in self._kept:
            self._kept.remove(warm)
        if warm.watch is not None:
            warm.watch.cancel()

    async def _watch(self, warm: _Warm) -> None:
        """Until its browser, its process or its node is gone."""
        try:
            if not warm.ready:
                await asyncio.wait_for(warm.actor.open.remote(self._settings.web), _OPEN_S)
                warm.ready = True
            still = warm.actor.still.options(name=_TITLE, enable_task_events=False)
            while await asyncio.wait_for(still.remote(_STILL_S), _STILL_S + _SILENT_S):
                pass
            why = "its browser is gone"
        except (RayError, RecorderError, TimeoutError) as error:
            why = str(getattr(error, "cause", None) or type(error).__name__)
            if not warm.ready:
                self._not_before = time.monotonic() + _AGAIN_S
        log.warning("A browser that was kept ready is replaced: %s", why)
        if warm in self._kept:
            self._kept.remove(warm)
        await self._dismiss(warm.actor)

    async def _adopt(self, name: str) -> None:
        try:
            actor = ray.get_actor(name, namespace=self._settings.namespace)
        except ValueError:
            return
        try:
            recording: str = await asyncio.wait_for(actor.taken_by.remote(), _CALL_S)
            node = str(await asyncio.wait_for(actor.node_id.remote(), _CALL_S))
        except (RayError, TimeoutError):  # a recording that says nothing is replaced as one that is lost
            _kill(actor)
            return
        if recording:
            self._adopted[recording] = actor
        elif name.startswith(warm_name(self._version, "")) and self._settings.warm.browsers:
            self._keep(_Warm(node, actor, ready=True))
        else:
            await self._dismiss(actor)

    async def _dismiss(self, actor: Any) -> None:
        """Close its browser, then it."""
        with contextlib.suppress(RayError, TimeoutError):
            await asyncio.wait_for(actor.dismiss.remote(), _CLOSE_S)
        _kill(actor)


def _free(free: Mapping[str, Mapping[str, float]], node: str, what: str) -> float:
    return free.get(node, {}).get(what, 0.0)


def _kill(actor: Any) -> None:
    with contextlib.suppress(RayError, ValueError):
        ray.kill(actor)
