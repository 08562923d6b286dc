"""What all drivers of tasks share: settings, store, secrets, and the making and ending of recording actors."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from egress_ray.folders import task_folder
from egress_ray.manager.placement import Cost, cost
from egress_ray.recording.job import Job, recording_name
from egress_ray.recording.spec import expand, to_spec
from egress_ray.secrets import Vault
from egress_ray.settings import Settings
from egress_ray.store.rows import Entry
from egress_ray.store.store import TaskStore
from egress_ray.tasks import Task
from recorders.log.finish import Finished, finish

# New processes at once: starting one takes most of a core for 0.4 s.
_STARTS_AT_ONCE = 4


@dataclass(slots=True)
class Office:
    """Shared by all drivers of one manager."""

    settings: Settings
    store: TaskStore
    vault: Vault
    starts: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_STARTS_AT_ONCE))

    def cost(self, task: Task) -> Cost:
        """What a recording of this task reserves."""
        return cost(task.payload, self.settings.cost)

    def create(self, entry: Entry, attempt: int) -> Any:
        """A recording actor for an attempt, perhaps still waiting for a node. It gets no secret here.

        One that goes on with a recording goes to its node if that lives and has room: the log is there.
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
                max_restarts=0,
                max_concurrency=100,
                scheduling_strategy=_near(entry),
            )
            .remote(label(task, attempt), self.settings.namespace)
        )

    def find(self, task: Task) -> Any | None:
        """The actor of the task's present attempt, if it lives."""
        name = recording_name(task.app_id, task.task_id, task.attempt)
        try:
            return ray.get_actor(name, namespace=self.settings.namespace)
        except ValueError:
            return None

    def job(self, entry: Entry, attempt: int) -> Job:
        """What the actor is told. Raises ValueError when the token cannot be read."""
        task, settings = entry.task, self.settings
        token = self.vault.decrypt(entry.token) if entry.token is not None else None
        folder = task_folder(settings.data_path, task.app_id, task.task_id)
        spec = to_spec(task, token, attempt, folder, settings.limits.recording)
        return Job(task.app_id, spec, settings.recorders, settings.lease.renew_s, settings.lease.expiry_s)

    async def finish(self, entry: Entry) -> Finished:
        """Finish a recording whose recorder cannot; on its node, where its files are."""
        task = entry.task
        folder = task_folder(self.settings.data_path, task.app_id, task.task_id)
        prefix = expand(task.payload["filename_pattern"], task)
        if entry.node_id == ray.get_runtime_context().get_node_id():
            # Beside the files: a task of its own would wait a second for its process.
            here = asyncio.to_thread(finish, folder, prefix, task.payload["format"])
            return await asyncio.wait_for(here, self.settings.limits.finish_s)
        work = ray.remote(finish).options(
            num_cpus=0, name=f"finish {task.task_id}", max_retries=3, scheduling_strategy=_near(entry)
        )
        reference = work.remote(folder, prefix, task.payload["format"])
        return await asyncio.wait_for(reference, self.settings.limits.finish_s)


def _near(entry: Entry) -> Any:
    """On the node that recorded last, or on any."""
    if entry.node_id is None:
        return "DEFAULT"
    return NodeAffinitySchedulingStrategy(entry.node_id, soft=True, _spill_on_unavailable=True)


def cluster_resources() -> tuple[Mapping[str, float], Mapping[str, float]]:
    """All of the cluster's resources, and the free ones, by Ray's names."""
    total: Mapping[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    free: Mapping[str, float] = ray.available_resources()  # type: ignore[no-untyped-call]
    return total, free


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
