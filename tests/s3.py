"""An S3-compatible server of our own, in a process of its own, and a way to it that can be cut."""

from __future__ import annotations

import contextlib
import math
import os
import re
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import obstore
from obstore.store import S3Store

BUCKET = "recordings"
_STARTS_S = 20.0
# S3 asks for 5 MiB; tests have less time.
_SMALLEST_PIECE = 64 * 1024
_HEX, _LETTERS = b"0123456789abcdef", b"ghijklmnopqrstuv"


class _Pace:
    """So many bytes a second, whoever sends them."""

    def __init__(self) -> None:
        self.rate = math.inf
        self._lock = threading.Lock()
        self._free_at = 0.0

    def wait(self, size: int) -> None:
        """Until it is these bytes' turn to have been sent."""
        with self._lock:
            self._free_at = max(self._free_at, time.monotonic()) + size / self.rate
        time.sleep(max(0.0, self._free_at - time.monotonic()))


@dataclass
class S3:
    """A server with one bucket. Clients are told of the way to it, which `cut` closes and `mend` opens again."""

    port: int
    server_port: int
    up: _Pace = field(default_factory=_Pace)
    down: _Pace = field(default_factory=_Pace)
    checksums: bool = True
    _up: threading.Event = field(default_factory=threading.Event)
    _links: list[socket.socket] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        """What a client needs."""
        return {
            "AWS_ACCESS_KEY_ID": "test-key-id",
            "AWS_SECRET_ACCESS_KEY": "test-secret-to-look-for",
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
        }

    def cut(self) -> None:
        """Refuse connections and drop those there are."""
        self._up.clear()
        for link in self._links:
            with contextlib.suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)
        self._links.clear()

    def mend(self) -> None:
        """Let clients through."""
        self._up.set()

    @contextlib.contextmanager
    def limited(self, *, up: float = math.inf, down: float = math.inf, checksums: bool = True) -> Iterator[None]:
        """A way of so many bytes a second to it and from it, and ETags that are no `checksums`, as in some stores."""
        self.up.rate, self.down.rate, self.checksums = up, down, checksums
        try:
            yield
        finally:
            self.up.rate, self.down.rate, self.checksums = math.inf, math.inf, True

    def objects(self, beginning: str = "") -> dict[str, bytes]:
        """All objects whose key begins so, whether the way is cut or not; keys without that beginning."""
        store = self._store()
        paths = [meta["path"] for page in obstore.list(store) for meta in page if meta["path"].startswith(beginning)]
        return {path.removeprefix(beginning): bytes(obstore.get(store, path).bytes()) for path in paths}

    def corrupt(self, key: str) -> None:
        """Change an object behind everybody's back."""
        obstore.put(self._store(), key, b"something else")

    def _store(self) -> S3Store:
        return S3Store(
            BUCKET,
            endpoint=f"http://127.0.0.1:{self.server_port}",
            access_key_id="test",
            secret_access_key="test",
            region="us-east-1",
            client_options={"allow_http": True},
        )


@contextlib.contextmanager
def s3_server(log: Path) -> Iterator[S3]:
    """A server with an empty bucket, for as long as the context lasts."""
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"],
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**os.environ, "S3_UPLOAD_PART_MIN_SIZE": str(_SMALLEST_PIECE)},
        )
    try:
        with socket.create_server(("127.0.0.1", 0)) as door:
            s3 = S3(door.getsockname()[1], _port_of(process, log))
            s3.mend()
            threading.Thread(target=_serve, args=(s3, door), daemon=True).start()
            httpx.put(f"http://127.0.0.1:{s3.server_port}/{BUCKET}").raise_for_status()
            yield s3
            s3.cut()
    finally:
        process.terminate()
        process.wait(10)


def _port_of(process: subprocess.Popen[bytes], log: Path) -> int:
    waited = threading.Event()
    for _ in range(int(_STARTS_S / 0.05)):
        assert process.poll() is None, log.read_text()
        if found := re.search(r"Running on http://127\.0\.0\.1:(\d+)", log.read_text()):
            return int(found[1])
        waited.wait(0.05)
    raise AssertionError(log.read_text())


def _serve(s3: S3, door: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while True:
            client, _ = door.accept()
            if not s3._up.is_set():
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, bytes([1, 0, 0, 0, 0, 0, 0, 0]))
                client.close()
                continue
            server = socket.create_connection(("127.0.0.1", s3.server_port))
            s3._links += [client, server]
            threading.Thread(target=_relay, args=(s3, client, server), daemon=True).start()


def _relay(s3: S3, client: socket.socket, server: socket.socket) -> None:
    other = {client: server, server: client}
    pace = {client: s3.up, server: s3.down}
    with client, server, contextlib.suppress(OSError, ValueError):
        while True:
            for ready in select.select([client, server], [], [])[0]:
                data = ready.recv(65536)
                if not data:
                    return
                pace[ready].wait(len(data))
                other[ready].sendall(data if s3.checksums else _disguised(data, for_client=ready is server))


def _disguised(data: bytes, *, for_client: bool) -> bytes:
    """With ETags in letters that no checksum has, or back."""
    pattern, there = (
        (rb'(?<=ETag: ")[0-9a-f]{32}', (_HEX, _LETTERS)) if for_client else (rb"[g-v]{32}", (_LETTERS, _HEX))
    )
    return re.sub(pattern, lambda match: match[0].translate(bytes.maketrans(*there)), data)


@contextlib.contextmanager
def environment(values: dict[str, str]) -> Iterator[None]:
    """These variables set for this process."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
