"""What holds a browser, without a browser: its environment, its limits, its user, what is counted as its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import pytest
from pydantic import ValidationError

from egress_ray.folders import make_private
from recorders.config import WebConfig
from recorders.errors import RecorderError
from recorders.web import uids
from recorders.web.browser import find_chromium
from recorders.web.cage import LAUNCHER, Cage, open_to_all
from recorders.web.hunger import Hunger
from recorders.web.processes import family, kill_browser
from recorders.web.profile import Profile
from recorders.web.uids import Uid
from tests.processes import program

ROOT = os.geteuid() == 0
needs_root = pytest.mark.skipif(not ROOT, reason="only root can be another user")


@pytest.fixture(autouse=True)
def own_claims(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here gets in the way of recordings on this machine."""
    monkeypatch.setattr(uids, "_FOLDER", tmp_path / "uids")


def test_a_browser_sees_nothing_of_the_environment_that_could_be_a_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_SECRET_ACCESS_KEY", "EGRESS_SECRETS__KEY", "DATABASE_URL", "NODE_OPTIONS"):
        monkeypatch.setenv(name, "hush")
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    cage = Cage(WebConfig(uids=(61900, 61901)))
    try:
        seen = cage.environment("/usr/bin/env", tmp_path / "home", tmp_path / "pid")
        assert seen["TZ"] == "Asia/Tokyo"
        assert "hush" not in str(seen)
        assert {"HOME", "TMPDIR"} <= {name for name, value in seen.items() if value == str(tmp_path / "home")}
        told = subprocess.run([LAUNCHER, "--", "id", "-u"], env=seen, capture_output=True, text=True, check=True)
        assert int(told.stdout) == (61900 if ROOT else os.getuid())
        assert (tmp_path / "pid").read_text().strip().isdigit()
    finally:
        cage.release()


def test_no_file_grows_beyond_what_a_browser_may_keep(tmp_path: Path) -> None:
    cage = Cage(WebConfig(uids=(61900, 61901), disk_mb=100, memory_mb=500))
    try:
        seen = cage.environment("/usr/bin/env", tmp_path / "home", tmp_path / "pid")
        with tempfile.NamedTemporaryFile() as file:
            Path(file.name).chmod(0o666)
            write = ["dd", "if=/dev/zero", "bs=1M", "count=1", "oflag=seek_bytes"]
            for at, fits in (((500 << 20) - (1 << 20), True), (500 << 20, False)):
                command = [str(LAUNCHER), "--", *write, f"of={file.name}", f"seek={at}", "conv=notrunc"]
                assert (subprocess.run(command, env=seen, capture_output=True).returncode == 0) is fits
            assert Path(file.name).stat().st_size == 500 << 20
    finally:
        cage.release()


@needs_root
def test_a_user_is_one_browser_s_until_all_of_it_has_ended() -> None:
    first, second = Uid(61900, 61901), Uid(61900, 61901)
    assert (first.number, second.number) == (61900, 61901)
    with pytest.raises(RecorderError, match="No user id from 61900 to 61901"):
        Uid(61900, 61901)
    with subprocess.Popen(["sleep", "60"], user=61900, group=61900, extra_groups=[]) as left:
        first.release()
        assert left.wait(5) == -9
    with subprocess.Popen(["sleep", "60"], user=61900, group=61900, extra_groups=[]) as left:
        again = Uid(61900, 61901)
        assert (again.number, left.wait(5)) == (61900, -9)
    again.release()
    second.release()


@pytest.mark.parametrize("given", [(0, 10), (2000, 1999), (500, 2000)])
def test_root_and_the_system_s_users_are_not_for_browsers(given: tuple[int, int]) -> None:
    with pytest.raises(ValidationError, match="first and the last user id"):
        WebConfig(uids=given)


def test_all_that_a_process_has_started_counts() -> None:
    code = "import subprocess, sys; kept = bytearray(64 << 20); subprocess.run(['sleep', '60'])"
    with subprocess.Popen([sys.executable, "-c", code, "--type=renderer"]) as parent:
        try:
            children: list[psutil.Process] = []
            while [program(child) for child in children] != ["sleep"]:
                assert parent.poll() is None
                children = psutil.Process(parent.pid).children()
            found = {process.pid: process for process in family(parent.pid)}
            assert found.keys() == {parent.pid, children[0].pid}
            assert 64 << 20 < found[parent.pid].memory < 256 << 20
            assert (found[parent.pid].renders, found[children[0].pid].renders) == (True, False)
        finally:
            for child in psutil.Process(parent.pid).children():
                child.kill()
            parent.kill()
    assert not list(family(parent.pid))


def test_a_browser_is_killed_with_its_own_and_nothing_else_is_whatever_its_name(tmp_path: Path) -> None:
    mark = f"--user-data-dir={tmp_path}"
    named = tmp_path / ("\N{CYRILLIC SMALL LETTER ZHE}" * 8)  # the kernel keeps 15 bytes of it: no UTF-8
    shutil.copy("/bin/sleep", named)
    python, parent = [sys.executable, "-c"], "import subprocess; subprocess.run(['sleep', '60'])"
    with contextlib.ExitStack() as running:
        started = [
            running.enter_context(subprocess.Popen(command))
            for command in (
                [*python, parent, mark],
                [*python, "import time; time.sleep(60)", f"{mark} --type=renderer"],
                [*python, parent, f"{mark}-of-another"],
                [str(named), "60"],
            )
        ]
        browser, orphan, neighbour, stranger = started
        try:
            while any(len(list(family(each.pid))) < 2 for each in (browser, neighbour)):
                assert [each.poll() for each in started] == [None] * 4
            others = [psutil.Process(each.pid) for each in family(neighbour.pid)]
            (child,) = psutil.Process(browser.pid).children()
            kill_browser(tmp_path)
            assert (browser.wait(5), orphan.wait(5)) == (-9, -9)
            assert psutil.wait_procs([child], 5)[1] == []
            assert all(each.status() != psutil.STATUS_ZOMBIE for each in others)
            assert stranger.poll() is None
        finally:
            for each in [each for process in started for each in family(process.pid)]:
                os.kill(each.pid, signal.SIGKILL)


def test_what_the_driver_keeps_of_a_page_is_the_page_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    profile = Profile()
    code = "import subprocess; kept = bytearray({} << 20); subprocess.run([{!r}, '-c', {!r}])"
    browser = f"import os, time; open({str(profile.pid_file)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code.format(600, sys.executable, browser)]) as driver:
        try:
            while not profile.pid_file.exists() or not profile.pid_file.read_text():
                assert driver.poll() is None
            hunger = Hunger(WebConfig(memory_mb=500), profile, lambda _: None)
            hunger._look(disk_too=False)
            assert hunger.ended == "The page used more than 500 MB of memory and was ended."
        finally:
            for each in list(family(driver.pid)):
                os.kill(each.pid, signal.SIGKILL)
    profile.delete()


def _file(path: Path, megabytes: int) -> None:
    with path.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, megabytes << 20)


@pytest.mark.parametrize("by", ["what is kept", "what is free"])
def test_a_disk_that_fills_is_looked_at_before_its_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    profile = Profile()
    profile.pid_file.write_text(str(os.getpid()))
    hunger = Hunger(WebConfig(disk_mb=100), profile, lambda _: None)
    if by == "what is kept":
        _file(profile.home / "first", 30)
        hunger._look(disk_too=True)
        monkeypatch.setattr("recorders.web.hunger._free", lambda _: 1 << 40)
    _file(profile.home / "second", 110)
    hunger._look(disk_too=False)
    assert hunger.ended == "The page kept more than 100 MB on disk and was ended."
    profile.delete()


def test_a_browser_of_one_user_alone_is_not_one_for_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert open_to_all("/bin/sh")
    private = tmp_path / "chromium"
    private.touch(0o700)
    assert not open_to_all(str(private))
    monkeypatch.setenv("PATH", str(tmp_path))
    private.rename(tmp_path / "own")
    assert find_chromium(WebConfig(), str(tmp_path / "own")) == str(tmp_path / "own")
    with pytest.raises(RecorderError, match="is for its owner alone"):
        find_chromium(WebConfig(), str(tmp_path / "own"), for_all=True)


def test_data_are_not_for_other_users(tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir(0o755)
    for folder, mode in ((tmp_path / "a" / "new", 0o750), (there, 0o755)):
        make_private(folder)
        assert folder.stat().st_mode & 0o777 == mode
