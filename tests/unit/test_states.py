"""The table of states as data: nothing else moves a task."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from egress_ray.manager.states import TABLE, Event, sources, target
from egress_ray.tasks import State


def test_a_terminal_state_is_the_end() -> None:
    assert not [state for state, _ in TABLE if state.terminal]


def test_every_open_state_is_reached_and_leads_to_an_end() -> None:
    reached = {State.ENQUEUED, *TABLE.values()}
    assert reached == set(State)
    for state in State:
        seen, edge = {state}, {state}
        while edge:
            edge = {after for (before, _), after in TABLE.items() if before in edge} - seen
            seen |= edge
        assert any(each.terminal for each in seen), state


def test_a_stop_means_something_until_there_is_one() -> None:
    assert set(sources(Event.STOP_ASKED)) == {State.ENQUEUED, State.PROCESSING}


def test_a_defect_or_a_close_ends_every_task_with_a_recorder() -> None:
    for state in (State.PROCESSING, State.STOPPING):
        assert target(state, Event.BROKEN) is State.FAILED
        assert target(state, Event.CLOSED) is State.STOPPED


@given(st.lists(st.sampled_from(list(Event)), max_size=30))
def test_a_task_never_times_out_once_claimed_nor_leaves_its_end(events: list[Event]) -> None:
    state, claimed = State.ENQUEUED, False
    for event in events:
        after = target(state, event)
        if after is None:
            continue
        assert not state.terminal
        claimed = event is Event.CLAIMED or (claimed and event is not Event.LOST)
        assert not (after is State.TIMEOUT and claimed)
        state = after
