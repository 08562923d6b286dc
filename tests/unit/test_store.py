"""The store of tasks on a real SQLite and a real PostgreSQL: idempotent starts, moves by the table, pages,
durability, shared commits."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import OperationalError, ProgrammingError

from egress_ray.manager.states import Event
from egress_ray.store import rows
from egress_ray.store.engine import open_engine
from egress_ray.store.rows import Entry, Key
from egress_ray.store.store import StoreAway, TaskStore
from egress_ray.tasks import ChannelTaken, NewTask, RequestConflict, State
from tests.ports import free_port
from tests.postgres import Postgres, running_postgres

NEW = NewTask("app", "task0", "request0", "record", {"channel": "room", "layout": "flat"}, "print0")


def new(number: int, **changes: Any) -> NewTask:
    return replace(NEW, task_id=f"task{number}", request_id=f"request{number}", **changes)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with running_postgres(free_port()) as server:
        yield server


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/tasks.db"
    server: Postgres = request.getfixturevalue("postgres")
    return server.database()


@pytest.fixture
def connection(url: str) -> Iterator[Connection]:
    engine = open_engine(url)
    with engine.begin() as opened:
        yield opened
    engine.dispose()


def entered(connection: Connection, task: NewTask, token: bytes | None = b"sealed") -> Entry:
    entry = rows.add(connection, task, token, 1000.5)
    assert isinstance(entry, Entry)
    return entry


def test_a_start_is_idempotent_within_its_app(connection: Connection) -> None:
    first = entered(connection, NEW)
    assert (first.task.state, first.task.action, first.task.attempt) == (State.ENQUEUED, "start", 0)
    assert first.task.payload == NEW.payload
    again = entered(connection, replace(NEW, task_id="task1"))
    assert again.task.task_id == "task0"
    assert rows.add(connection, replace(NEW, task_id="task1", fingerprint="other"), None, 0) == RequestConflict("task0")
    assert entered(connection, replace(NEW, app_id="other", task_id="task1")).task.task_id == "task1"


def test_attempts_count_and_fence_a_claim(connection: Connection) -> None:
    key = entered(connection, NEW).key
    assert rows.begin_attempt(connection, key) == 1
    assert rows.begin_attempt(connection, key) == 2
    assert rows.claim(connection, key, 1001, 1, "node") is None
    claimed = rows.claim(connection, key, 1001, 2, "node")
    assert claimed is not None
    assert (claimed.task.state, claimed.task.attempt, claimed.node_id) == (State.PROCESSING, 2, "node")
    assert rows.begin_attempt(connection, key) is None
    assert rows.move(connection, key, Event.AGED_OUT, 1002) is None


def test_the_token_goes_with_the_end(connection: Connection) -> None:
    key = entered(connection, NEW).key
    stopped = rows.move(connection, key, Event.STOP_ASKED, 1002.0, action="stop", reason="user_stop")
    assert stopped is not None
    assert (stopped.task.state, stopped.task.reason, stopped.token) == (State.STOPPED, "user_stop", None)
    assert stopped.task.created_at.timestamp() == 1000.5
    assert rows.move(connection, key, Event.STOP_ASKED, 1003) is None


def test_open_tasks_and_the_channel_that_is_recorded_now(connection: Connection) -> None:
    keys = [entered(connection, new(n)).key for n in range(4)]
    rows.move(connection, keys[0], Event.AGED_OUT, 1)
    assert rows.recorded_now(connection, "app", "room") is None
    for key in keys[1:3]:
        rows.move(connection, key, Event.CLAIMED, 1)
    found = rows.recorded_now(connection, "app", "room")
    assert found is not None
    assert found.key == keys[1], "the older one"
    assert rows.recorded_now(connection, "other", "room") is None
    assert [entry.key for entry in rows.open_tasks(connection)] == keys[1:]


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(count=st.integers(0, 12), limit=st.integers(1, 5), stopped=st.sets(st.integers(0, 11)))
def test_pages_hold_every_task_once_newest_first(
    connection: Connection, count: int, limit: int, stopped: set[int]
) -> None:
    savepoint = connection.begin_nested()
    for n in range(count):
        key = entered(connection, new(n)).key
        entered(connection, new(n, app_id="other"))
        if n in stopped:
            rows.move(connection, key, Event.STOP_ASKED, 1)
    for state, wanted in (
        (None, list(range(count))),
        (State.STOPPED, [n for n in range(count) if n in stopped]),
    ):
        found: list[str] = []
        cursor: str | None = None
        while True:
            page = rows.page(connection, "app", state, "record", limit, int(cursor) if cursor else None)
            assert len(page.tasks) <= limit
            found += [task.task_id for task in page.tasks]
            if (cursor := page.cursor) is None:
                break
        assert found == [f"task{n}" for n in reversed(wanted)]
    assert rows.page(connection, "app", None, "snapshot", limit, None).tasks == ()
    savepoint.rollback()


def test_the_schema_is_made_once_and_commits_are_on_the_disk(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/below/tasks.db"
    for _ in range(2):
        engine: Engine = open_engine(url)
        with engine.begin() as connection:
            assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
            assert connection.execute(text("PRAGMA synchronous")).scalar() == 2
        engine.dispose()


def test_many_callers_share_commits_and_one_failure_is_its_own(url: str) -> None:
    def broken(connection: Connection) -> None:
        rows.add(connection, new(999), None, 1)
        raise ZeroDivisionError

    async def work() -> None:
        store = TaskStore(url)
        jobs: list[Any] = [store.run(lambda c, n=n: rows.add(c, new(n), None, 1)) for n in range(150)]  # type: ignore[misc]
        jobs.insert(70, store.run(broken))
        done = await asyncio.gather(*jobs, return_exceptions=True)
        assert [type(each) for each in done if not isinstance(each, Entry)] == [ZeroDivisionError]
        store.close()

    asyncio.run(work())

    async def look() -> None:
        store = TaskStore(url)
        entries = await store.run(rows.open_tasks)
        assert {entry.task.task_id for entry in entries} == {f"task{n}" for n in range(150)}
        assert await store.run(lambda c: rows.get(c, Key("app", "task999"))) is None
        store.close()

    asyncio.run(look())


def test_a_caller_that_goes_away_does_not_stop_the_writer(url: str) -> None:
    async def work() -> None:
        store = TaskStore(url)
        gone = asyncio.ensure_future(store.run(lambda c: rows.add(c, new(1), None, 1)))
        await asyncio.sleep(0)
        gone.cancel()
        assert isinstance(await store.run(lambda c: rows.add(c, new(2), None, 1)), Entry)
        store.close()

    asyncio.run(work())


def test_a_stop_of_what_waits_for_its_next_recorder_waits_for_its_files(connection: Connection) -> None:
    key = entered(connection, NEW).key
    rows.begin_attempt(connection, key)
    rows.claim(connection, key, 1001, 1, "node")
    lost = rows.move(connection, key, Event.LOST, 1002, enqueued_at=1005.0, losses=1)
    assert lost is not None
    assert (lost.task.state, lost.enqueued_at, lost.losses, lost.resumed) == (State.ENQUEUED, 1005.0, 1, True)
    asked = rows.ask_stop(connection, key, 1003)
    assert asked is not None
    assert (asked.task.state, asked.task.action, asked.stop_asked) == (State.ENQUEUED, "stop", True)
    assert rows.ask_stop(connection, key, 1004) is None
    assert rows.begin_attempt(connection, key) is None
    assert rows.claim(connection, key, 1004, 1, "node") is None
    stopped = rows.move(connection, key, Event.STOP_ASKED, 1005, files=["a"])
    assert stopped is not None
    assert (stopped.task.state, stopped.task.reason, stopped.token) == (State.STOPPED, "user_stop", None)


def test_a_stop_of_what_nobody_has_recorded_is_its_end(connection: Connection) -> None:
    key = entered(connection, NEW).key
    rows.begin_attempt(connection, key)
    stopped = rows.ask_stop(connection, key, 1001)
    assert stopped is not None
    assert stopped.task.state is State.STOPPED
    assert rows.ask_stop(connection, Key("app", "unknown"), 1001) is None


def test_a_task_whose_files_could_not_be_deleted_is_passed_over_and_kept(connection: Connection) -> None:
    keys = [entered(connection, new(n)).key for n in range(3)]
    for key in keys:
        rows.move(connection, key, Event.STOP_ASKED, 10)
    rows.note(connection, keys[1], files=[], filed=False)
    assert [entry.key for entry in rows.with_old_files(connection, 11, 1)] == keys[:1]
    assert [entry.key for entry in rows.with_old_files(connection, 11, 1, 1)] == keys[2:]
    assert rows.forget(connection, 11, filed_too=False) == 1
    assert rows.get(connection, keys[1]) is None
    assert rows.forget(connection, 11, filed_too=True) == 2


def test_a_channel_that_is_pushed_to_has_one_recording(connection: Connection) -> None:
    first = entered(connection, new(1, alone=True)).key
    assert rows.add(connection, new(2, alone=True), None, 1) == ChannelTaken("task1")
    assert entered(connection, new(3, alone=True, payload={"channel": "other"}))
    assert entered(connection, new(4, alone=True, app_id="other"))
    rows.move(connection, first, Event.CLAIMED, 2)
    assert rows.add(connection, new(2, alone=True), None, 3) == ChannelTaken("task1")
    assert entered(connection, new(1, alone=True)).key == first, "the same start again"
    rows.move(connection, first, Event.LOST, 4)
    assert rows.add(connection, new(2, alone=True), None, 4) == ChannelTaken("task1")
    rows.ask_stop(connection, first, 4)
    assert entered(connection, new(2, alone=True)).task.task_id == "task2", "its files may still be made"


def test_what_the_database_gets_over_is_waited_for_and_a_defect_is_told(postgres: Postgres) -> None:
    url = postgres.database()

    def slow(connection: Connection) -> None:
        connection.execute(text("SET LOCAL statement_timeout = 50"))
        connection.execute(text("SELECT pg_sleep(5)"))

    def standby(connection: Connection) -> None:
        connection.execute(text("SET TRANSACTION READ ONLY"))
        rows.beat(connection, 1)

    async def work() -> None:
        store = TaskStore(url)
        with pytest.raises(StoreAway, match="statement timeout"):
            await store.run(slow)
        with pytest.raises(StoreAway, match="read-only"):
            await store.run(standby)
        assert isinstance(await store.run(lambda c: rows.add(c, new(1), None, 1)), Entry)
        store.close()

    asyncio.run(work())


def test_a_statement_that_is_wrong_is_no_passing_thing(url: str) -> None:
    async def work() -> None:
        store = TaskStore(url)
        with pytest.raises((ProgrammingError, OperationalError)):
            await asyncio.wait_for(store.insist(lambda c: c.execute(text("SELECT nothing FROM nowhere"))), 10)
        store.close()

    asyncio.run(work())


def test_a_folder_that_cannot_be_made_yet(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("in the way")

    async def work() -> None:
        store = TaskStore(f"sqlite:///{tmp_path}/data/tasks.db")
        with pytest.raises(StoreAway, match="data"):
            await store.run(rows.open_tasks)
        (tmp_path / "data").unlink()
        assert await store.run(rows.open_tasks) == []
        store.close()

    asyncio.run(work())


@pytest.mark.timeout(60)
def test_a_database_that_is_away_is_told_and_comes_back(postgres: Postgres) -> None:
    url = postgres.database()

    async def work() -> None:
        store = TaskStore(url)
        await store.run(lambda c: rows.add(c, new(1), None, 1))
        postgres.kill()
        try:
            with pytest.raises(StoreAway) as away:
                await asyncio.wait_for(store.run(lambda c: rows.add(c, new(2), None, 1)), 15)
            assert "a-password" not in str(away.value)
            waiting = asyncio.ensure_future(store.insist(lambda c: rows.add(c, new(3), None, 1)))
            await asyncio.sleep(1)
            assert not waiting.done()
        finally:
            postgres.start()
        assert isinstance(await asyncio.wait_for(waiting, 15), Entry)
        entries = await store.run(rows.open_tasks)
        assert [entry.task.task_id for entry in entries] == ["task1", "task3"]
        store.close()

    asyncio.run(work())


def test_a_database_that_is_not_there_at_first() -> None:
    async def work() -> None:
        store = TaskStore("postgresql://egress@127.0.0.1:1/none")
        with pytest.raises(StoreAway, match="refused"):
            await asyncio.wait_for(store.run(rows.open_tasks), 15)
        store.close()

    asyncio.run(work())
