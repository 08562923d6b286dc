"""The REST application over the real store, with no recorder behind it: tasks stay as they are put."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet
from fastapi.testclient import TestClient
from sqlalchemy import Connection

from egress_ray.api.app import create_app
from egress_ray.manager.states import Event
from egress_ray.recording.job import Publication, recording_name
from egress_ray.secrets import Vault
from egress_ray.settings import load
from egress_ray.store import rows
from egress_ray.store.rows import Entry, Key
from egress_ray.store.store import TaskStore
from egress_ray.tasks import ChannelTaken, NewTask, Page, RequestConflict, Started, State, Task

TOKEN = "a-token-to-look-for-0123456789"


class StoreManager:
    """`egress_ray.tasks.Manager` without drivers."""

    def __init__(self, store: TaskStore) -> None:
        self._store = store
        self.started: list[NewTask] = []
        self.failure: Exception | None = None

    async def _run(self, do: Callable[[Connection], Any]) -> Any:
        if self.failure is not None:
            raise self.failure
        return await self._store.run(do)

    async def start(self, new: NewTask) -> Started:
        added: Entry | RequestConflict | ChannelTaken = await self._run(lambda c: rows.add(c, new, None, time.time()))
        self.started.append(new)
        return added.task if isinstance(added, Entry) else added

    async def stop(self, app_id: str, task_id: str) -> tuple[Task, bool] | None:
        moved = await self.move(app_id, task_id, Event.STOP_ASKED, action="stop", reason="user_stop")
        if moved is not None:
            return moved.task, False
        found = await self.task(app_id, task_id)
        return None if found is None else (found, True)

    async def task(self, app_id: str, task_id: str) -> Task | None:
        entry = await self._run(lambda c: rows.get(c, Key(app_id, task_id)))
        return None if entry is None else entry.task

    async def tasks(self, app_id: str, state: State | None, cmd: str | None, limit: int, cursor: str | None) -> Page:
        before = int(cursor) if cursor is not None else None
        page: Page = await self._run(lambda c: rows.page(c, app_id, state, cmd, limit, before))
        return page

    async def recording_of(self, app_id: str, channel: str) -> str | None:
        entry = await self._run(lambda c: rows.recorded_now(c, app_id, channel))
        return None if entry is None else recording_name(app_id, entry.task.task_id, 1)

    async def ready(self) -> None:
        await self._run(lambda c: None)

    async def move(self, app_id: str, task_id: str, event: Event, **changes: Any) -> Entry | None:
        """What a driver would do."""
        moved: Entry | None = await self._run(
            lambda c: rows.move(c, Key(app_id, task_id), event, time.time(), **changes)
        )
        return moved


class Gateway:
    """A cluster in which every recording takes every publisher with the right token, or let in at the door."""

    def __init__(self, manager: StoreManager) -> None:
        self.manager = manager

    async def publish(self, recording: str, user: str, token: str | None, offer: str) -> Publication:
        if token not in (None, TOKEN):
            return Publication("forbidden", error="The bearer token is not this recording's access token.")
        if not offer:
            return Publication("refused", error="No media.")
        if offer == "early":
            return Publication("busy", error="The recording has not begun yet.")
        return Publication("created", "session1", "v=0 answer", etag='"ice1"')

    async def patch(
        self, recording: str, resource: str, token: str | None, fragment: str, if_match: str
    ) -> Publication:
        if token not in (None, TOKEN):
            return Publication("forbidden", error="The bearer token is not this recording's access token.")
        if resource != "session1":
            return Publication("unknown")
        if if_match == "*":
            return Publication("restarted", resource, "a=ice-ufrag:ours", etag='"ice2"')
        return Publication("taken" if if_match == '"ice1"' else "stale", etag='"ice1"')

    async def unpublish(self, recording: str, resource: str, token: str | None) -> Publication:
        if token not in (None, TOKEN):
            return Publication("forbidden", error="The bearer token is not this recording's access token.")
        return Publication("deleted" if resource == "session1" else "unknown")

    def unreachable(self, error: Exception) -> bool:
        return isinstance(error, ConnectionError)


class Api:
    """A client for the app `app`."""

    def __init__(self, http: TestClient, manager: StoreManager, data: Path) -> None:
        self.http = http
        self.manager = manager
        self.data = data

    def post(self, path: str, body: Any) -> Any:
        return self.http.post(f"/egress/v1/app/tasks{path}", json=body)

    def start(self, payload: dict[str, Any], request_id: str = "request1", cmd: str = "record") -> Any:
        return self.post("", {"request_id": request_id, "cmd": cmd, "payload": payload})


@contextmanager
def serving(data: Path) -> Iterator[Api]:
    """The application on a store in `data`."""
    store = TaskStore(f"sqlite:///{data}/tasks.db")
    manager = StoreManager(store)
    whip = {"stun_url": "stun:stun.example:3478", "turn_url": "turn:turn.example", "turn_username": "me"}
    settings = load(
        {
            "data_dir": str(data),
            "web": {"allowed_hosts": ["*.example", "*.example.org"]},
            "native": {"backgrounds": {"office": "/pictures/office.png", "beach": "/pictures/beach.jpg"}},
            "sources": {"whip": {**whip, "turn_credential": 'pass"word'}},
        }
    )
    app = create_app(settings, Gateway(manager), Vault(Fernet.generate_key().decode()))
    try:
        with TestClient(app, raise_server_exceptions=False) as http:
            yield Api(http, manager, data)
    finally:
        store.close()
