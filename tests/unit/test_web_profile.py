"""A browser's profile goes with its recorder, however that ends."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from recorders.web.profile import Profile

_OWNER = (
    "import sys; from recorders.web.profile import Profile; print(Profile(False).folder, flush=True); sys.stdin.read()"
)


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def test_a_profile_is_deleted() -> None:
    saving, plain = Profile(energy_saver=True), Profile(energy_saver=False)
    assert "battery_saver_mode" in (saving.folder / "Local State").read_text()
    assert "battery_saver_mode" not in (plain.folder / "Local State").read_text()
    saving.delete()
    assert not saving.folder.exists()
    assert plain.folder.exists()
    plain.delete()


def test_what_a_killed_recorder_leaves_is_deleted_by_the_next(tmp_path: Path) -> None:
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-c", _OWNER]
    with subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as owner:
        try:
            assert owner.stdout is not None
            folder = Path(owner.stdout.readline().strip())
            (folder / "Default" / "Cache").mkdir()
            Profile(energy_saver=False).delete()
            assert folder.is_dir(), "its owner lives"
        finally:
            owner.kill()
            owner.wait(10)
    assert folder.is_dir()
    Profile(energy_saver=False).delete()
    assert not folder.exists()
