"""A participant as a web page, and the small HTTP server on loopback that serves it.

`python -m tests.oracle.page` serves it until Ctrl-C; `?user=3` is the third participant.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from tests.oracle.participants import BEEP_LEVEL, BEEP_S, FLASH_S, PARTICIPANTS, TONE_LEVEL, Participant

_PAGE = Path(__file__).with_name("page.html")


def render(participant: Participant) -> str:
    """The page of one participant, as HTML."""
    me = {
        "colour": "#{:02x}{:02x}{:02x}".format(*participant.colour),
        "mark": "#000" if participant.yuv()[0] > 90 else "#c0c0c0",
        "tone": participant.tone,
        "toneLevel": TONE_LEVEL,
        "beep": participant.beep,
        "beepLevel": BEEP_LEVEL,
        "beepSeconds": BEEP_S,
        "flashSeconds": FLASH_S,
    }
    return _PAGE.read_text().replace('"PARTICIPANT"', json.dumps(me))


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        url = urlsplit(self.path)
        user = parse_qs(url.query).get("user", ["1"])[0]
        if url.path != "/" or not user.isdecimal() or not 1 <= int(user) <= PARTICIPANTS:
            self.send_error(404)
            return
        body = render(Participant(int(user) - 1)).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet: the output belongs to whoever runs the test."""


@contextlib.contextmanager
def serve_page(user: int = 1, port: int = 0) -> Iterator[str]:
    """Serves the pages on a free port of loopback meanwhile; the URL of participant `user` (from 1)."""
    server = ThreadingHTTPServer(("127.0.0.1", port), _Handler)
    thread = threading.Thread(target=server.serve_forever, name="oracle-page", daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/?user={user}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


if __name__ == "__main__":
    with serve_page(port=0) as address, contextlib.suppress(KeyboardInterrupt):
        print(address, flush=True)
        threading.Event().wait()
