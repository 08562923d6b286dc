"""The pages that are recorded, and the server on loopback that serves them with the videos in them."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.clips import moving

_TYPES = {".html": "text/html; charset=utf-8", ".webm": "video/webm"}
VIDEO_SECONDS = 30


def videos() -> list[Path]:
    """The clips in videos.html, 640x360 each, row by row."""
    return moving(4, seconds=VIDEO_SECONDS, width=640, height=360, web=True)


@contextlib.contextmanager
def serve() -> Iterator[str]:
    """Serves the pages meanwhile; their base URL."""
    pages = {f"/{path.name}": path for path in Path(__file__).parent.glob("*.html")}
    pages |= {f"/{k}.webm": path for k, path in enumerate(videos())}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = pages.get(urlsplit(self.path).path)
            if path is None:
                self.send_error(404)
                return
            body = path.read_bytes()
            self.send_response(200)
            self.send_header("Content-Type", _TYPES[path.suffix])
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with contextlib.suppress(ConnectionError):
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
