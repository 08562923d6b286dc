"""Nodes that die or freeze: a cluster of three with a disk each, and an object store."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from recorders.log.index import Index, parse
from tests.chaos.ledger import doubles, losses
from tests.cluster.node import Node, nodes_of
from tests.cluster.service import SMALL, App, Service, gone, native, page, running, until
from tests.oracle.analyse import Limits, analyse
from tests.oracle.hls import probe_quiet, validate
from tests.oracle.page import serve_page
from tests.ports import free_port
from tests.s3 import BUCKET, S3, s3_server

pytestmark = pytest.mark.alone

# A part that had not been closed, what was on its way into the store, and what was on its way to the encoder.
_LOST_S = 2 + 1.5
_AGAIN_S = 20.0


@dataclass(frozen=True)
class Cluster:
    """The service with its nodes."""

    app: App
    s3: S3

    @property
    def nodes(self) -> list[Node]:
        """Those that record."""
        return nodes_of(self.app.service)

    def index(self, task: str) -> Index:
        """The log in the store."""
        objects = self.s3.objects(f"kept/{self.app.name}/{task}/")
        return parse(b"".join(body for name, body in objects.items() if name.startswith("index_")).splitlines())

    def node_of(self, task: str) -> Node:
        (found,) = (node for node in self.nodes if node.records(task))
        return found

    def ready(self) -> bool:
        """Whether both nodes keep a browser ready."""
        return all(node.kept_ready for node in self.nodes)

    def recorded_on(self, number: int) -> tuple[list[str], list[str]]:
        """Starts so many recordings; those on the first one's node, and the others."""
        tasks = [self.app.start(native(format="mp4" if n % 2 else "hls")) for n in range(number)]
        until(lambda: all(self.index(task).parts for task in tasks), 30, lambda: "no part is in the store")
        node = self.node_of(tasks[0])
        there = [task for task in tasks if node.records(task)]
        return there, [task for task in tasks if task not in there]

    def end(self, tasks: list[str], folder: Path) -> None:
        """Stop them; what is in the store is whole and plays."""
        for task in tasks:
            self.app.stop(task)
        for task in tasks:
            self.app.wait(task, "STOPPED")
            objects = self.s3.objects(f"kept/{self.app.name}/{task}/")
            (folder / task).mkdir()
            for name, body in objects.items():
                (folder / task / name).write_bytes(body)
            assert validate(folder / task / "out.m3u8") == []
            assert probe_quiet(folder / task / "out.m3u8") == ""
            assert doubles(self.index(task)) == []


@pytest.fixture(scope="module")
def nodes_and_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, S3]]:
    folder = tmp_path_factory.mktemp("nodes")
    with s3_server(folder / "s3.log") as s3:
        settings = {**s3.environment, "EGRESS_STORAGE__URL": f"s3://{BUCKET}/kept"}
        with running([sys.executable, "-m", "tests.cluster.nodes"], folder, free_port(), settings) as service:
            yield service, s3


@pytest.fixture
def cluster(nodes_and_store: tuple[Service, S3], request: pytest.FixtureRequest) -> Cluster:
    """The cluster, with a new node in the place of each that the test before has lost."""
    service, s3 = nodes_and_store
    until(lambda: sum(node.lives for node in nodes_of(service)) == 2, 30, lambda: "there are not two nodes")
    return Cluster(service.app(request.node.name[:64]), s3)


def test_a_drained_node_hands_its_recording_over_where_a_browser_makes_way_and_no_media_is_lost(
    cluster: Cluster, tmp_path: Path
) -> None:
    app = cluster.app
    channel = app.start(native(format="mp4"))
    app.wait(channel, "PROCESSING")
    # A node has room for two pages, and that with the channel for one: the browser that is kept ready there, at first.
    app.service.redeploy(warm={"browsers": 1}, cost={"web_memory_mb": 3000})
    until(cluster.ready, 60, lambda: "no browser is kept ready")
    with serve_page() as url:
        # Small: three nodes share this machine, and two browsers at once would be more than it can paint.
        web = app.start(page(url, format="mp4", video=SMALL))
        app.wait(web, "PROCESSING")
        node = cluster.node_of(web)
        assert not node.records(channel)
        until(lambda: node.kept_ready != [], 20, lambda: "the browser that was taken is not replaced")
        until(lambda: len(cluster.index(web).parts) >= 2, 40, lambda: "no parts")
        going = [node.recorder(web), *(browser for each in cluster.nodes for browser in each.kept_ready)]
        node.drain()
        gone(going, 40)
        until(lambda: len(cluster.index(web).of(2).parts) >= 2, 20, lambda: "not moved")
        assert not any(each.kept_ready for each in cluster.nodes)
        assert {app.status(task)["state"] for task in (web, channel)} == {"PROCESSING"}
        cluster.end([web, channel], tmp_path)
    node.kill()
    app.service.redeploy(warm={"browsers": 0})
    index = cluster.index(web)
    assert [attempt.attempt for attempt in index.attempts] == [1, 2]
    for sooner, later in pairwise(index.parts):
        assert later.start == pytest.approx(sooner.start + sooner.duration, abs=0.001)
    # How exactly a busy machine paints is told by other tests; one that stands still costs a block of sound.
    limits = Limits(offset_ms=400, drift_ms=400, frozen=2, dropout=0.1)
    assert analyse(tmp_path / web / "out.mp4", limits=limits).problems == ()


def test_a_node_that_dies_loses_its_recordings_to_another(cluster: Cluster, tmp_path: Path) -> None:
    hit, spared = cluster.recorded_on(4)
    cluster.node_of(hit[0]).kill()
    killed = time.time()
    until(lambda: all(cluster.index(task).of(2).parts for task in hit), 30, lambda: "no part")
    for task in hit:
        (loss,) = losses(cluster.index(task), {killed: "node"})
        assert loss.lost < _LOST_S
        assert loss.again < _AGAIN_S
    cluster.end(hit + spared, tmp_path)
    assert all(cluster.index(task).newest_attempt == 1 for task in spared)


def test_a_frozen_node_loses_its_recordings_and_adds_what_it_had_when_it_thaws(
    cluster: Cluster, tmp_path: Path
) -> None:
    hit, spared = cluster.recorded_on(4)
    node = cluster.node_of(hit[0])
    frozen = node.processes
    recorders = [node.recorder(task) for task in hit]
    for process in frozen:
        process.suspend()
    at = time.time()
    try:
        until(lambda: all(cluster.index(task).of(2).parts for task in hit), 30, lambda: "no part")
        begun = {task: cluster.index(task).of(2).parts[0].start for task in hit}
    finally:
        for process in frozen:
            if process.is_running():
                process.resume()
    for task in hit:
        (loss,) = losses(cluster.index(task), {at: "node"})
        assert loss.lost < _LOST_S
        assert loss.again < _AGAIN_S
    gone(recorders, 15)
    cluster.end(hit + spared, tmp_path)
    for task in hit:
        index = cluster.index(task)
        assert all(part.start + part.duration <= begun[task] for part in index.of(1).parts)
        assert [attempt.attempt for attempt in index.attempts] == [1, 2]
