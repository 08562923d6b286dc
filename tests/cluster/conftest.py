"""Services that tests of this folder share: starting one takes longer than most of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, cast

import pytest

from tests.cluster.service import (
    CERTIFIED,
    ENQUEUED_S,
    IN_A_ROW,
    KILL_AT,
    PAGES,
    STOP_S,
    App,
    Service,
    command,
    running,
)
from tests.ports import free_port
from tests.postgres import Postgres, running_postgres
from tests.s3 import BUCKET, S3, s3_server
from tests.small_disk import small_disk
from tests.unit.agora_tokens import CERTIFICATE

T = TypeVar("T")


class OneAtATime:
    """Keeps a service for the next module, until another one is asked for: each takes a quarter of a slow core even
    when it has nothing to do."""

    def __init__(self) -> None:
        self._name = ""
        self._kept: object = None
        self._stack = ExitStack()

    def run(self, name: str, start: Callable[[], AbstractContextManager[T]]) -> T:
        """The one of that name."""
        if name != self._name:
            self.end()
            self._kept, self._name = self._stack.enter_context(start()), name
        return cast(T, self._kept)

    def end(self) -> None:
        """There is none from now on."""
        self._name, stack, self._stack = "", self._stack, ExitStack()
        stack.close()


@pytest.fixture(scope="session")
def one_at_a_time() -> Iterator[OneAtATime]:
    services = OneAtATime()
    yield services
    services.end()


@pytest.fixture(scope="module")
def service(one_at_a_time: OneAtATime, tmp_path_factory: pytest.TempPathFactory) -> Service:
    settings = {
        "EGRESS_LIMITS__ENQUEUED_S": str(ENQUEUED_S),
        "EGRESS_LIMITS__STOP_S": str(STOP_S),
        "EGRESS_ATTEMPTS__IN_A_ROW": str(IN_A_ROW),
        "EGRESS_COST__PAGES_PER_NODE": str(PAGES),
        "EGRESS_TOKENS__AGORA_CERTIFICATES": json.dumps({CERTIFIED: CERTIFICATE}),
    }
    folder = tmp_path_factory.mktemp("service")
    return one_at_a_time.run("service", lambda: running(command(), folder, free_port(), settings))


@pytest.fixture(scope="module")
def persistent(one_at_a_time: OneAtATime, tmp_path_factory: pytest.TempPathFactory) -> Service:
    """A service that begins again at once and as often as it must, with its manager's fault points in `kill-at`."""
    folder = tmp_path_factory.mktemp("persistent")
    settings = {
        "EGRESS_ATTEMPTS__IN_A_ROW": "100",
        "EGRESS_ATTEMPTS__BACKOFF_S": "0",
        "EGRESS_FAULT_POINTS": str(folder / KILL_AT),
    }
    return one_at_a_time.run("persistent", lambda: running(command(), folder, free_port(), settings))


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    with s3_server(tmp_path_factory.mktemp("s3") / "s3.log") as server:
        yield server


@pytest.fixture(scope="module")
def equipped(one_at_a_time: OneAtATime, s3: S3, tmp_path_factory: pytest.TempPathFactory) -> Service:
    """A service with an object store and a browser kept ready."""
    settings = {
        **s3.environment,
        "EGRESS_STORAGE__URL": f"s3://{BUCKET}/kept",
        "EGRESS_STORAGE__BUCKETS": '["record*"]',
        "EGRESS_WARM__BROWSERS": "1",
        "EGRESS_COST__WEB_MEMORY_MB": "300",
    }
    folder = tmp_path_factory.mktemp("equipped")
    return one_at_a_time.run("equipped", lambda: running(command(), folder, free_port(), settings))


@dataclass(frozen=True)
class Elsewhere:
    """A service with its state in PostgreSQL, and its files on a small disk, or why they are not."""

    service: Service
    postgres: Postgres
    why_not: str


@pytest.fixture(scope="module")
def elsewhere(one_at_a_time: OneAtATime, tmp_path_factory: pytest.TempPathFactory) -> Elsewhere:
    folder = tmp_path_factory.mktemp("elsewhere")
    return one_at_a_time.run("elsewhere", lambda: _elsewhere(folder))


@contextmanager
def _elsewhere(folder: Path) -> Iterator[Elsewhere]:
    with ExitStack() as stack:
        why_not = stack.enter_context(small_disk(folder / "data"))
        postgres = stack.enter_context(running_postgres(free_port()))
        settings = {
            "EGRESS_STORE__URL": postgres.database(),
            "EGRESS_DISK__REFUSE_BELOW_MB": "25",
            "EGRESS_DISK__END_BELOW_MB": "15",
        }
        yield Elsewhere(stack.enter_context(running(command(), folder, free_port(), settings)), postgres, why_not)


@pytest.fixture
def app(service: Service, request: pytest.FixtureRequest) -> Iterator[App]:
    """The API for an app of the test's own; what it left running is stopped."""
    mine = service.app(request.node.name.translate({ord("["): "-", ord("]"): None})[:64])
    yield mine
    listing = service.http.get(f"/egress/v1/{mine.name}/tasks", params={"limit": 500}).json()
    for task in listing["tasks"]:
        if task["state"] in ("ENQUEUED", "PROCESSING"):
            mine.stop(task["task_id"])
