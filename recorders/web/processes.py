"""The processes of a browser: what one has started, and those that are left of a profile; Linux's /proc."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_MEMORY = (b"RssAnon", b"RssShmem", b"VmSwap")
_AT_ONCE = 65536
# What was started while one looked is found by looking again.
_LOOKS = 3


@dataclass(frozen=True, slots=True)
class Process:
    """Its memory is in bytes, without what all Chromium's share of their program."""

    pid: int
    renders: bool  # pages, and has nothing of the browser itself
    memory: int
    threads: int


def parent(pid: int) -> int | None:
    """Of a process; None when it has ended."""
    with contextlib.suppress(OSError):
        status = _read(f"/proc/{pid}/status")
        return int(status.partition(b"\nPPid:")[2].split(None, 1)[0])
    return None


def family(pid: int) -> Iterator[Process]:
    """A process and all that it has started and that live."""
    with contextlib.suppress(OSError):
        folder = f"/proc/{pid}"
        status = dict(line.split(b":", 1) for line in _read(f"{folder}/status").splitlines())
        memory = sum(int(status[name].split()[0]) for name in _MEMORY if name in status) * 1024
        renders = b"--type=renderer" in _read(f"{folder}/cmdline")
        yield Process(pid, renders, memory, int(status[b"Threads"]))
        for task in os.listdir(f"{folder}/task"):  # noqa: PTH208
            with contextlib.suppress(FileNotFoundError):
                for child in _read(f"{folder}/task/{task}/children").split():
                    yield from family(int(child))


def _read(path: str) -> bytes:
    """As a `Path` would, in a third of the time: some two hundred of them are read each second."""
    file = os.open(path, os.O_RDONLY)
    try:
        parts = []
        while part := os.read(file, _AT_ONCE):
            parts.append(part)
        return b"".join(parts)
    finally:
        os.close(file)


def kill_browser(profile: Path) -> None:
    """SIGKILL, which a stopped process obeys, too, to the browser with this profile and to all that it has started."""
    for _ in range(_LOOKS):
        found = {each.pid for pid in _marked(profile) for each in family(pid)} - {os.getpid()}
        if not found:
            return
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)


def _marked(profile: Path) -> Iterator[int]:
    """Those that have it in their command: what outlives a browser has no other tie to it."""
    mark = b"--user-data-dir=" + os.fsencode(profile)
    for name in os.listdir("/proc"):  # noqa: PTH208
        if name.isdecimal():
            with contextlib.suppress(OSError):  # it has ended meanwhile
                command = _read(f"/proc/{name}/cmdline")
                # Chromium's own children have theirs as one word, with spaces.
                if mark + b"\0" in command or mark + b" " in command:
                    yield int(name)
