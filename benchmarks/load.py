"""A load generator for one kind of POST: keep-alive connections, each with one request at a time."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

_LIMIT_S = 60.0


@dataclass(frozen=True)
class Load:
    """Answered requests a second, and percentiles of the time to an answer in milliseconds."""

    rate: float
    p50: float
    p99: float


async def post(port: int, path: str, body: Callable[[int], Mapping[str, Any]], count: int, connections: int) -> Load:
    """`count` requests over so many connections. Raises RuntimeError for an answer that is not 200."""
    numbers = iter(range(count))
    took: list[float] = []

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for number in numbers:
            data = json.dumps(body(number)).encode()
            head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            asked = time.perf_counter()
            writer.write(f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data)
            status, answer = await _response(reader)
            took.append(time.perf_counter() - asked)
            if status != 200:
                raise RuntimeError(f"HTTP {status}: {answer[:500].decode()}")
        writer.close()

    begun = time.perf_counter()
    async with asyncio.timeout(_LIMIT_S), asyncio.TaskGroup() as group:
        for _ in range(connections):
            group.create_task(client())
    rate = count / (time.perf_counter() - begun)
    return Load(rate, 1000 * float(np.percentile(took, 50)), 1000 * float(np.percentile(took, 99)))


async def _response(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower().split("\r\n")
    status = int(head[0].split()[1])
    for line in head[1:]:
        name, _, value = line.partition(":")
        if name == "content-length":
            return status, await reader.readexactly(int(value))
        if name == "transfer-encoding" and "chunked" in value:
            return status, await _chunks(reader)
    return status, b""


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        body += (await reader.readexactly(size + 2))[:-2]
    await reader.readexactly(2)
    return body
