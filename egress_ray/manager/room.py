"""Room on the disks that are recorded to: when nothing more is begun, and what is ended when one fills up. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from egress_ray.recording.job import Renewal
from egress_ray.settings import DiskSettings
from egress_ray.store.rows import Key

# What a node said this long ago still counts.
_FRESH_S = 60.0
# Ending a recording takes a while to show on the disk.
_PAUSE_S = 20.0


@dataclass(slots=True)
class _Node:
    free_mb: float
    at: float
    ended_at: float = float("-inf")


class Room:
    """What the nodes have told of their disks; `clock` in seconds."""

    def __init__(self, settings: DiskSettings, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._clock = clock
        self._nodes: dict[str, _Node] = {}

    def seen(self, node: str, free_mb: float) -> None:
        """A node has so much free."""
        known = self._nodes.setdefault(node, _Node(free_mb, self._clock()))
        known.free_mb, known.at = free_mb, self._clock()

    def refusal(self) -> str | None:
        """Why nothing more can be recorded now; None when it can; nodes not heard of have room."""
        fresh = [node for node in self._nodes.values() if self._clock() - node.at <= _FRESH_S]
        least = self._settings.refuse_below_mb
        if not fresh or any(node.free_mb >= least for node in fresh):
            return None
        most = max(node.free_mb for node in fresh)
        return f"No node has {least:.0f} MB free on its disk to begin another recording: the most is {most:.0f} MB."

    def victim(self, node: str, recordings: dict[Key, Renewal]) -> Key | None:
        """Which of a node's recordings is to be ended now for lack of room; None when none is.

        The one with the largest backlog, or where nothing waits to be stored the largest.
        """
        known = self._nodes.get(node)
        if known is None or known.free_mb >= self._settings.end_below_mb or not recordings:
            return None
        if self._clock() - known.ended_at < _PAUSE_S:
            return None
        known.ended_at = self._clock()
        return max(recordings, key=lambda key: (recordings[key].backlog, recordings[key].progress.bytes))
