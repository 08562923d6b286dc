"""Which processes get the environment of a Ray of one machine: those of `serve` that start one."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import pytest

from egress_ray import environment
from tests.ports import free_port

RUN = ["/usr/bin/python3", "/opt/venv/bin/serve", "run", "serve_config.yaml"]


@pytest.fixture(autouse=True)
def ours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An environment without any of it, and a folder of Ray's in which no cluster is named."""
    for name in ("RAY_ADDRESS", *environment.variables()):
        monkeypatch.setenv(name, "")  # so that it is put back at the end
        monkeypatch.delenv(name)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    (tmp_path / "ray").mkdir()


def _hook(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> tuple[bool, str | None]:
    """Whether it was applied, and where Ray is sent."""
    monkeypatch.setattr(sys, "orig_argv", arguments)
    environment.apply_to_serve()
    return "RAY_SERVE_ENABLE_HA_PROXY" in os.environ, os.environ.get("RAY_ADDRESS")


@pytest.mark.parametrize(
    "arguments",
    [
        ["/usr/bin/python3", "-m", "pytest"],
        ["/usr/bin/python3", "/opt/venv/bin/serve", "status"],
        ["/usr/bin/python3", "/srv/serve/run.py"],
        [*RUN, "--address", "auto"],
        [*RUN, "--address=10.0.0.1:6379"],
        [*RUN, "-a", "auto"],
    ],
)
def test_nothing_is_set_for_others(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert _hook(arguments, monkeypatch) == (False, None)


def test_nothing_is_set_where_a_cluster_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    assert _hook(RUN, monkeypatch) == (False, "auto")


def test_it_is_set_where_there_is_no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _hook(RUN, monkeypatch) == (True, None)


@pytest.mark.parametrize("written", ["", "nothing", "127.0.0.1:"])
def test_what_names_no_cluster_is_none(written: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "ray" / "ray_current_cluster").write_text(written)
    assert _hook(RUN, monkeypatch) == (True, None)


def test_a_cluster_that_lives_is_left_as_it_was_started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        (tmp_path / "ray" / "ray_current_cluster").write_text(f"127.0.0.1:{server.getsockname()[1]}\n")
        assert _hook(RUN, monkeypatch) == (False, None)


def test_a_cluster_that_has_died_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "ray" / "ray_current_cluster").write_text(f"127.0.0.1:{free_port()}\n")
    assert _hook(RUN, monkeypatch) == (True, "local")
