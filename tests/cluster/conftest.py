"""Services that tests of this folder share: starting one takes longer than most of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

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


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    settings = {
        "EGRESS_LIMITS__ENQUEUED_S": str(ENQUEUED_S),
        "EGRESS_LIMITS__STOP_S": str(STOP_S),
        "EGRESS_ATTEMPTS__IN_A_ROW": str(IN_A_ROW),
        "EGRESS_COST__PAGES_PER_NODE": str(PAGES),
        "EGRESS_TOKENS__AGORA_CERTIFICATES": json.dumps({CERTIFIED: CERTIFICATE}),
    }
    with running(command(), tmp_path_factory.mktemp("service"), free_port(), settings) as started:
        yield started


@pytest.fixture(scope="session")
def persistent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that begins again at once and as often as it must, with its manager's fault points in `kill-at`."""
    folder = tmp_path_factory.mktemp("persistent")
    settings = {
        "EGRESS_ATTEMPTS__IN_A_ROW": "100",
        "EGRESS_ATTEMPTS__BACKOFF_S": "0",
        "EGRESS_FAULT_POINTS": str(folder / KILL_AT),
    }
    with running(command(), folder, free_port(), settings) as started:
        yield started


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    with s3_server(tmp_path_factory.mktemp("s3") / "s3.log") as server:
        yield server


@pytest.fixture(scope="session")
def equipped(s3: S3, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with an object store and a browser kept ready."""
    settings = {
        **s3.environment,
        "EGRESS_STORAGE__URL": f"s3://{BUCKET}/kept",
        "EGRESS_STORAGE__BUCKETS": '["record*"]',
        "EGRESS_WARM__BROWSERS": "1",
        "EGRESS_COST__WEB_MEMORY_MB": "300",
    }
    with running(command(), tmp_path_factory.mktemp("equipped"), free_port(), settings) as started:
        yield started


@dataclass(frozen=True)
class Elsewhere:
    """A service with its state in PostgreSQL, and its files on a small disk, or why they are not."""

    service: Service
    postgres: Postgres
    why_not: str


@pytest.fixture(scope="session")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Elsewhere]:
    folder = tmp_path_factory.mktemp("elsewhere")
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
