"""Pages that ask for what nobody is there to grant, leave for other programs, or take more than their share."""

from __future__ import annotations

import av

from tests.e2e.hostile.entry import HELD, TRYING, Answer, Hostile, Seen

# The recorder's tab before there is a page.
_BLANK = (0, 0xFF, 0)


def _undimmed(seen: Seen) -> None:
    """No picture shows anything but the page: a dialog or prompt of the browser's dims or covers it."""
    with av.open(str(seen.folder / "recording.m3u8")) as container:
        for frame in container.decode(video=0):
            colour = frame.to_ndarray(format="rgb24")[frame.height // 2, frame.width // 2].tolist()
            own = (TRYING, HELD, _BLANK)
            assert any(max(abs(a - b) for a, b in zip(colour, each, strict=True)) <= 24 for each in own), colour


_PROMPTS = """<script>
const truly = (yes) => yes || Promise.reject();
settle({
    camera: navigator.mediaDevices.getUserMedia({video: true}),
    microphone: navigator.mediaDevices.getUserMedia({audio: true}),
    screen: navigator.mediaDevices.getDisplayMedia({video: true}),
    place: new Promise((yes, no) => navigator.geolocation.getCurrentPosition(yes, no)),
    midi: navigator.requestMIDIAccess({sysex: true}),
    clipboard: navigator.clipboard.readText(),
    storage: navigator.storage.persist().then(truly),
    screens: window.getScreenDetails(),
    idleness: IdleDetector.requestPermission().then((state) => truly(state === "granted")),
    fonts: queryLocalFonts().then((fonts) => truly(fonts.length)),
    usb: navigator.usb.requestDevice({filters: []}),
    serial: navigator.serial.requestPort(),
    hid: navigator.hid.requestDevice({filters: []}),
    files: showOpenFilePicker(),
    key: navigator.credentials.get({publicKey: {challenge: new Uint8Array(32)}}),
    identity: navigator.credentials.get({identity: {providers: [{configURL: "@SITE@/idp", clientId: "1"}]}}),
    notices: (async () => truly(await Notification.requestPermission() === "granted"))(),
    payment: (async () => new PaymentRequest([{supportedMethods: "https://pay.example/"}],
        {total: {label: "all", amount: {currency: "EUR", value: "1"}}}).show())(),
});
</script>"""
# In frames that the page makes itself, too, for what was taken from its own window.
_DIALOGS = """<script>
show("#080");
told("there");
setInterval(() => {
    alert(1); confirm(2); prompt(3); print();
    const hidden = (what) => Object.assign(document.createElement("iframe"), {style: "display:none", ...what});
    const bare = hidden({}), written = hidden({srcdoc: "<script>alert(4); print()</" + "script>"});
    const scripted = hidden({src: "javascript:alert(5)"});
    const frames = [bare, written, scripted];
    document.body.append(...frames);
    bare.contentWindow.alert(6); bare.contentWindow.print(); bare.contentWindow.confirm.call(window, 7);
    setTimeout(() => frames.forEach((frame) => frame.remove()), 200);
}, 100);
</script>"""
_POPUPS = """<script>
const opened = (w) => w || Promise.reject();
const frame = document.createElement("iframe");
frame.style.display = "none";
document.body.append(frame);
const link = Object.assign(document.createElement("a"), {href: "@SITE@/popped", target: "_blank"});
document.body.append(link);
link.click();
setInterval(() => link.click(), 100);
settle({
    own: (async () => opened(window.open("@SITE@/popped")))(),
    framed: (async () => opened(frame.contentWindow.open("@SITE@/popped")))(),
    heard: new Promise((yes) => new BroadcastChannel("popped").addEventListener("message", yes)),
});
</script>"""
_OUTWARDS = """<script>
show("#080");
told("there");
const click = (what) => {
    const a = Object.assign(document.createElement("a"), what);
    document.body.append(a);
    a.click();
};
setInterval(() => {
    click({href: URL.createObjectURL(new Blob(["x".repeat(1e5)])), download: "unwanted.bin"});
    click({href: "@SITE@/attached"});
    for (const url of ["mailto:a@b.example", "tel:1", "egress-test:x"]) {
        click({href: url});
        const frame = Object.assign(document.createElement("iframe"), {src: url, style: "display:none"});
        document.body.append(frame);
        setTimeout(() => frame.remove(), 200);
    }
    const file = Object.assign(document.createElement("input"), {type: "file", style: "display:none"});
    document.body.append(file);
    file.click();
    navigator.registerProtocolHandler("web+egress", "@SITE@/?%s");
}, 200);
</script>"""
_FULLSCREEN = """<video id=v style="position:fixed;width:50px;height:50px;right:0;top:0"></video><script>
settle({video: v.requestFullscreen(), page: document.documentElement.requestFullscreen()});
</script>"""
_STAYS = """<script>
show("#080");
if (location.search) told("gone");
addEventListener("beforeunload", (event) => { event.preventDefault(); event.returnValue = "stay"; });
if (!location.search) setTimeout(() => { location = "@SITE@/?gone"; }, 300);
</script>"""
_CLOSES = "<script>show('#080'); told('there'); setInterval(() => window.close(), 50)</script>"
_MEMORY = """<script>
const kept = [];
const take = () => { kept.push(new Uint8Array(32 << 20).fill(1)); setTimeout(take, 20); };
setTimeout(take, 300);
</script>"""
_THREADS = """<script>
const url = URL.createObjectURL(new Blob(["setInterval(() => 0, 1000)"])), kept = [];
setInterval(() => { for (let i = 0; i < 4; i++) kept.push(new Worker(url)); }, 50);
</script>"""
_HUGE = """<div id=h style="opacity:0"></div><script>
h.innerHTML = "<p><b>a</b><i>b</i></p>".repeat(15000);
show("#080");
requestAnimationFrame(() => requestAnimationFrame(() => told("there")));
</script>"""
_ATTACHED = Answer("x" * 1000, headers={"Content-Disposition": "attachment; filename=unwanted.bin"})
_POPPED = Answer("<script>new BroadcastChannel('popped').postMessage(1)</script>")

PAGES: tuple[Hostile, ...] = (
    Hostile("prompts", "asks for every permission", _PROMPTS, tells="nothing", shows=HELD, check=_undimmed),
    Hostile("dialogs", "alerts and prints for ever", _DIALOGS, tells="there", shows=HELD, seconds=1.0, check=_undimmed),
    Hostile("pop-ups", "opens others", _POPUPS, more={"popped": _POPPED}, tells="nothing", shows=HELD, check=_undimmed),
    Hostile(
        "outwards",
        "downloads, opens other programs and files",
        _OUTWARDS,
        more={"attached": _ATTACHED},
        tells="there",
        shows=HELD,
        seconds=1.0,
        check=_undimmed,
    ),
    Hostile("fullscreen", "wants the whole screen", _FULLSCREEN, tells="nothing", shows=HELD, check=_undimmed),
    Hostile("stays", "asks before it goes on", _STAYS, tells="gone", shows=HELD, check=_undimmed),
    Hostile("closes", "closes itself", _CLOSES, tells="there", shows=HELD),
    Hostile("huge", "has 45 000 elements", _HUGE, tells="there", shows=HELD, seconds=1.0),
    Hostile(
        "memory",
        "takes 4 GB and more",
        _MEMORY,
        web={"memory_mb": 700, "replace_in_a_row": 0},
        seconds=40,
        fails=r"The page used more than 700 MB of memory and was ended\.",
        retryable=True,
    ),
    Hostile(
        "threads",
        "starts workers without end",
        _THREADS,
        web={"max_threads": 300, "replace_in_a_row": 0},
        seconds=60,
        # The last where who watches was held up: then the browser's user is given no more (twice as many).
        fails=r"The page (ran more than 300 threads and was ended|used more than 2500 MB of memory and was ended"
        r"|crashed in the browser)\.( 1 browser was replaced\.)?",
        retryable=True,
    ),
)
