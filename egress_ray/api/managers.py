"""The REST side's way to the task manager and the recordings: bounded calls, and 503 when they cannot be reached."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, Protocol, TypeVar

from egress_ray.api.errors import ApiError
from egress_ray.recording.job import Publication
from egress_ray.tasks import Manager

T = TypeVar("T")
# Longer than a restart of the manager takes.
CALL_LIMIT_S = 10.0


class Gateway(Protocol):
    """What a deployment gives the REST side: the manager, and the recordings by name."""

    @property
    def manager(self) -> Manager: ...

    async def publish(self, recording: str, user: str, token: str | None, offer: str) -> Publication:
        """Hand a WHIP offer to a recording; no `token` for a user who has been let in already."""
        ...

    async def patch(
        self, recording: str, resource: str, token: str | None, fragment: str, if_match: str
    ) -> Publication:
        """Hand a WHIP session's ICE fragment to a recording."""
        ...

    async def unpublish(self, recording: str, resource: str, token: str | None) -> Publication:
        """End a WHIP session."""
        ...

    def unreachable(self, error: Exception) -> bool:
        """Whether an error means that the other side cannot be reached."""
        ...


async def bounded(gateway: Gateway, call: Awaitable[T], request_id: str = "") -> T:
    """The call's answer; `ApiError` 503 when there is none in time. Every call may be repeated."""
    try:
        return await asyncio.wait_for(_coroutine(call), CALL_LIMIT_S)
    except TimeoutError:
        raise ApiError(503, "The task manager did not answer; try again.", request_id=request_id) from None
    except Exception as error:
        if gateway.unreachable(error):
            raise ApiError(503, "The task manager cannot be reached; try again.", request_id=request_id) from None
        raise


async def _coroutine(call: Awaitable[Any]) -> Any:
    return await call
