"""The state machine of a task: every legal move is a row of one table, and nothing else changes a state."""

from __future__ import annotations

from enum import StrEnum

from egress_ray.tasks import State


class Event(StrEnum):
    """What can happen to a task."""

    CLAIMED = "claimed"  # its recorder is up and holds the lease
    AGED_OUT = "aged_out"  # nobody could record it in time
    STOP_ASKED = "stop_asked"
    CLOSED = "closed"  # the recording is over as expected and its files are finished
    BROKEN = "broken"  # an unrecoverable error; what was recorded is finished
    LOST = "lost"  # its recorder is gone and attempts are left


TABLE: dict[tuple[State, Event], State] = {
    (State.ENQUEUED, Event.CLAIMED): State.PROCESSING,
    (State.ENQUEUED, Event.AGED_OUT): State.TIMEOUT,
    (State.ENQUEUED, Event.STOP_ASKED): State.STOPPED,
    (State.ENQUEUED, Event.BROKEN): State.FAILED,
    (State.ENQUEUED, Event.LOST): State.ENQUEUED,
    (State.PROCESSING, Event.STOP_ASKED): State.STOPPING,
    (State.PROCESSING, Event.CLOSED): State.STOPPED,
    (State.PROCESSING, Event.BROKEN): State.FAILED,
    (State.PROCESSING, Event.LOST): State.ENQUEUED,
    (State.STOPPING, Event.CLOSED): State.STOPPED,
    (State.STOPPING, Event.BROKEN): State.FAILED,
}


def target(state: State, event: Event) -> State | None:
    """Where `event` leads from `state`; None when the table has no such move."""
    return TABLE.get((state, event))


def sources(event: Event) -> tuple[State, ...]:
    """The states in which `event` means something."""
    return tuple(state for state, each in TABLE if each is event)
