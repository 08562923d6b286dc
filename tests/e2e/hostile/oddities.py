"""Pages that are odd, broken or in trouble, and what their notes tell of it."""

from __future__ import annotations

import json
from typing import Any

import av
import numpy as np

from tests.e2e.hostile.entry import HELD, TRYING, Answer, Hostile, Seen

_SHOWN = "<script>show('#080')</script>"
_FRAME_SOUND = """<iframe srcdoc="<script>
const context = new AudioContext(), tone = context.createOscillator();
tone.connect(context.destination); tone.start();
</script>" style="position:absolute;left:0;top:0;width:20px;height:20px;border:0"></iframe>"""
_FRAME_SIGNALS = """<iframe sandbox=allow-scripts src="@SITE@/frame" style="display:none"></iframe>"""
_SIGNALS = """<script>
for (const line of ["START_RECORDING", "END_RECORDING"]) console.log(line);
for (const at of [window, parent]) for (const name of ["egress", "__egressRay", "__playwright__binding__"])
  for (const way of ["stop", "note", "call"]) try { at[name][way]("stop"); } catch {}
try { window.__playwright__binding__("stop"); } catch {}
fetch("@SITE@/told", {method: "POST", mode: "no-cors", body: "signalled"});
</script>"""
_NAVIGATES = """<script>
show("#080");
const times = Number(location.hash.slice(1) || 0) + 1;
if (times === 4) told("four times");
setTimeout(() => { location.href = `@SITE@/?${times}#${times}`; }, 400);
</script>"""
_SHOUTS = """<script>
show("#080");
setInterval(() => {
  for (let n = 0; n < 20; n++) console.log("line", n, { n }, document.body);
  Promise.reject(new Error("nobody catches this"));
  window.nothing.at.all;
}, 10);
setTimeout(() => told("shouted"), 1500);
</script>"""
_WEB_GL = """<canvas id=c style="position:absolute;inset:0;width:100%;height:100%"></canvas><script>
const gl = document.getElementById("c").getContext("webgl");
gl.clearColor(0, 8 / 15, 0, 1);
gl.clear(gl.COLOR_BUFFER_BIT);
</script>"""
_CANVAS = """<canvas id=c style="display:block"></canvas><script>
const canvas = document.getElementById("c"), x = canvas.getContext("2d");
let times = 0;
const paint = () => {
  Object.assign(canvas, { width: innerWidth, height: innerHeight });
  x.fillStyle = "#080"; x.fillRect(0, 0, canvas.width, canvas.height);
  x.fillStyle = "#fff"; x.fillRect((times++ * 3) % canvas.width, 0, 20, 20);
  requestAnimationFrame(paint);
};
paint();
</script>"""
_SCRIPTS = (
    "<div style='color:#fff;font-size:24px'>\u6f22\u5b57 \u304b\u306a \ud55c\uae00 "
    "\U0001f600 \U0001f468\u200d\U0001f469\u200d\U0001f467</div>"
)


def report(seen: Seen) -> dict[str, Any]:
    """What its recorder noted of the page."""
    found: dict[str, Any] = json.loads((seen.folder / "recording_1_report.json").read_text())
    return found


def _failed_with_notes(seen: Seen) -> None:
    assert report(seen)["error"] == str(seen.error)
    assert (seen.folder / "recording_1_screenshot.jpg").stat().st_size > 500


def _is_heard(seen: Seen) -> None:
    with av.open(str(seen.folder / "recording.m3u8")) as container:
        blocks = [np.abs(frame.to_ndarray()).max() for frame in container.decode(audio=0)]
    assert max(blocks) > 0.5


def _has_navigated(seen: Seen) -> None:
    assert seen.progress.counters["navigations"] >= 4


def _is_reported(seen: Seen) -> None:
    found = report(seen)
    assert found["counters"]["page_exceptions"] > len(found["exceptions"])
    assert len(json.dumps(found)) < 20_000


PAGES: tuple[Hostile, ...] = (
    Hostile(
        "not-found",
        "is not there",
        more={"": Answer("<h1>Nothing here</h1>", 404)},
        fails=r"The page answered HTTP 404 \(Not Found\)\.",
        check=_failed_with_notes,
    ),
    Hostile(
        "self-signed",
        "has a certificate that nobody vouches for",
        url="@TLS@/",
        fails=r"The page's certificate or TLS is not valid \(ERR_CERT_\w+\)\.",
        check=_failed_with_notes,
    ),
    Hostile(
        "never-answers",
        "does not answer",
        more={"": Answer(after=60)},
        fails=r"The page did not answer within 2 s\.",
        retryable=True,
        web={"load_timeout_s": 2.0},
    ),
    Hostile(
        "never-loads",
        "has a picture that does not come",
        f"{_SHOWN}<img src=never>",
        more={"never": Answer(after=60)},
        shows=HELD,
        web={"load_timeout_s": 2.0},
    ),
    Hostile(
        "loops",
        "does nothing but run in a circle",
        "<script>show('#080'); setTimeout(() => { for (;;); }, 300)</script>",
        shows=HELD,
        seconds=2.0,
    ),
    Hostile("blank", "is empty", "", shows=TRYING),
    Hostile("static", "stands still", f"{_SHOWN}<h1>Here</h1>", shows=HELD),
    Hostile(
        "changes-its-title",
        "has another title all the time",
        "<script>show('#080'); setInterval(() => { document.title = `under record ${Math.random()}`; }, 20)</script>",
        shows=HELD,
    ),
    Hostile(
        "navigates",
        "goes on to another address again and again",
        _NAVIGATES,
        tells="four times",
        shows=HELD,
        check=_has_navigated,
    ),
    Hostile("writes", "is written in Chinese, Japanese, Korean and pictures", _SHOWN + _SCRIPTS, shows=HELD),
    Hostile(
        "dark",
        "leaves its background to the browser, and asks for a dark one",
        "<script>show('transparent'); document.documentElement.style.colorScheme = 'dark'</script>",
        shows=(18, 18, 18),
    ),
    Hostile("frame-sounds", "has a frame that is heard", _SHOWN + _FRAME_SOUND, shows=HELD, seconds=2, check=_is_heard),
    Hostile(
        "frame-signals",
        "has a frame that wants to end the recording",
        _SHOWN + _FRAME_SIGNALS,
        more={"frame": Answer(_SIGNALS)},
        tells="signalled",
        shows=HELD,
    ),
    Hostile("web-gl", "draws with WebGL", _WEB_GL, web_gl=True, shows=HELD),
    Hostile("canvas", "paints a canvas as often as it can", _CANVAS, shows=HELD),
    Hostile(
        "shouts",
        "fills its console, and throws, all the time",
        _SHOUTS,
        tells="shouted",
        shows=HELD,
        check=_is_reported,
    ),
)
