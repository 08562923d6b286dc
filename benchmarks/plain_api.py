"""The peer of the API benchmark: the very same handlers in plain uvicorn, the store in the same process, no Ray.

`python -m benchmarks.plain_api PORT FOLDER`: a start is validated and inserted durably, and nothing comes of it.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import cast

import uvicorn

from egress_ray.api.app import create_app
from egress_ray.api.managers import Gateway
from egress_ray.secrets import Vault, open_vault
from egress_ray.settings import Settings
from egress_ray.store import rows
from egress_ray.store.rows import Entry
from egress_ray.store.store import TaskStore
from egress_ray.tasks import Manager, NewTask, Started


class PlainManager:
    """Only starts."""

    def __init__(self, store: TaskStore, vault: Vault) -> None:
        self._store, self._vault = store, vault

    async def start(self, new: NewTask) -> Started:
        """A durable insert."""
        token = self._vault.encrypt(new.access_token or "")
        added = await self._store.run(lambda connection: rows.add(connection, new, token, time.time()))
        return added.task if isinstance(added, Entry) else added

    async def ready(self) -> None:
        """At once."""


class PlainGateway:
    """The manager in this process."""

    def __init__(self, manager: PlainManager) -> None:
        self.manager = cast(Manager, manager)

    def unreachable(self, error: Exception) -> bool:
        """Never."""
        return False


def main() -> None:
    port, folder = int(sys.argv[1]), Path(sys.argv[2])
    settings = Settings(data_dir=str(folder))
    vault = open_vault(None, folder)
    gateway = PlainGateway(PlainManager(TaskStore(settings.store_url), vault))
    uvicorn.run(
        create_app(settings, cast(Gateway, gateway), vault),
        host="127.0.0.1",
        port=port,
        log_level="warning",
        access_log=False,
    )


if __name__ == "__main__":
    main()
