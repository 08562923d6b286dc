"""What one browser may do on its machine: which user it is, what it sees of the environment, how much it may take.

The browser's own sandbox, which holds its pages, is Chromium's work; this holds the browser. How much memory it
takes is watched in `hunger.py`; where pages may go, and what they are refused, is elsewhere.
"""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path

from recorders.config import WebConfig
from recorders.errors import RecorderError
from recorders.web.uids import Uid

_LOG = logging.getLogger(__name__)

LAUNCHER = Path(__file__).with_name("launch.sh")
# Everything else of the service's environment may hold secrets.
_KEPT = ("PATH", "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "TZ", "FONTCONFIG_FILE", "FONTCONFIG_PATH")
# What one process may have beyond the whole browser's memory: address space that it does not touch counts, too.
_UNTOUCHED_MB = 2048
_MB = 1024 * 1024
# How much more threads there may be for a moment, before those who watch them have looked.
_BETWEEN_LOOKS = 2
_SETPRIV = ("--no-new-privs", "--pdeathsig=KILL", "--")
# The one right that a browser keeps, where we have it: its threads for sound go before others. Without it sound has
# gaps on a machine that is busy. Its pages, in their sandbox, have none.
_RIGHT, _RIGHT_BIT = "sys_nice", 23
_NO_NAMESPACES = (
    "Chromium's sandbox cannot work here, because this system gives ordinary users no user namespaces: allow them "
    '(README, "Pages in containers"), or set web.sandbox to false and record only pages that you trust.'
)


class Cage:
    """For one browser. Raises `RecorderError` when there is no user for it."""

    def __init__(self, config: WebConfig) -> None:
        self._config = config
        self._uid: Uid | None = None
        if os.geteuid() == 0:
            if config.uids is not None:
                self._uid = Uid(*config.uids)
            elif config.sandbox:
                raise RecorderError("Chromium's sandbox does not work as root: set web.uids, or web.sandbox to false.")
        if not config.sandbox:
            _LOG.warning(
                "Chromium's sandbox is off (web.sandbox): a page that breaks its renderer is the browser's user."
            )

    @property
    def uid(self) -> int | None:
        """The browser's user and group; None is this process' own."""
        return self._uid.number if self._uid is not None else None

    def environment(self, browser: str, home: Path, pid_file: Path) -> dict[str, str]:
        """For `LAUNCHER`: what `browser` sees, and the command that puts it in here.

        The browser's process id is written to `pid_file`. Raises `RecorderError` when a program is missing.
        """
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        command = "\n".join((*self._limits(), *self._rights(), browser))
        places = {"HOME": str(home), "TMPDIR": str(home)}
        return kept | places | {"CAGE_COMMAND": command, "CAGE_PID": str(pid_file)}

    def why(self, output: str) -> str | None:
        """The sentence for a browser that did not start in here, by what it wrote; None when it is not for this."""
        if "No usable sandbox" in output or "Failed to move to new namespace" in output:
            return _NO_NAMESPACES
        if "setpriv:" in output:
            fact = next(line for line in output.splitlines() if "setpriv:" in line).partition("setpriv:")[2].strip()
            return f"The browser could not be run as user {self.uid} (setting web.uids): {fact}."
        return None

    def release(self) -> None:
        """End what is left in here."""
        if self._uid is not None:
            self._uid.release()
            self._uid = None

    def _limits(self) -> tuple[str, ...]:
        data = self._config.memory_mb + _UNTOUCHED_MB
        file = max(self._config.disk_mb, self._config.memory_mb)  # memory that processes share is a file, too
        limits = ["--core=0", f"--data={data * _MB}", f"--fsize={file * _MB}"]
        if self._uid is not None:  # another user's own processes would count as well
            limits.append(f"--nproc={_BETWEEN_LOOKS * self._config.max_threads}")
        return (_program("prlimit"), *limits, "--")

    def _rights(self) -> tuple[str, ...]:
        if self.uid is not None:
            kept = f"-all,+{_RIGHT}" if _have(_RIGHT_BIT) else "-all"
            user = (f"--reuid={self.uid}", f"--regid={self.uid}", "--clear-groups", f"--bounding-set={kept}")
            return (_program("setpriv"), *user, f"--inh-caps={kept}", f"--ambient-caps={kept}", *_SETPRIV)
        return (_program("setpriv"), "--inh-caps=-all", *_SETPRIV)


def open_to_all(path: str) -> bool:
    """Whether any user may run the file."""
    real = Path(path).resolve()
    return real.stat().st_mode & 0o005 == 0o005 and all(folder.stat().st_mode & 0o001 for folder in real.parents)


def _have(bit: int) -> bool:
    """Whether this process has that capability (capabilities(7))."""
    status = Path("/proc/self/status").read_text()
    effective = next(line for line in status.splitlines() if line.startswith("CapEff:"))
    return bool(int(effective.split()[1], 16) >> bit & 1)


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise RecorderError(f"The program {name} is missing on this node: install the package util-linux.")
    return found
