"""A browser is held: its pages by Chromium's sandbox, it by its user and its limits, and nothing of it stays."""

from __future__ import annotations

import asyncio
import json
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from recorders.config import RecorderConfig
from recorders.errors import Lost, RecorderError
from recorders.web.recorder import WebRecorder
from tests.e2e.test_web import CONFIG, WEB, failure, record, recording, spec
from tests.e2e.web_pages import serve_pages
from tests.processes import arguments, chromium_of, kind

_SYS_NICE = 1 << 23
ROOT = os.geteuid() == 0
needs_root = pytest.mark.skipif(not ROOT, reason="only root can be another user")
# Chromium as on a system that gives ordinary users no user namespaces: in one that has room for none below it.
_NO_NAMESPACES = """#!/bin/sh
exec unshare --user --map-current-user --keep-caps sh -c '
echo 0 > /proc/sys/user/max_user_namespaces
exec setpriv --ambient-caps=-all --inh-caps=-all "$@"' sh {browser} "$@"
"""


@pytest.fixture(scope="module")
def pages() -> Iterator[str]:
    with serve_pages() as origin:
        yield origin


def _with(**web: Any) -> RecorderConfig:
    return CONFIG.model_copy(update={"web": WEB.model_copy(update=web)})


@dataclass(frozen=True)
class Held:
    """What Linux tells of a process."""

    kind: str
    namespace: str
    status: dict[str, str]
    limits: str
    oom: int

    @classmethod
    def of(cls, process: psutil.Process) -> Held:
        folder = Path("/proc", str(process.pid))
        lines = (line.split(":", 1) for line in (folder / "status").read_text().splitlines())
        return cls(
            kind(process),
            str((folder / "ns/user").readlink()),
            {name: value.strip() for name, value in lines},
            (folder / "limits").read_text(),
            int((folder / "oom_score_adj").read_text()),
        )


def test_pages_are_sandboxed_and_the_browser_is_nobody(tmp_path: Path, pages: str) -> None:
    async def run() -> tuple[list[Held], Path]:
        async with recording(spec(tmp_path, f"{pages}/static")):
            processes = chromium_of()
            profile = next(word for word in arguments(processes[0]) if word.startswith("--user-data-dir="))
            if ROOT:
                strangers_sight(processes[0], Path(profile.partition("=")[2]), tmp_path)
            return [Held.of(process) for process in processes], Path(profile.partition("=")[2])

    os.environ["AWS_SECRET_ACCESS_KEY"] = "hush-hush"
    try:
        held, profile = asyncio.run(run())
    finally:
        del os.environ["AWS_SECRET_ACCESS_KEY"]
    browser = next(each for each in held if each.kind == "browser")
    renderers = [each for each in held if each.kind == "renderer"]
    assert len(renderers) >= 2, "the page's and the recorder's own"
    for each in renderers:
        assert int(each.status["CapEff"], 16) == 0
        assert each.namespace != browser.namespace
        assert each.oom > int(Path("/proc/self/oom_score_adj").read_text()), "the kernel takes a page before a recorder"
    for each in held:
        uids = {int(uid) for uid in each.status["Uid"].split()}
        assert (len(uids), min(uids) >= 60600) == (1, True) if ROOT else uids == {os.getuid()}
        assert each.status["NoNewPrivs"] == "1"
        assert each.status["Seccomp"] == ("0" if each.kind in ("browser", "zygote") else "2"), each.kind
        assert each.namespace != browser.namespace or int(each.status["CapEff"], 16) in (0, _SYS_NICE)
        assert re.search(r"^Max core file size +0 +0 ", each.limits, re.MULTILINE), each
    assert not profile.parent.exists()


def strangers_sight(browser: psutil.Process, profile: Path, folder: Path) -> None:
    """What the user of a browser sees of the rest: nothing."""
    uid = browser.uids().real
    assert uid not in {user.pw_uid for user in pwd.getpwall()}
    other = Path(tempfile.mkdtemp(prefix="egress-ray-test-"))
    try:
        (other / "part.m4s").write_bytes(b"another recording's")
        for path in (other / "part.m4s", folder, Path(f"/proc/{os.getpid()}/environ"), profile.parents[1]):
            seen = subprocess.run(
                ["ls" if path.is_dir() else "cat", str(path)],
                user=uid,
                group=uid,
                extra_groups=[],
                capture_output=True,
            )
            assert seen.returncode != 0, path
            assert b"Permission denied" in seen.stderr
    finally:
        shutil.rmtree(other)
    assert b"hush" not in Path(f"/proc/{browser.pid}/environ").read_bytes()
    assert (profile.parent.stat().st_mode & 0o777, profile.parent.stat().st_uid) == (0o700, uid)


def test_without_user_namespaces_one_sentence_says_what_to_do(tmp_path: Path, pages: str) -> None:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("needs a Chromium on the PATH")
    folder = Path(tempfile.mkdtemp(prefix="egress-ray-test-"))
    try:
        folder.chmod(0o755)
        script = folder / "chromium"
        script.write_text(_NO_NAMESPACES.format(browser=chromium))
        script.chmod(0o755)
        error = failure(spec(tmp_path, f"{pages}/static"), _with(chromium_path=str(script)))
        assert str(error).startswith("Chromium's sandbox cannot work here, because this system gives ordinary users no")
        off = _with(chromium_path=str(script), sandbox=False)
        assert record(spec(tmp_path, f"{pages}/static"), 0.5, off).parts
    finally:
        shutil.rmtree(folder)


def test_a_page_that_takes_too_much_is_ended_and_another_recording_is_not(tmp_path: Path, pages: str) -> None:
    small = _with(memory_mb=700, replace_in_a_row=0)

    async def run() -> None:
        async with recording(spec(tmp_path / "calm", f"{pages}/static")) as calm:
            before = calm.progress().media_seconds
            hog = WebRecorder(spec(tmp_path / "hog", f"{pages}/hog"), small)
            with pytest.raises(Lost, match=r"^The page used more than 700 MB of memory and was ended\.$"):
                await asyncio.wait_for(hog.run(), 40)
            assert hog.progress().phase == "closed"
            assert len({p.uids().real for p in chromium_of()}) == 1
            await asyncio.sleep(1)
            assert calm.progress().media_seconds >= before + 1

    asyncio.run(run())


_PYTHONPATH = f"{Path.cwd()}:{sysconfig.get_path('purelib')}"


def _python_for(uid: int) -> str | None:
    """One that the user may run with what is installed here, if there is one."""
    for python in (sys.executable, "/usr/bin/python3"):
        try:
            tried = subprocess.run(
                [python, "-c", "import av, playwright, pydantic, recorders"],
                env={"PYTHONPATH": _PYTHONPATH},
                user=uid,
                group=uid,
                extra_groups=[],
                capture_output=True,
            )
        except OSError:
            continue
        if tried.returncode == 0:
            return python
    return None


def _stop_when_recorded(child: subprocess.Popen[bytes], folder: Path) -> None:
    deadline = time.monotonic() + 60
    while not list(folder.glob("*.m4s")) and child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    child.send_signal(signal.SIGINT)


@needs_root
def test_a_service_that_is_not_root_records_too(pages: str) -> None:
    uid = 61999
    python = _python_for(uid)
    if python is None:
        pytest.skip("no Python here that others may run")
    folder = Path(tempfile.mkdtemp(prefix="egress-ray-test-"))
    try:
        os.chown(folder, uid, uid)
        given = {"task_id": "t", "folder": str(folder), "subject": {"url": f"{pages}/static"}}
        given["config"] = CONFIG.model_dump(mode="json")
        child = subprocess.Popen(
            [python, "-m", "recorders", "-"],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": _PYTHONPATH},
            user=uid,
            group=uid,
            extra_groups=[],
        )
        threading.Thread(target=_stop_when_recorded, args=(child, folder), daemon=True).start()
        _, error = child.communicate(json.dumps(given).encode(), timeout=90)
        assert child.returncode == 0, error.decode()
        assert list(folder.glob("*.m4s"))
    finally:
        shutil.rmtree(folder)


@needs_root
def test_root_itself_is_not_a_user_for_a_sandboxed_browser(tmp_path: Path, pages: str) -> None:
    error = failure(spec(tmp_path, f"{pages}/static"), _with(uids=None))
    assert (type(error), "set web.uids" in str(error)) == (RecorderError, True)
