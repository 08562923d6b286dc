"""`serve run serve_config.yaml`, with nothing set before, serves the same as `make run`."""

from __future__ import annotations

import sys
from pathlib import Path

import yaml

from tests.cluster.service import ROOT, free_port, native, running
from tests.cluster.test_ports import beyond_loopback


def test_serve_run_alone_serves_the_same(tmp_path: Path) -> None:
    config = yaml.safe_load((ROOT / "serve_config.yaml").read_text())
    assert (config["http_options"]["host"], config["http_options"]["port"]) == ("127.0.0.1", 8091)
    port = free_port()
    config["http_options"]["port"] = port  # 8091 may be somebody's
    (tmp_path / "serve_config.yaml").write_text(yaml.safe_dump(config))
    serve = Path(sys.executable).with_name("serve")
    with running([str(serve), "run", str(tmp_path / "serve_config.yaml")], tmp_path, port, {}) as service:
        app = service.app("served")
        task = app.record(native())
        assert beyond_loopback(service) == []
        assert [each.name() for each in service.processes("") if each.name() == "haproxy"] == ["haproxy"]
        app.stop(task)
        assert app.wait(task, "STOPPED")["payload"]["files"] == ["out.m3u8", "out.json"]
