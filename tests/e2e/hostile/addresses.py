"""Pages that try to get where pages may not go."""

from __future__ import annotations

from tests.e2e.hostile.entry import HELD, Answer, Hostile, file

_METADATA = "http://169.254.169.254/latest/meta-data/"


def _redirect(to: str, status: int = 302) -> Answer:
    return Answer(status=status, headers={"Location": to})


PAGES: tuple[Hostile, ...] = (
    Hostile(
        "redirect-metadata",
        "leads on to the cloud's metadata service",
        more={"": _redirect(_METADATA)},
        fails=r"The page's host 169\.254\.169\.254 may not be reached: it is a metadata address\.",
        refused=1,
    ),
    Hostile(
        "redirect-name",
        "leads on to a name of the metadata service, and only after another redirect",
        more={
            "": _redirect("@SITE@/two", 307),
            "two": _redirect("//metadata.example/latest/", 301),
        },
        fails=r"The page's host metadata\.example may not be reached: 169\.254\.169\.254 is a metadata address\.",
        refused=1,
    ),
    Hostile(
        "redirect-file",
        "leads on to a file of this machine",
        more={"": _redirect("file:///etc/passwd")},
        fails=r"The browser does not open this page's address \(ERR_UNSAFE_REDIRECT\)\.",
    ),
    Hostile(
        "ten-redirects",
        "leads on ten times, and is recorded then",
        "",
        more={str(n): _redirect(f"@SITE@/{n + 1}") for n in range(10)}
        | {"10": Answer("<body style='background:#080'>")},
        url="@SITE@/0",
        shows=HELD,
    ),
    Hostile(
        "redirect-circle",
        "leads on to itself",
        more={"": _redirect("@SITE@/")},
        fails=r"The page redirects in a circle\.",
    ),
    Hostile(
        "names-loopback",
        "has a name that is this machine's",
        url="http://loopback.example:@PORT@/names-loopback/",
        fails=r"The page's host loopback\.example may not be reached: 127\.0\.0\.1 is a loopback address\.",
        refused=1,
    ),
    Hostile(
        "names-both",
        "has a name with addresses that may be reached and others that may not",
        "<script>show('#080')</script>",
        url="http://mixed.example:@PORT@/names-both/",
        shows=HELD,
    ),
    Hostile(
        "rebinding",
        "has a name that is another address once the page has loaded",
        url="http://rebinding.example:@PORT@/rebinding/",
        tells="nothing",
        shows=HELD,
        refused=1,
    ),
    Hostile(
        "fetches",
        "asks loopback and metadata addresses by fetch, XHR, EventSource, WebSocket, WebTransport, from a worker too",
        more={"away": _redirect("http://127.0.0.1:@PORT@/redirected")},
        tells="nothing",
        shows=HELD,
        refused=5,
    ),
    Hostile(
        "allowed",
        "asks a loopback address that the settings allow, by WebRTC's UDP too, and one that they do not",
        tells="http udp",
        refused=1,
        web={"allowed_networks": ("127.8.8.8/32", "127.0.0.3/32"), "webrtc_udp": True},
    ),
    Hostile("tags", "names loopback in every tag that loads something", tells="nothing", refused=5),
    Hostile(
        "served",
        "asks loopback addresses from a service worker",
        more={"worker.js": Answer(file("served.js"), type="text/javascript")},
        tells="nothing",
        shows=HELD,
        refused=2,
    ),
    Hostile("webrtc", "sends STUN and TURN to loopback, and names it as a peer", tells="nothing", shows=HELD),
    Hostile("files", "opens files of this machine and pages of the browser", tells="nothing", shows=HELD),
    Hostile(
        "spellings",
        "writes loopback in every way that there is",
        tells="nothing",
        shows=HELD,
        refused=5,
    ),
    Hostile(
        "goes-there",
        "goes to a loopback address itself, once it is recorded",
        "<script>setTimeout(() => { location = 'http://127.0.0.1:@PORT@/gone'; }, 700)</script>",
        seconds=1.5,
        refused=1,
    ),
)
