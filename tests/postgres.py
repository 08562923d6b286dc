"""A PostgreSQL server of the tests' own, on loopback, that can be killed and started again."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

_LIMIT_S = 60
_numbers = itertools.count()


class Postgres:
    """A server with its data in `folder`."""

    def __init__(self, folder: Path, port: int) -> None:
        self._folder = folder
        self._port = port

    def start(self) -> None:
        """Returns when it answers."""
        options = f"-h 127.0.0.1 -p {self._port} -k {self._folder} -c fsync=off -c max_connections=20"
        self._run("pg_ctl", "-D", self._data, "-l", str(self._folder / "log"), "-o", options, "-w", "start")

    def kill(self) -> None:
        """End it at once, without a word to anybody."""
        self._run("pg_ctl", "-D", self._data, "-m", "immediate", "-w", "stop")

    def database(self) -> str:
        """The URL of a new database, empty, with a password in it."""
        name = f"db{next(_numbers)}"
        with psycopg.connect(self._url("postgres", "postgresql"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return self._url(name, "postgresql")

    def _url(self, name: str, scheme: str) -> str:
        return f"{scheme}://egress:a-password@127.0.0.1:{self._port}/{name}"

    @property
    def _data(self) -> str:
        return str(self._folder / "data")

    def make(self) -> None:
        """Make its data folder."""
        self._run("initdb", "-D", self._data, "-U", "egress", "-A", "trust", "--no-sync", "-E", "UTF8")

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(_programs() / program), *arguments]
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            command = ["runuser", "-u", "postgres", "--", *command]
        with (self._folder / "commands.log").open("ab") as log:
            done = subprocess.run(command, cwd="/", stdout=log, stderr=log, timeout=_LIMIT_S, check=False)
        assert done.returncode == 0, (self._folder / "commands.log").read_text()[-2000:]


def _programs() -> Path:
    """Where the server's programs are: Debian keeps them off the PATH."""
    on_path = shutil.which("pg_ctl")
    found = [Path(on_path).parent] if on_path else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    assert found, "PostgreSQL is missing: run scripts/system_packages.sh test"
    return found[-1]


@contextmanager
def running_postgres(port: int) -> Iterator[Postgres]:
    """A server meanwhile."""
    folder = Path(tempfile.mkdtemp(prefix="egress-postgres-"))
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres")
        server = Postgres(folder, port)
        server.make()
        server.start()
        try:
            yield server
        finally:
            server.kill()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
