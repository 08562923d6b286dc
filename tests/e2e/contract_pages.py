"""Pages that keep to the contract, or break it; for `tests.e2e.web_pages.serve_pages`."""

from __future__ import annotations

_PAGE = "<!doctype html><meta charset=utf-8><body style='margin:0;background:{colour}'>{body}"
_TASK = """<script>
const { task, state } = window.egress;
const told = { ...task, state, frozen: Object.isFrozen(task) && Object.isFrozen(egress) };
document.title = JSON.stringify(told);
const box = (colour) => (document.body.style.background = colour);
egress.addEventListener("recording", () => box(egress.state === "recording" ? "#00c" : "#c00"));
</script>"""
# A page that is not ready before it says so, and a frame in it that has no say. What the page has changed meanwhile
# changes nothing in what it has to say.
_SIGNALS = """<iframe srcdoc="<script>console.log('START_RECORDING'); console.log('END_RECORDING');
  try {{ parent.frames; window.egress.stop() }} catch {{}}</script>" sandbox="allow-scripts"></iframe><script>
document.querySelector("iframe").style.display = "none";
Array.prototype.splice = Promise.prototype.then = () => "changed";
Object.prototype.then = (resolve) => resolve("changed");
window.Promise = window.Event = window.requestAnimationFrame = () => null;
setTimeout(() => {{ document.body.style.background = "#080"; {start}; }}, 1200);
egress.addEventListener("recording", () => setTimeout(() => {{ {stop} }}, 1000));
</script>"""
_TROUBLE = """<p style="font:40px sans-serif;color:#fff">In trouble<img src="/nothing.png?token=s3cret">
<script>
console.log("token=s3cret", "https://example.org/path?key=s3cret", {a: 1});
setInterval(() => { null.nothing; }, 100);
Promise.reject(new Error("nobody caught it"));
const wanted = [{ initDataTypes: ["cenc"], videoCapabilities: [{ contentType: 'video/mp4;codecs="avc1.42E01E"' }] }];
navigator.requestMediaKeySystemAccess("com.widevine.alpha", wanted).catch(() => {});
</script>"""

CONTRACT_PAGES = {
    "/task": _PAGE.format(colour="#c00", body=_TASK),
    "/console-signals": _PAGE.format(
        colour="#c00",
        body=_SIGNALS.format(start='console.log("START_RECORDING")', stop='console.log("END_RECORDING")'),
    ),
    "/egress-signals": _PAGE.format(colour="#c00", body=_SIGNALS.format(start="egress.start()", stop="egress.stop()")),
    "/ends-early": _PAGE.format(colour="#c00", body="<script>egress.stop()</script>"),
    "/trouble": _PAGE.format(colour="#046", body=_TROUBLE),
    "/blank": _PAGE.format(colour="#000", body=""),
    "/nearly-blank": _PAGE.format(colour="#000", body="<p style='position:fixed;bottom:0;color:#333;font:8px serif'>."),
}
