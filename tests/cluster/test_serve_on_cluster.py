"""The README's way to a cluster: its head as `cluster.yaml` starts it, and `serve run serve_config.yaml` on it."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil
import yaml

from tests.cluster.service import ROOT, native, ports, running, serve_config, until
from tests.oracle.hls import validate
from tests.ports import free_port
from tests.s3 import BUCKET, s3_server

README = (ROOT / "README.md").read_text().partition("## On a cluster")[2]
CLUSTER: dict[str, Any] = yaml.safe_load((ROOT / "cluster.yaml").read_text())


def test_on_a_cluster_as_documented_recordings_come_into_the_store_that_the_config_names(tmp_path: Path) -> None:
    (command,) = re.findall(r"^cd ~/egress-ray && serve run serve_config.yaml --address auto$", README, re.MULTILINE)
    (storage,) = re.findall(r"put `(storage: .*?)` into", README)
    port = free_port()
    settings = yaml.safe_load(storage.replace("my-recordings/egress", f"{BUCKET}/kept"))
    config = serve_config(tmp_path, port, data_dir=str(tmp_path / "data"), **settings)
    with s3_server(tmp_path / "s3.log") as s3, _head(tmp_path / "head.log", s3.environment) as environ:
        command = command.replace("serve run serve_config.yaml", f"exec serve run {config}")
        with running(_typed(command), tmp_path, port, environ) as service:
            app = service.app("clustered")
            task = app.start(native())
            until(lambda: s3.objects(f"kept/{app.name}/{task}/") != {}, 30, lambda: str(app.status(task)))
            app.stop(task)
            files = app.wait(task, "STOPPED")["payload"]["files"]
            kept = s3.objects(f"kept/{app.name}/{task}/")
    assert files == ["out.m3u8", "out.json"]
    for name, body in kept.items():
        (tmp_path / name).write_bytes(body)
    assert validate(tmp_path / "out.m3u8") == []


@contextmanager
def _head(log: Path, settings: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """The head of a cluster, on loopback and at ports of its own; the environment of shells there."""
    stop, start = CLUSTER["head_start_ray_commands"]
    assert stop == "ray stop"  # whatever Ray there is, that of others as well: not here
    others = f"--ray-client-server-port={free_port()} --dashboard-port={free_port()}"
    start = start.replace("--port=6379", f"--port={free_port()} {others}")
    start = start.replace("--autoscaling-config=~/ray_bootstrap_config.yaml", "--block")
    start = start.replace("ulimit -n 65536", "ulimit -n").replace("ray start", "exec ray start")  # not for all
    with TemporaryDirectory(prefix="head-") as home, log.open("wb") as out:
        own = {"HOME": home, "RAY_TMPDIR": home, "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
        environ = {**os.environ, **ports(), **settings, **own}
        (Path(home) / "egress-ray").symlink_to(ROOT)
        (Path(home) / ".bashrc").write_text("# Ubuntu's\n")
        for command in (CLUSTER["setup_commands"][-1], *re.findall(r"^\((umask 077; .*?)\);", README, re.M)):
            subprocess.run(_typed(command), cwd=ROOT, env=environ, check=True, timeout=30)
        token = Path(home) / CLUSTER["file_mounts"]["~/.ray/auth_token"].removeprefix("~/")
        assert token.stat().st_mode & 0o077 == 0
        process = subprocess.Popen(_typed(start), env=environ, stdout=out, stderr=out, start_new_session=True)
        try:
            until(lambda: b"Ray runtime started" in log.read_bytes(), 30, log.read_text)
            yield {name: environ[name] for name in (*ports(), *settings, *own)}
        finally:
            head = psutil.Process(process.pid)
            for each in (head, *head.children(recursive=True)):  # it would not end itself
                each.kill()
            process.wait(5)


def _typed(command: str) -> list[str]:
    """In a shell of a node, whose `.bashrc` `cluster.yaml` has written."""
    return ["bash", "-c", f". ~/.bashrc; {command}"]
