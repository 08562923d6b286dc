"""The browser's way out: a real SOCKS5 client through it to real servers on loopback, names from a resolver of ours."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from importlib import import_module
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from recorders.errors import RecorderError, Refused, Unreachable
from recorders.web import lookup, proxy, socks
from recorders.web.addresses import Address, Rules
from recorders.web.lookup import Lookup
from recorders.web.proxy import Proxy, arguments

Served = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
HERE = Rules(allowed_networks=(ip_network("127.8.8.8/32"),))
REFUSED = b"\x05\x04\x00\x01" + bytes(6)


NEW_LOOP: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {}


@pytest.fixture(autouse=True, params=["asyncio", "uvloop"])
def loops(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """In an actor, recorders run on Ray's event loop, which is uvloop's; by themselves on Python's own."""
    monkeypatch.setitem(NEW_LOOP, "of this test", import_module(request.param).new_event_loop)


def run(test: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=NEW_LOOP["of this test"]) as runner:
        runner.run(asyncio.wait_for(test, 20))


@contextlib.asynccontextmanager
async def way_out(rules: Rules = HERE) -> AsyncIterator[tuple[Proxy, int]]:
    made = Proxy(rules)
    port = await made.open()
    try:
        yield made, port
    finally:
        await made.close()


@contextlib.asynccontextmanager
async def serving(served: Served, host: str = "127.8.8.8") -> AsyncIterator[int]:
    server = await asyncio.start_server(served, host, 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Says back what it heard, once it has heard all."""
    writer.write(await reader.read())
    await writer.drain()
    writer.close()


def asked(host: str, port: int) -> bytes:
    return b"\x05\x01\x00\x03" + bytes([len(host)]) + host.encode() + port.to_bytes(2, "big")


async def connect(port: int, host: str, to: int) -> tuple[bytes, asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"\x05\x01\x00")
    assert await reader.readexactly(2) == b"\x05\x00"
    writer.write(asked(host, to))
    return await reader.readexactly(10), reader, writer


def names(monkeypatch: pytest.MonkeyPatch, *answers: list[str] | OSError) -> list[str]:
    """The resolver's answers, one after another; what it was asked."""
    heard: list[str] = []

    def resolve(host: str) -> list[Address]:
        answer = answers[min(len(heard), len(answers) - 1)]
        heard.append(host)
        if isinstance(answer, OSError):
            raise answer
        return [ip_address(each) for each in answer]

    monkeypatch.setattr(lookup, "system", resolve)
    return heard


def test_bytes_go_both_ways_and_each_way_ends_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    names(monkeypatch, ["127.8.8.8"])
    sent = bytes(range(256)) * 40_000

    async def test() -> None:
        async with serving(echo) as to, way_out() as (made, port):
            reply, reader, writer = await connect(port, "pages.example", to)
            assert reply[:2] == b"\x05\x00"
            writer.write(sent)
            writer.write_eof()
            assert await reader.read() == sent
            assert (made.refused, made.failure(f"http://pages.example:{to}/")) == (0, None)

    run(test())


def test_a_server_may_speak_first(monkeypatch: pytest.MonkeyPatch) -> None:
    names(monkeypatch, ["127.8.8.8"])

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hello")
        writer.close()

    async def test() -> None:
        async with serving(served) as to, way_out() as (_, port):
            for _ in range(20):
                reply, reader, writer = await connect(port, "pages.example", to)
                assert (reply[:2], await reader.read()) == (b"\x05\x00", b"220 hello")
                writer.close()

    run(test())


def test_a_slow_reader_holds_the_writer_up(monkeypatch: pytest.MonkeyPatch) -> None:
    names(monkeypatch, ["127.8.8.8"])
    written = 0

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        with contextlib.suppress(ConnectionError):
            while True:
                writer.write(bytes(1 << 16))
                await writer.drain()
                written += 1 << 16

    async def test() -> None:
        async with serving(flood) as to, way_out() as (_, port):
            _, reader, writer = await connect(port, "pages.example", to)
            before = -1
            while written != before:
                before = written
                await asyncio.sleep(0.1)
            assert written < 64 << 20
            assert len(await reader.readexactly(written)) == before
            writer.close()

    run(test())


@pytest.mark.parametrize("host", ["pages.example", "127.0.0.1", "[::1]", "0x7f.1", "localhost", "PAGES.example."])
def test_a_refusal_makes_no_connection(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    names(monkeypatch, ["127.0.0.1", "10.0.0.1"])
    heard: list[str] = []

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append("connection")
        writer.close()

    async def test() -> None:
        async with serving(served, "127.0.0.1") as to, way_out() as (made, port):
            reply, reader, _ = await connect(port, host, to)
            assert (reply, await reader.read()) == (REFUSED, b"")
            error = made.failure(f"http://{host}:{to}/")
            assert isinstance(error, Refused)
            assert "may not be reached" in str(error)
            assert "loopback address" in str(error)
            assert (made.refused, heard) == (1, [])

    run(test())


def test_of_a_name_s_addresses_only_those_are_tried_that_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    names(monkeypatch, ["127.0.0.1", "::1", "127.8.8.8"])

    async def test() -> None:
        async with serving(echo) as to, way_out() as (made, port):
            reply, *_ = await connect(port, "mixed.example", to)
            assert (reply[:2], made.refused) == (b"\x05\x00", 0)

    run(test())


def test_a_name_that_moves_is_checked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    heard = names(monkeypatch, ["127.8.8.8"], ["127.0.0.1"])
    monkeypatch.setattr(lookup, "_KEPT_S", 0.0)

    async def test() -> None:
        async with serving(echo) as to, way_out() as (made, port):
            first, *_ = await connect(port, "moves.example", to)
            second, *_ = await connect(port, "moves.example", to)
            assert (first[:2], second) == (b"\x05\x00", REFUSED)
            assert (made.refused, heard) == (1, ["moves.example"] * 2)

    run(test())


@pytest.mark.parametrize(
    ("answer", "kind", "sentence"),
    [
        (socket.gaierror(socket.EAI_NONAME, "x"), Refused, "The page's host a.example was not found in DNS."),
        (
            socket.gaierror(socket.EAI_AGAIN, "Temporary failure"),
            Unreachable,
            "The page's host a.example could not be looked up (Temporary failure).",
        ),
        (["127.8.8.8"], Unreachable, "The page's host a.example refused the connection."),
        (["192.168.1.1"], Refused, "The page's host a.example may not be reached: 192.168.1.1 is a private address."),
    ],
)
def test_why_a_host_was_not_reached(
    monkeypatch: pytest.MonkeyPatch, answer: list[str] | OSError, kind: type[RecorderError], sentence: str
) -> None:
    names(monkeypatch, answer)
    with socket.create_server(("127.8.8.8", 0)) as taken:
        free = taken.getsockname()[1]

    async def test() -> None:
        async with way_out() as (made, port):
            assert (await connect(port, "a.example", free))[0] == REFUSED
            error = made.failure(f"https://a.example:{free}/path")
            assert (type(error), str(error)) == (kind, sentence)
            assert made.failure(f"http://b.example:{free}/") is None

    run(test())


def test_what_does_not_answer_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy, "_CONNECT_S", 0.2)
    monkeypatch.setattr(lookup, "_TIMEOUT_S", 0.2)
    released = threading.Event()

    def resolve(host: str) -> list[Address]:
        if host == "slow.example":
            released.wait(10)
        return [ip_address("127.8.8.8")]

    monkeypatch.setattr(lookup, "system", resolve)

    async def test() -> None:
        with socket.socket() as full:
            full.bind(("127.8.8.8", 0))
            full.listen(0)
            to = full.getsockname()[1]
            waiting = [socket.socket() for _ in range(3)]
            for each in waiting:  # nobody accepts, and the queue is full
                each.setblocking(False)
                each.connect_ex(("127.8.8.8", to))
            async with way_out() as (made, port):
                assert (await connect(port, "silent.example", to))[0] == REFUSED
                assert str(made.failure(f"http://silent.example:{to}/")) == (
                    "The page's host silent.example did not answer within 0.2 s."
                )
                assert (await connect(port, "slow.example", to))[0] == REFUSED
                assert str(made.failure(f"http://slow.example:{to}/")) == (
                    "The page's host slow.example could not be looked up in time."
                )
            for each in waiting:
                each.close()

    run(test())
    released.set()


def test_what_is_not_a_client_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socks, "_HANDSHAKE_S", 0.2)

    async def test() -> None:
        async with way_out() as (_, port):
            for said in (b"GET / HTTP/1.1\r\n\r\n", b"\x04\x01", b"\x05\x01\x02", b"\x05\x01\x00\x05\x02\x00\x01", b""):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(said)
                with contextlib.suppress(ConnectionError):
                    assert await reader.read() in (b"", b"\x05\x00")

    run(test())


def test_too_many_connections_are_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy, "_ENDS", 2)

    async def test() -> None:
        async with way_out() as (_, port):
            kept = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
            await asyncio.sleep(0.05)
            reader, _ = await asyncio.open_connection("127.0.0.1", port)
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b""
            kept[0][1].write(b"\x05\x01\x00")
            assert await kept[0][0].readexactly(2) == b"\x05\x00"

    run(test())


def test_the_end_hangs_up_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    names(monkeypatch, ["127.8.8.8"])
    ended = asyncio.Event()

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await reader.read()
        ended.set()

    async def test() -> None:
        async with serving(served) as to:
            async with way_out() as (_, port):
                _, reader, _ = await connect(port, "pages.example", to)
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b""
            await ended.wait()
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", port)

    run(test())


def test_lookups_share_an_answer_and_wait_their_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    at_once, most, heard = 0, 0, 0
    lock = threading.Lock()

    def resolve(host: str) -> list[Address]:
        nonlocal at_once, most, heard
        with lock:
            at_once, heard = at_once + 1, heard + 1
            most = max(most, at_once)
        threading.Event().wait(0.01)
        with lock:
            at_once -= 1
        return [ip_address("8.8.8.8")]

    async def test() -> None:
        asker = Lookup(resolve)
        await asyncio.gather(*(asker.addresses(f"{n % 20}.example") for n in range(60)))

    run(test())
    assert heard == 20
    assert most <= 8


def test_the_browser_s_arguments() -> None:
    closed, open_ = arguments(1080, 8000, webrtc_udp=False), arguments(1080, 8000, webrtc_udp=True)
    assert "--proxy-server=socks5://127.0.0.1:1080" in closed
    assert "--proxy-bypass-list=<-loopback>;127.0.0.1:8000" in closed
    assert set(open_) < set(closed)
    assert not any("webrtc" in each for each in open_)
