"""Pages to record, and the small HTTP server on loopback that serves them or fails to."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType

from tests.e2e.contract_pages import CONTRACT_PAGES

_PAGE = "<!doctype html><meta charset=utf-8><style>html,body{{margin:0;overflow:auto}}{style}</style><body>{body}"

# A frame of one white pixel of the screen at the very edge, then black, then stripes of two from x = 20 and y = 20.
_PIXELS = """<canvas id=c style="display:block;width:100vw;height:100vh"></canvas>
<div style="position:absolute;top:0;height:3000px;width:1px"></div>
<script>
const c = document.getElementById("c");
c.width = innerWidth * devicePixelRatio; c.height = innerHeight * devicePixelRatio;
const x = c.getContext("2d"); x.fillStyle = "#fff"; x.fillRect(0, 0, c.width, c.height);
x.fillStyle = "#000"; x.fillRect(1, 1, c.width - 2, c.height - 2); x.fillStyle = "#fff";
for (let i = 20; i + 2 <= c.width - 20; i += 4) x.fillRect(i, 20, 2, 80);
for (let i = 120; i + 2 <= c.height - 20; i += 4) x.fillRect(20, i, 80, 2);
</script>"""
# Green with WebGL, red without.
_WEB_GL = """<canvas id=c width=640 height=360 style="display:block"></canvas><script>
const gl = document.getElementById("c").getContext("webgl");
if (gl) { gl.clearColor(0, 0.8, 0, 1); gl.clear(gl.COLOR_BUFFER_BIT); }
else document.body.style.background = "#c00";
</script>"""
# Stands still, then red on the left, then blue on the right, and stands still again.
_CALM = """<script>
const box = (left, colour) => document.body.insertAdjacentHTML(
  "beforeend", `<div style="position:absolute;top:0;left:${left};width:50%;height:100%;background:${colour}"></div>`);
setTimeout(box, 4600, "0", "#c00"); setTimeout(box, 4900, "50%", "#00c");
</script>"""
# Green or blue, and now and then the other one: each time it is red for one paint, and what it comes to in the next. At
# first that is often.
_TWICE = """<script>
const show = (colour) => (document.body.style.background = colour);
let n = 0;
const change = () => {
  show("#c00");
  requestAnimationFrame(() => show(n++ % 2 ? "#080" : "#00c"));
  setTimeout(requestAnimationFrame, performance.now() < 2000 ? 93 : 700, change);
};
requestAnimationFrame(change);
</script>"""
# Takes memory without end, half a second after it is there.
_HOG = """<script>
const kept = [];
const take = () => { kept.push(new Uint8Array(32 << 20).fill(1)); setTimeout(take, 20); };
setTimeout(take, 500);
</script>"""
# Chinese, Japanese, Korean, a pictograph in colour, and what no font has, 100 pixels apart.
_GLYPHS = "".join(
    f'<div style="position:absolute;top:100px;left:{100 * i}px;width:100px">&#x{code:x};</div>'
    for i, code in enumerate((0x6F22, 0x304B, 0xD55C, 0x1F984, 0x10FFFF))
)
_PAGES = {
    **CONTRACT_PAGES,
    "/static": _PAGE.format(style="body{background:#246;color:#fff;font:40px sans-serif}", body="<p>A static page"),
    "/pixels": _PAGE.format(style="", body=_PIXELS),
    "/calm": _PAGE.format(style="body{background:#080}", body=_CALM),
    "/twice": _PAGE.format(style="body{background:#080}", body=_TWICE),
    "/webgl": _PAGE.format(style="", body=_WEB_GL),
    "/hanging": _PAGE.format(style="body{background:#080}", body="<img src=/never>"),
    "/hog": _PAGE.format(style="body{background:#080}", body=_HOG),
    "/rude": _PAGE.format(
        style="body{background:#080}",
        body="<script>open('/static'); alert('stop'); onbeforeunload = () => 'stay'; document.title = 'mine'; "
        "Object.assign(document.createElement('a'), {href: '/static', target: '_blank'}).click()</script>",
    ),
    "/glyphs": _PAGE.format(style="body{background:#fff;font:80px/1 sans-serif}", body=_GLYPHS),
    "/bare": "<!doctype html><title>bare</title>",
    "/closing": _PAGE.format(style="", body="<script>setTimeout(() => window.close(), 1500)</script>"),
    "/busy": _PAGE.format(style="body{background:#080}", body="<script>setTimeout(() => {for (;;);}, 500)</script>"),
}


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        if self.path == "/never":
            self.server.released.wait(30)
            return
        page = self.server.pages.get(self.path, "").encode()
        self.send_response(500 if self.path == "/broken" else 200 if page else 404)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet: the output belongs to whoever runs the test."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    released: threading.Event
    pages: Mapping[str, str]

    def handle_error(self, request: object, client_address: object) -> None:
        """A browser that goes away is no error."""


@contextlib.contextmanager
def serve_pages(more: Mapping[str, str] = MappingProxyType({})) -> Iterator[str]:
    """Serves them, and `more` by path, on a free port of loopback meanwhile; its origin, without a slash at the end."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.released = threading.Event()
    server.pages = {**_PAGES, **more}
    thread = threading.Thread(target=server.serve_forever, name="pages", daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.released.set()
        server.shutdown()
        server.server_close()
        thread.join(5)
