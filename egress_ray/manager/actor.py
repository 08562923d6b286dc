"""The task manager as everybody calls it: the one actor that decides what happens to a task.

Ray loads this class in every process that holds the actor's handle, each recorder's too. So what it works with is
loaded where it works.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from egress_ray.recording.job import Renewal
from egress_ray.tasks import NewTask, Page, Started, State, Task

T = TypeVar("T")
_RETIRE_S = 5.0


class TaskManager:
    """See `egress_ray.tasks.Manager`. `args` are the settings without secrets; those come from the environment.

    A change is made in a task of the manager's own, so that a caller that goes away cancels nothing half-way.
    """

    def __init__(self, args: dict[str, Any]) -> None:
        from egress_ray.manager.dispatcher import Dispatcher

        self._dispatcher = Dispatcher(args)
        self._running: set[asyncio.Task[Any]] = set()

    async def start(self, new: NewTask) -> Started:
        """Accept a task durably, or answer with the one that has this request id already, or why none can be had."""
        return await self._own(self._dispatcher.start(new))

    async def stop(self, app_id: str, task_id: str) -> tuple[Task, bool] | None:
        """Ask for a stop. The task, and whether it had ended before; None when this app has no such task."""
        return await self._own(self._dispatcher.stop(app_id, task_id))

    async def task(self, app_id: str, task_id: str) -> Task | None:
        """The task, or None when this app has no such task."""
        return await self._dispatcher.task(app_id, task_id)

    async def tasks(self, app_id: str, state: State | None, cmd: str | None, limit: int, cursor: str | None) -> Page:
        """This app's tasks, newest first."""
        return await self._dispatcher.tasks(app_id, state, cmd, limit, cursor)

    async def recording_of(self, app_id: str, channel: str) -> str | None:
        """The name of the live `Recording` actor whose channel this is; None without."""
        return await self._dispatcher.recording_of(app_id, channel)

    async def renew(self, renewal: Renewal) -> bool:
        """A recorder's sign of life; False tells it that its lease is not its own any more."""
        return await self._dispatcher.renew(renewal)

    async def version(self) -> str:
        """The code and settings that this manager runs."""
        return self._dispatcher.version

    async def ready(self) -> None:
        """Returns when the store can be written; raises when not."""
        await self._dispatcher.ready()

    async def shut_down(self, within_s: float) -> int:
        """Accept nothing more and stop every task (reason "shutdown"); how many were still open at the end."""
        return await self._own(self._dispatcher.shut_down(within_s))

    async def retire(self) -> None:
        """Accept nothing more and finish what is under way in the store; then this actor may be killed.

        Recordings go on; the next manager takes them up.
        """
        self._dispatcher.retire()
        if self._running:
            await asyncio.wait(self._running, timeout=_RETIRE_S)
        await self._dispatcher.close()

    async def _own(self, work: Coroutine[Any, Any, T]) -> T:
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)
