"""The README's way to a back end: `serve run serve_config.yaml` with its Janus settings, and the documented request."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest

from tests.cluster.service import ROOT, App, Service, running, serve_config, until
from tests.cluster.test_ports import beyond_loopback
from tests.e2e.janus_server import Janus, running_janus
from tests.oracle.analyse import analyse
from tests.oracle.clips import cached_clips
from tests.ports import free_port

README = (ROOT / "README.md").read_text()
DOCUMENTED = json.loads(re.findall(r"Content-Type: application/json' -d '(\{.*?\})'\n", README, re.DOTALL)[0])
CHANNEL, PIN = DOCUMENTED["payload"]["channel"], DOCUMENTED["payload"]["access_token"]


@pytest.mark.paired
def test_serve_run_records_a_room_of_a_real_janus_as_documented(tmp_path: Path) -> None:
    assert (CHANNEL, PIN) == ("egress_test", "007eJxt9VMp+//+i9SOE")
    (tmp_path / "janus").mkdir()
    with running_janus(tmp_path / "janus", string_ids=True) as janus:
        settings = dict(
            re.findall(r"^export (EGRESS_SOURCES__(?:RULES|JANUS__\w+))='?(.*?)'?$", README, re.MULTILINE)[:2]
        )
        assert settings == {
            "EGRESS_SOURCES__RULES": '[{"source": "janus"}]',
            "EGRESS_SOURCES__JANUS__URL": "ws://127.0.0.1:8188",
        }
        settings["EGRESS_SOURCES__JANUS__URL"] = janus.url
        settings["EGRESS_SOURCES__JANUS__API_SECRET"] = janus.api_secret
        port = free_port()
        command = [str(Path(sys.executable).with_name("serve")), "run", str(serve_config(tmp_path, port))]
        with _traces_of_a_dead_cluster() as traces, running(command, tmp_path, port, {**settings, **traces}) as service:
            app = service.app("my_app")
            task = asyncio.run(_record(janus, app))
            report = analyse(app.folder(task) / "file_output.m3u8", frame_rate=30, users=("user1", "user2"))
            log = service.log.read_text()
    assert PIN not in log
    assert janus.api_secret not in log
    steady = report.seconds[3:-1]
    assert len(steady) >= 3, str(report)
    for second in steady:
        assert set(second.seen) == {"user1", "user2"}, str(report)
        assert set(second.heard) == {"user1", "user2"}, str(report)
    for user in ("user1", "user2"):
        offsets = [abs(offset) for t, offset in report.users[user].offsets if t >= steady[0].t]
        assert len(offsets) >= 3, str(report)
        assert np.median(offsets) <= 60, str(report)  # how steady it is, others tell who have the machine for it


@contextmanager
def _traces_of_a_dead_cluster() -> Iterator[dict[str, str]]:
    """What a cluster that was killed leaves behind, in a folder of Ray's own; what says where."""
    with TemporaryDirectory(prefix="ray-") as folder:
        (Path(folder) / "ray").mkdir()
        (Path(folder) / "ray" / "ray_current_cluster").write_text(f"127.0.0.1:{free_port()}")
        yield {"RAY_TMPDIR": folder}


async def _record(janus: Janus, app: App) -> str:
    """The documented request, while two participants are in the room; the task, stopped."""
    await janus.create_room(CHANNEL, PIN)
    async with AsyncExitStack() as participants:
        for uid, clip in zip(("user1", "user2"), cached_clips(2, keyframes=5), strict=True):
            await participants.enter_async_context(janus.publisher(CHANNEL, PIN, uid, uid, clip))
        return await asyncio.to_thread(_request, app)


def _request(app: App) -> str:
    task: str = app.post("", DOCUMENTED).json()["task_id"]
    app.wait(task, "PROCESSING")
    until(lambda: len(list(app.folder(task).glob("*.m4s"))) >= 5, 30, lambda: str(app.status(task)))
    _is_the_same(app.service)
    app.stop(task)
    assert app.wait(task, "STOPPED")["payload"]["files"] == ["file_output.m3u8", "file_output.json"]
    return task


def _is_the_same(service: Service) -> None:
    """As `make run` has it."""
    assert beyond_loopback(service) == []
    assert len(service.programs("haproxy")) == 1
