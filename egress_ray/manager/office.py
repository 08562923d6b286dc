"""What all drivers of tasks share: settings, store, secrets, and the making and ending of recording actors."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import urlsplit

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from egress_ray.manager.nodes import free_resources, has_room
from egress_ray.manager.placement import Cost, cost
from egress_ray.manager.warm import Warm
from egress_ray.recording.finishing import delete_files, finish_here
from egress_ray.recording.job import Job, Order, recording_name
from egress_ray.recording.spec import place_of, prefix_of, to_spec
from egress_ray.secrets import Vault
from egress_ray.settings import Settings
from egress_ray.store.rows import Entry
from egress_ray.store.store import TaskStore
from egress_ray.tasks import Task
from recorders.errors import RecorderError, Unwritable
from recorders.log.finish import Finished
from recorders.web.warm import fits

log = logging.getLogger("egress_ray.manager")
# New processes at once: starting one takes most of a core for 0.4 s.
_STARTS_AT_ONCE = 4
# How soon finishing is tried again, at first and at most.
_AGAIN_S, _AGAIN_MOST_S = 1.0, 15.0


@dataclass(slots=True)
class Office:
    """Shared by all drivers of one manager."""

    settings: Settings
    store: TaskStore
    vault: Vault
    warm: Warm
    starts: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_STARTS_AT_ONCE))

    def cost(self, task: Task) -> Cost:
        """What a recording of this task reserves."""
        return cost(task.payload, self.settings.cost)

    def create(self, entry: Entry, attempt: int, avoid: str | None = None) -> Any:
        """A recording actor for an attempt, perhaps still waiting for a node. It gets no secret here.

        One that goes on with a recording goes to its node if that lives and has room, as the log is there; but not to
        the node `avoid`, if there is another.
        """
        from egress_ray.recording.actor import Recording

        task, needed = entry.task, self.cost(entry.task)
        return (
            ray.remote(Recording)
            .options(
                name=recording_name(task.app_id, task.task_id, attempt),
                namespace=self.settings.namespace,
                lifetime="detached",
                num_cpus=needed.cpus,
                memory=needed.memory,
                resources=needed.resources,
                max_restarts=0,
                max_concurrency=100,
                **(_elsewhere(avoid, needed.cpus) if avoid is not None else {"scheduling_strategy": _near(entry)}),
            )
            .remote(label(task, attempt), self.settings.namespace, _of_page(task))
        )

    async def has_room(self, task: Task, avoid: str | None = None) -> bool:
        """Whether a node has room for a recording of this task now, so that `create` starts a process at once."""
        needed = self.cost(task)
        without = {*self.warm.leaving_nodes, *([avoid] if avoid is not None and _elsewhere(avoid, needed.cpus) else [])}
        nodes = await free_resources()
        return any(has_room(free, needed.amounts) for node, free in nodes.items() if node not in without)

    async def take_warm(self, entry: Entry, attempt: int, avoid: str | None = None) -> Any | None:
        """A recording actor that is up already, where `create` would put it; None when there is none that suits."""
        task = entry.task
        if not _of_page(task) or not fits(self.job(entry, attempt).spec):
            return None
        name = recording_name(task.app_id, task.task_id, attempt)
        return await self.warm.take(name, label(task, attempt), self.cost(task), entry.node_id, avoid)

    def find(self, task: Task) -> Any | None:
        """The actor of the task's present attempt, if it lives."""
        name = recording_name(task.app_id, task.task_id, task.attempt)
        try:
            return ray.get_actor(name, namespace=self.settings.namespace)
        except ValueError:
            return self.warm.find(name)

    def order(self, task: Task) -> Order:
        """What is to be made of a task's recording, and where it belongs."""
        settings, prefix = self.settings, prefix_of(task)
        place = place_of(task, settings.storage, prefix)
        return Order(str(settings.data_path), task.app_id, task.task_id, prefix, task.payload["format"], place)

    def job(self, entry: Entry, attempt: int, *, standby: bool = False) -> Job:
        """What the actor is told. Raises ValueError when the token cannot be read."""
        task, settings = entry.task, self.settings
        token = self.vault.decrypt(entry.token) if entry.token is not None else None
        order = self.order(task)
        limits = settings.limits.recording
        spec = to_spec(task, token, attempt, order.folder, limits, epoch=entry.epoch, standby=standby)
        lease = settings.lease
        return Job(order, spec, settings.recorders, lease.renew_s, lease.expiry_s, settings.disk.refuse_below_mb)

    async def finish(self, entry: Entry, recorder: Any | None, tell: Callable[[str], Awaitable[None]]) -> Finished:
        """Finish a recording to which nobody writes any more, in its recorder or where its files are; again and again
        until it is done.

        `tell` gets what it waits for. Raises `RecorderError`: at once what trying again cannot mend, anything else
        after `limits.finish_s`.
        """
        until, pause_s, told = time.monotonic() + self.settings.limits.finish_s, _AGAIN_S, ""
        while True:
            left = until - time.monotonic()
            try:
                return await asyncio.wait_for(self._finish_once(entry, recorder), max(_AGAIN_S, left))
            except RecorderError as error:
                if not error.retryable or isinstance(error, Unwritable):
                    raise
                why = str(getattr(error, "cause", error))
            except (RayError, TimeoutError, OSError) as error:
                recorder, why = None, f"{type(error).__name__}."
            if time.monotonic() + pause_s > until:
                raise RecorderError(
                    f"The files are not in their place after {self.settings.limits.finish_s:g} s: {why}"
                )
            if why != told:
                log.warning("Task %s is not finished yet: %s", entry.task.task_id, why)
                await tell(why)
                told = why
            await asyncio.sleep(pause_s)
            pause_s = min(_AGAIN_MOST_S, 2 * pause_s)

    async def _finish_once(self, entry: Entry, recorder: Any | None) -> Finished:
        if recorder is not None:
            return cast(Finished, await recorder.finish.remote())
        order = self.order(entry.task)
        if entry.node_id in (None, ray.get_runtime_context().get_node_id()):
            # Beside the files: a task of its own would wait a second for its process.
            return await asyncio.to_thread(finish_here, order)
        work = ray.remote(finish_here).options(
            num_cpus=0, name=f"finish {entry.task.task_id}", max_retries=0, scheduling_strategy=_near(entry)
        )
        done: Finished = await work.remote(order)
        return done

    async def delete_files(self, task: Task) -> None:
        """Delete all files of a task that has ended."""
        await asyncio.to_thread(delete_files, self.order(task))


def _elsewhere(node: str, cpus: float) -> dict[str, Any]:
    """On another node than this, if any could ever take it."""
    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    others = [each for each in nodes if each["Alive"] and each["NodeID"] != node]
    if not any(each["Resources"].get("CPU", 0) >= cpus for each in others):
        return {}
    return {"label_selector": {"ray.io/node-id": f"!{node}"}}


def _near(entry: Entry) -> Any:
    """On the node that recorded last, or on any."""
    if entry.node_id is None:
        return "DEFAULT"
    return NodeAffinitySchedulingStrategy(entry.node_id, soft=True, _spill_on_unavailable=True)


def label(task: Task, attempt: int) -> str:
    """What people read of a recording in the dashboard; no secret, no query of a URL."""
    payload = task.payload
    if payload["layout"] == "freestyle":
        what = f"web {urlsplit(payload['url']).hostname}"
    else:
        what = f"native {payload['channel']}"
    return f"{task.task_id}, {what}, attempt {attempt}"


def end(actor: Any) -> None:
    """Kill an actor that may be gone already."""
    try:
        ray.kill(actor)
    except (RayError, ValueError):
        return


def _of_page(task: Task) -> bool:
    return bool(task.payload["layout"] == "freestyle")
