"""A browser's profile goes with its recorder, however that ends."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from recorders.web.profile import Profile

_OWNER = "import sys; from recorders.web.profile import Profile; print(Profile().folder, flush=True); sys.stdin.read()"


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def test_a_profile_is_deleted() -> None:
    one, other = Profile(), Profile()
    one.delete()
    assert not one.folder.exists()
    assert other.folder.exists()
    other.delete()


def test_what_a_killed_recorder_leaves_is_deleted_by_the_next(tmp_path: Path) -> None:
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-c", _OWNER]
    with subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as owner:
        try:
            assert owner.stdout is not None
            folder = Path(owner.stdout.readline().strip())
            (folder / "Default" / "Cache").mkdir()
            Profile().delete()
            assert folder.is_dir(), "its owner lives"
        finally:
            owner.kill()
            owner.wait(10)
    assert folder.is_dir()
    Profile().delete()
    assert not folder.exists()
