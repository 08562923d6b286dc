"""Where hostile pages are recorded: a server that they may reach, listeners that they may not, names of our own."""

from __future__ import annotations

import contextlib
import datetime
import errno
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from aiohappyeyeballs import AddrInfoType, start_connection
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from recorders.web.addresses import Address
from tests.e2e.hostile.entry import Answer, Hostile

HOST = "127.8.8.8"
# One page is allowed to reach this listener, which shows that it would be seen.
ALLOWED = "127.0.0.3"
METADATA = "169.254.169.254"
# What a name's addresses are: the first time, the second time, ...; the last ones from then on.
NAMES: dict[str, tuple[tuple[str, ...], ...]] = {
    "pages.example": ((HOST,),),
    "metadata.example": ((METADATA,),),
    "loopback.example": (("127.0.0.1",),),
    "mixed.example": (("127.0.0.1", "10.1.2.3", "::1", HOST),),
    "rebinding.example": ((HOST,), ("127.0.0.1",)),
    "localhost": (("127.0.0.1", "::1"),),
}
_TRIES = 20


@dataclass
class World:
    """The server's and the listeners' port, and what has been seen."""

    port: int
    tls_port: int
    pages: dict[str, Hostile]
    listening: list[str] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)
    """Whatever has come to a listener: "TCP 127.0.0.1 b'GET / ...'"."""
    told: dict[str, str] = field(default_factory=dict)
    reached: set[str] = field(default_factory=set)
    """Whatever address the recorders have tried to connect their browsers to."""
    _asked: Counter[str] = field(default_factory=Counter)

    def place(self, text: str, name: str) -> str:
        """`text` of the page `name` with its words replaced."""
        words = {
            "@SITE@": f"http://{HOST}:{self.port}/{name}",
            "@TLS@": f"https://{HOST}:{self.tls_port}/{name}",
            "@HOST@": HOST,
            "@PORT@": str(self.port),
        }
        for word, place in words.items():
            text = text.replace(word, place)
        return text

    def resolve(self, host: str) -> list[Address]:
        """Stands in for the system's resolver; called in threads."""
        if host not in NAMES:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        answers = NAMES[host]
        answer = answers[min(self._asked[host], len(answers) - 1)]
        self._asked[host] += 1
        return [ip_address(each) for each in answer]

    async def connect(self, infos: Sequence[AddrInfoType], **rest: Any) -> socket.socket:
        """Stands in for `aiohappyeyeballs.start_connection`, and does it."""
        self.reached |= {str(info[4][0]) for info in infos}
        return await start_connection(infos, **rest)

    def answer(self, path: str) -> Answer:
        """What the server says."""
        name, _, below = path.removeprefix("/").partition("?")[0].partition("/")
        page = self.pages.get(name)
        return page.answers().get(below, Answer(status=404)) if page is not None else Answer(status=404)


@contextlib.contextmanager
def world(pages: tuple[Hostile, ...], folder: Path) -> Iterator[World]:
    """All of it, until the end of the block."""
    with contextlib.ExitStack() as stack:
        for left in reversed(range(_TRIES)):
            try:
                made = _made(pages, folder, stack)
                break
            except OSError as error:  # the port is free on one address, not on another
                if error.errno != errno.EADDRINUSE or not left:
                    raise
        yield made


def _made(pages: tuple[Hostile, ...], folder: Path, outer: contextlib.ExitStack) -> World:
    with contextlib.ExitStack() as stack:
        plain, tls = _Server((HOST, 0), _Handler), _Server((HOST, 0), _Handler)
        tls.socket = _certified(folder).wrap_socket(tls.socket, server_side=True, do_handshake_on_connect=False)
        made = World(plain.server_port, tls.server_port, {page.name: page for page in pages})
        for server in (plain, tls):
            server.world, server.closing = made, threading.Event()
            stack.callback(server.closing.set)
            stack.callback(server.server_close)
        for address in ("127.0.0.1", "127.0.0.2", ALLOWED, *(["::1"] if socket.has_ipv6 else [])):
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                _listen(made, address, kind, stack)
        for server in (plain, tls):
            threading.Thread(target=server.serve_forever, name="hostile pages", daemon=True).start()
            stack.callback(server.shutdown)
        outer.push(stack.pop_all())
        return made


def _listen(world: World, address: str, kind: socket.SocketKind, stack: contextlib.ExitStack) -> None:
    """Note whatever comes to this address from now on."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = stack.enter_context(socket.socket(family, kind))
    listener.bind((address, world.port))
    what = f"{'TCP' if kind == socket.SOCK_STREAM else 'UDP'} {address}"
    over = threading.Event()

    def tcp() -> None:
        listener.listen()
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:  # the end
                return
            with connection, contextlib.suppress(OSError):
                world.heard.append(what)
                connection.settimeout(1)
                world.heard[-1] += f" {connection.recv(200)!r}"

    def udp() -> None:
        while True:
            said = listener.recv(200)
            if over.is_set():
                return
            world.heard.append(f"{what} {said!r}")

    thread = threading.Thread(target=tcp if kind == socket.SOCK_STREAM else udp, name=what, daemon=True)
    thread.start()
    stack.callback(thread.join, 5)
    stack.callback(_wake, listener)
    stack.callback(over.set)
    world.listening.append(what)


def _wake(listener: socket.socket) -> None:
    if listener.type == socket.SOCK_DGRAM:  # can be shut down only while it has a peer
        listener.connect(listener.getsockname())
    with contextlib.suppress(OSError):
        listener.shutdown(socket.SHUT_RDWR)


def _certified(folder: Path) -> ssl.SSLContext:
    """TLS with a certificate that nobody but itself vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "pages.example")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = folder / "self-signed.pem"
    pem.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    world: World
    closing: threading.Event

    def handle_error(self, request: object, client_address: object) -> None:
        """A browser that goes away is no error."""


class _Handler(BaseHTTPRequestHandler):
    """HTTP/1.0: each request comes on a connection of its own, which is looked up and checked anew."""

    server: _Server
    timeout = 30

    def do_GET(self) -> None:
        name = self.path.removeprefix("/").partition("/")[0]
        answer = self.server.world.answer(self.path)
        if self.server.closing.wait(answer.after):
            return
        body = self.server.world.place(answer.body, name).encode()
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.type)
        self.send_header("Content-Length", str(len(body)))
        for header, value in answer.headers.items():
            self.send_header(header, self.server.world.place(value, name))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        """What a page tells."""
        name, _, below = self.path.removeprefix("/").partition("/")
        said = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        if below == "told":
            self.server.world.told[name] = said
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Quiet: the output belongs to whoever runs the test."""
