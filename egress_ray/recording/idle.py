"""A recording actor before it has a recording: it keeps a browser open, reserves what else it needs once it is taken,
and ends when nobody asks for it any more."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from typing import TYPE_CHECKING, Any

import ray
from ray.util.placement_group import placement_group, remove_placement_group

from recorders.errors import RecorderError

if TYPE_CHECKING:
    from recorders.config import WebConfig
    from recorders.web.station import Station

log = logging.getLogger("egress_ray.recording")
# Without a manager that asks for it, nobody will ever use it.
_FORGOTTEN_S = 120.0
# What Ray waits for in whole seconds comes in some 20 ms, or not at all.
_RESERVED_S = 1


class Idle:
    """An actor's time before its recording. Everything on the actor's event loop."""

    def __init__(self) -> None:
        self._asked = time.monotonic()
        self._opened: asyncio.Task[Station] | None = None
        self._recording = ""
        self._taken = asyncio.Event()
        self._taking = asyncio.Lock()
        self._reserved: Any = None  # Ray takes it back when this actor ends
        self._end: asyncio.Task[None] | None = None

    @property
    def recording(self) -> str:
        """The name of the recording that has taken it; empty before."""
        return self._recording

    async def open(self, config: WebConfig) -> None:
        """Open a browser. Raises `RecorderError`."""
        from recorders.web.warm import open_station

        self._opened = asyncio.create_task(open_station(config))
        self._end = asyncio.create_task(self._end_forgotten())
        await asyncio.shield(self._opened)

    async def still(self, for_s: float) -> bool:
        """Whether its browser is open still: told after so long, or as soon as it is not, or is taken.

        Ray then gives the process its former name back, which must be before the recording gives it its own.
        """
        self._asked = time.monotonic() + for_s
        if self._recording or self._opened is None or not self._opened.done() or self._opened.exception() is not None:
            return False
        lost = self._opened.result().lost
        taken = asyncio.ensure_future(self._taken.wait())
        ends: tuple[asyncio.Future[Any], ...] = (*lost, taken)
        await asyncio.wait(ends, timeout=for_s, return_when=asyncio.FIRST_COMPLETED)
        taken.cancel()
        return not any(each.done() for each in lost)

    async def take(self, recording: str, resources: dict[str, float]) -> bool:
        """Be this recording's from now on, with so much of this node (Ray's names); False when it has not that free, or
        is another's."""
        if self._taking.locked():
            return False
        async with self._taking:
            return not self._recording and await self._take(recording, resources)

    async def _take(self, recording: str, resources: dict[str, float]) -> bool:
        node = str(ray.get_runtime_context().get_node_id())
        group = placement_group([resources], bundle_label_selector=[{"ray.io/node-id": node}])
        if not await asyncio.to_thread(group.wait, _RESERVED_S):
            remove_placement_group(group)
            return False
        self._recording, self._reserved = recording, group
        self._taken.set()
        return True

    async def station(self) -> Station | None:
        """What it has opened, for the recording; None when that has failed."""
        if self._opened is None:
            return None
        try:
            return await self._opened
        except (RecorderError, TimeoutError):
            return None

    async def close(self) -> None:
        """End the browser."""
        if self._opened is not None and (station := await self.station()) is not None:
            await station.close()

    async def _end_forgotten(self) -> None:
        while (left := self._asked + _FORGOTTEN_S - time.monotonic()) > 0:
            try:
                await asyncio.wait_for(self._taken.wait(), left)
                return
            except TimeoutError:
                continue
        log.warning("Nobody asks for this browser any more")
        await self.close()
        os._exit(0)
