"""The Ray Serve application: `serve run serve_config.yaml` builds it from the config's `args:`."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Iterator
from typing import Any

import ray
from fastapi import FastAPI
from ray import serve
from ray.exceptions import ActorDiedError, RayActorError, RayTaskError
from ray.serve import Application

from egress_ray.api.app import create_app
from egress_ray.loopback import close_replica_port
from egress_ray.manager.client import get_manager, present_manager
from egress_ray.names import ON_HEAD
from egress_ray.recording.job import Publication
from egress_ray.secrets import open_vault
from egress_ray.settings import SECRETS, Settings, StoreSettings, load
from egress_ray.tasks import Manager, NewTask, Page, Started, State, Task
from recorders.config import MediaConfig

_CALLS_AT_ONCE = 1000


class ManagerClient:
    """`egress_ray.tasks.Manager` by calls to the actor, whichever holds the name."""

    def __init__(self, handle: Any, settings: Settings) -> None:
        self._handle = handle
        self._settings = settings

    async def start(self, new: NewTask) -> Started:
        answer: Started = await self._call("start", new)
        return answer

    async def stop(self, app_id: str, task_id: str) -> tuple[Task, bool] | None:
        answer: tuple[Task, bool] | None = await self._call("stop", app_id, task_id)
        return answer

    async def task(self, app_id: str, task_id: str) -> Task | None:
        answer: Task | None = await self._call("task", app_id, task_id)
        return answer

    async def tasks(self, app_id: str, state: State | None, cmd: str | None, limit: int, cursor: str | None) -> Page:
        answer: Page = await self._call("tasks", app_id, state, cmd, limit, cursor)
        return answer

    async def recording_of(self, app_id: str, channel: str) -> str | None:
        answer: str | None = await self._call("recording_of", app_id, channel)
        return answer

    async def ready(self) -> None:
        await self._call("ready")

    async def _call(self, method: str, *args: Any) -> Any:
        try:
            return await self._remote(method, *args)
        except ActorDiedError:  # another version has taken its place, or it was killed by hand
            self._handle = present_manager(self._settings)
            return await self._remote(method, *args)

    def _remote(self, method: str, *args: Any) -> Awaitable[Any]:
        # Nothing of these many short calls is worth a row in the dashboard.
        call: Awaitable[Any] = getattr(self._handle, method).options(enable_task_events=False).remote(*args)
        return call


class RayGateway:
    """The REST side's way into the cluster."""

    def __init__(self, manager: Manager, namespace: str) -> None:
        self._manager = manager
        self._namespace = namespace

    @property
    def manager(self) -> Manager:
        """The task manager."""
        return self._manager

    async def publish(self, recording: str, user: str, token: str | None, offer: str) -> Publication:
        """Hand a WHIP offer to a recording."""
        answer: Publication = await self._recording(recording).publish.remote(user, token, offer)
        return answer

    async def patch(
        self, recording: str, resource: str, token: str | None, fragment: str, if_match: str
    ) -> Publication:
        """Hand a WHIP session's ICE fragment to a recording."""
        answer: Publication = await self._recording(recording).patch.remote(resource, token, fragment, if_match)
        return answer

    async def unpublish(self, recording: str, resource: str, token: str | None) -> Publication:
        """End a WHIP session."""
        answer: Publication = await self._recording(recording).unpublish.remote(resource, token)
        return answer

    def unreachable(self, error: Exception) -> bool:
        """Whether the other side is gone, or its store is."""
        return isinstance(error, RayActorError | RayTaskError | ValueError)

    def _recording(self, name: str) -> Any:
        return ray.get_actor(name, namespace=self._namespace)


class Api:
    """One replica of the REST deployment."""

    def __init__(self, args: dict[str, Any]) -> None:
        self._args = args
        close_replica_port()
        # Whoever asks for /readyz is told; a line a request would say little and cost much.
        logging.getLogger("ray.serve").setLevel(logging.WARNING)

    async def __serve_build_asgi_app__(self) -> FastAPI:
        settings = load(self._args)
        manager = ManagerClient(await get_manager(settings), settings)
        vault = open_vault(settings.secret_key, settings.data_path)
        return create_app(settings, RayGateway(manager, settings.namespace), vault)


def build(args: dict[str, Any]) -> Application:
    """The application. `args` are settings as in `docs/settings.md`, with the environment going before them.

    Raises pydantic's ValidationError for a wrong setting.
    """
    settings = load(args)
    if secret := _secret_in(args):
        raise ValueError(
            f"Setting {secret} holds a secret: it must not be in the Serve config, which Ray keeps in clear, but in "
            "the environment (EGRESS_...)."
        )
    plain = {**settings.without_secrets(), "data_dir": str(settings.data_path)}
    deployment = serve.deployment(
        name="Api",
        num_replicas=settings.replicas,
        max_ongoing_requests=_CALLS_AT_ONCE,
        ray_actor_options={"num_cpus": 0, "resources": ON_HEAD},
        graceful_shutdown_timeout_s=2,
    )(serve.ingress()(Api))
    return deployment.bind(plain)


def _secret_in(args: dict[str, Any]) -> str | None:
    """The name of a setting in the Serve config that must not be there."""
    if StoreSettings(**args.get("store", {})).holds_password:
        return "store.url"
    if MediaConfig(**args.get("sources", {}).get("media", {})).holds_secret:
        return "sources.media.urls"
    return next(_given(SECRETS, args), None)


def _given(secrets: dict[str, Any] | set[str], args: dict[str, Any]) -> Iterator[str]:
    """The names of those settings that have a value."""
    if isinstance(secrets, set):
        yield from (name for name in sorted(secrets) if args.get(name))
    else:
        yield from (f"{name}.{each}" for name, inner in secrets.items() for each in _given(inner, args.get(name) or {}))
