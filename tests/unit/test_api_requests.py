"""What a request may hold: every documented limit as data, and any body at all."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from egress_ray.api.models import StartRequest
from tests.unit.api_client import TOKEN, Api, serving

_NUMBERS = itertools.count()
NATIVE: dict[str, Any] = {"channel": "demo", "access_token": TOKEN, "workerUid": 1}
WEB: dict[str, Any] = {"layout": "freestyle", "url": "https://www.example.org/"}
REGION: dict[str, Any] = {"uid": "user1", "x": 0, "y": 0, "width": 1280, "height": 720}
SPOTLIGHT: dict[str, Any] = {**NATIVE, "layout": "spotlight"}
CUSTOMIZED: dict[str, Any] = {**NATIVE, "layout": "customized", "regions": [REGION]}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    path: Path = tmp_path_factory.mktemp("api")
    with serving(path) as client:
        yield client


def changed(payload: dict[str, Any], field: str, value: Any) -> dict[str, Any]:
    """The payload with a field, by its path, at another value."""
    changed: Any = deepcopy(payload)
    at = changed
    *path, last = field.split(".")
    for name in path:
        at = at[int(name)] if name.isdigit() else at.setdefault(name, {})
    at[int(last) if last.isdigit() else last] = value
    return changed  # type: ignore[no-any-return]


LIMITS: list[tuple[dict[str, Any], str, list[Any], list[Any]]] = [
    (NATIVE, "layout", ["flat", "spotlight"], ["customized2", "FLAT", "", None, 1]),
    (NATIVE, "channel", ["a", "x" * 64, "a_-.:Z0"], ["", "x" * 65, "a b", "a/b", "\u00e4", 5]),
    (NATIVE, "access_token", ["x" * 10, "x" * 512], ["x" * 9, "x" * 513, "", 1234567890]),
    (NATIVE, "workerUid", [1, 999_999_999], [0, -1, 1_000_000_000, "1", 1.5, True]),
    (NATIVE, "users", [[], ["u" * 32], ["a"] * 32], [["u" * 33], [""], ["a b"], ["a"] * 33, "user1", [1]]),
    (NATIVE, "video.width", [2, 8192], [0, 3, 8194, -2, "2", 2.0]),
    (NATIVE, "video.height", [2, 8192], [1, 721, 8194, True]),
    (NATIVE, "video.frameRate", [1, 60], [0, 61, 29.97, "30"]),
    (NATIVE, "video.bitrate", [32, 50_000], [31, 0, 50_001]),
    (NATIVE, "audio.sampleRate", [8000, 44100, 48000], [0, 11_111, 96_000]),
    (NATIVE, "audio.channels", [1, 2], [0, 3]),
    (NATIVE, "audio.bitrate", [16, 512], [15, 513]),
    (NATIVE, "limits.duration_in_s", [1, 0.5, 86_400], [0, -1, "60", True]),
    (NATIVE, "limits.size_in_mb", [1, 0.5], [0, -1]),
    (NATIVE, "limits.idle_in_s", [1, 0.5], [0, -1]),
    (NATIVE, "mode", ["composite", "individual"], ["both", "", 1, ["individual"]]),
    (NATIVE, "video", [None, {}], [1, [], "none"]),
    (NATIVE, "audio", [None, {}], [1, [], "none"]),
    (NATIVE, "format", ["hls", "mp4", "webm", "m4a", "ogg"], ["avi", "HLS", "", None]),
    (
        NATIVE,
        "filename_pattern",
        ["a", "a/b", "{date}/{time}", "{channel}/{task_id}", "{date}-{time}_{region}{user}{app_id}", "\u00e4 b"],
        ["", "{nope}", "{", "}", "/a", "../a", "a/../b", "a//b", "a/", ".a", "a\nb", "a\x7f", "a\\b", "a" * 201],
    ),
    (
        WEB,
        "url",
        ["http://a.example", "https://a.example/" + "x" * 1000],
        ["ftp://a.example", "http://a b.example", ""],
    ),
    (WEB, "url", ["https://deep.er.example/?q=1#f"], ["https://a.example/" + "x" * 1010, "https://example.com/", 1]),
    (WEB, "webGL", [True, False], [1, "true"]),
    (WEB, "scale", [1, 2, 2.5, 4, None], [0, 0.5, 4.5, 1.5, "2", True]),
    (WEB, "ready", ["load", "signal"], ["START", "", 1, ["load"]]),
    ({**WEB, "ready": "signal"}, "ready_timeout_in_s", [1, 0.5, 60], [0, -1, 60.5, "30", True]),
    (WEB, "limits.idle_in_s", [1, 0.5], [0, -1]),
    (CUSTOMIZED, "regions", [[REGION] * 32], [[], [REGION] * 33, {}, None]),
    (CUSTOMIZED, "regions.0.x", [0], [1, 2, -2]),
    (CUSTOMIZED, "regions.0.width", [2, 1280], [0, 3, 1282]),
    (CUSTOMIZED, "regions.0.z", [-1000, 1000], [-1001, 1.5]),
    (SPOTLIGHT, "spotlight", [{}, {"by": "order"}, {"by": "speaker"}], [{"by": "x"}, {"by": None}, "speaker", []]),
    (NATIVE, "background", [{}, {"color": "#0aF9bb", "image": "office"}, None], ["#000000", {"colour": "#000000"}]),
    (NATIVE, "background.color", ["#000000", "#FFFFFF"], ["000000", "#fff", "red", "#00000g", "#000000\n", 0, None]),
    (
        NATIVE,
        "background.image",
        ["office", "beach"],
        [
            "nowhere",
            "office.png",
            "",
            "../office",
            "/etc/passwd",
            "http://169.254.169.254/",
            "data:image/png;base64,",
            1,
        ],
    ),
    (NATIVE, "labels", [True, False], [1, "true", []]),
]


@pytest.mark.parametrize(("payload", "field", "good", "bad"), LIMITS, ids=[each[1] for each in LIMITS])
def test_the_documented_limits(api: Api, payload: dict[str, Any], field: str, good: list[Any], bad: list[Any]) -> None:
    for value in good:
        reply = api.start(changed(payload, field, value), f"good{next(_NUMBERS)}")
        assert reply.status_code == 200, (value, reply.text)
    for value in bad:
        reply = api.start(changed(payload, field, value))
        assert reply.status_code == 400, value
        error = reply.json()
        assert error["request_id"] == "request1"
        assert error["code"] == "invalid_request"
        named = [detail["field"] for detail in error["details"]]
        # A whole item of a list may be what is wrong, and a missing one is told by its list.
        assert all(name.startswith(f"payload.{field}") or f"payload.{field}".startswith(name) for name in named), named
        assert named


@pytest.mark.parametrize(
    ("payload", "field"),
    [
        ({k: v for k, v in NATIVE.items() if k != "channel"}, "payload.channel"),
        ({k: v for k, v in NATIVE.items() if k != "access_token"}, "payload.access_token"),
        ({k: v for k, v in NATIVE.items() if k != "workerUid"}, "payload.workerUid"),
        ({"layout": "freestyle"}, "payload.url"),
        ({**NATIVE, "url": "https://a.example"}, "payload.url"),
        ({**NATIVE, "webGL": False}, "payload.webGL"),
        ({**NATIVE, "scale": 2}, "payload.scale"),
        ({**NATIVE, "ready": "load"}, "payload.ready"),
        ({**WEB, "ready_timeout_in_s": 5}, "payload.ready_timeout_in_s"),
        ({**WEB, "ready": "load", "ready_timeout_in_s": 5}, "payload.ready_timeout_in_s"),
        ({**NATIVE, "layout": "customized"}, "payload.regions"),
        ({**NATIVE, "regions": [REGION]}, "payload.regions"),
        ({**NATIVE, "interval_in_ms": 5000}, "payload.interval_in_ms"),
        ({**NATIVE, "channel": "..", "filename_pattern": "a/{channel}/{channel}/b"}, "payload.filename_pattern"),
        ({**NATIVE, "channel": ".a", "filename_pattern": "{channel}"}, "payload.filename_pattern"),
        ({**NATIVE, "channel": "a" * 64, "filename_pattern": "{channel}" * 4}, "payload.filename_pattern"),
        ({**NATIVE, "colour": "red"}, "payload.colour"),
        ({**NATIVE, "video": {"depth": 3}}, "payload.video.depth"),
        ({**NATIVE, "video": None, "audio": None}, "payload.audio"),
        ({**NATIVE, "format": "m4a", "audio": None}, "payload.audio"),
        ({**WEB, "format": "ogg", "audio": None}, "payload.audio"),
        ({**NATIVE, "mode": "individual", "layout": "spotlight"}, "payload.layout"),
        ({**CUSTOMIZED, "mode": "individual"}, "payload.layout"),
        ({**WEB, "mode": "individual"}, "payload.mode"),
        ({**WEB, "channel": "room"}, "payload.channel"),
        ({**NATIVE, "spotlight": {"by": "speaker"}}, "payload.spotlight"),
        ({**WEB, "users": []}, "payload.users"),
        ({**WEB, "spotlight": {}}, "payload.spotlight"),
        ({**WEB, "background": {}}, "payload.background"),
        ({**WEB, "labels": False}, "payload.labels"),
        ({**WEB, "access_token": TOKEN}, "payload.access_token"),
    ],
)
def test_fields_that_are_needed_or_do_not_go_together(api: Api, payload: dict[str, Any], field: str) -> None:
    reply = api.start(payload)
    assert reply.status_code == 400
    assert [detail["field"] for detail in reply.json()["details"]] == [field]
    assert TOKEN not in reply.text


def test_a_scale_that_leaves_no_whole_pixels(api: Api) -> None:
    (detail,) = api.start({**WEB, "scale": 1.5}).json()["details"]
    assert detail["message"] == "must divide 1280x720 into whole pixels, not 853.33x480.00"
    large = {"width": 1920, "height": 1080}
    assert api.start({**WEB, "scale": 1.5, "video": large}, "scaled1").status_code == 200


def test_a_picture_that_is_not_among_the_services(api: Api) -> None:
    (detail,) = api.start({**NATIVE, "background": {"image": "moon"}}).json()["details"]
    assert detail["field"] == "payload.background.image"
    assert detail["message"] == "is not among the pictures of this service: it has beach, office"


@pytest.mark.parametrize("cmd", ["snapshot", "rtmp", "whip", "update", "Record", "", None])
def test_commands_that_are_not_supported_yet(api: Api, cmd: Any) -> None:
    reply = api.start(NATIVE, cmd=cmd)
    assert reply.status_code == 400
    (detail,) = reply.json()["details"]
    assert detail["field"] == "cmd"
    if cmd in ("snapshot", "rtmp", "whip"):
        assert detail["message"] == f"{cmd} is not supported yet"


@pytest.mark.parametrize("request_id", ["", "a" * 33, "a-b", "\u00e4", 5, None])
def test_a_request_id_that_is_none(api: Api, request_id: Any) -> None:
    for path in ("", "/task1/stop", "/task1/status"):
        body = {"request_id": request_id, **({} if path else {"cmd": "record", "payload": NATIVE})}
        reply = api.post(path, body)
        assert reply.status_code == 400
        assert reply.json()["request_id"] == ""
        assert reply.json()["details"][0]["field"] == "request_id"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
FIELDS = st.sampled_from(
    [*StartRequest.model_fields, "payload.video", "payload.users", "payload.regions", "payload.url"]
)


@settings(max_examples=150)
@given(FIELDS, JSON, st.sampled_from([NATIVE, WEB, CUSTOMIZED]))
def test_any_value_in_any_field_is_accepted_or_refused_by_name(
    api: Api, field: str, value: Any, payload: dict[str, Any]
) -> None:
    body = changed({"request_id": "request2", "cmd": "record", "payload": payload}, field, value)
    try:
        reply = api.post("", body)
    except ValueError:  # not JSON: NaN, infinity, a lone surrogate
        return
    assert reply.status_code in (200, 400, 409), reply.text
    if reply.status_code == 400:
        assert reply.json()["details"]
        assert all(detail["field"] for detail in reply.json()["details"])


@settings(max_examples=60)
@given(st.binary(max_size=200) | JSON.map(lambda value: repr(value).encode(errors="replace")))
def test_bytes_that_are_no_request(api: Api, body: bytes) -> None:
    reply = api.http.post("/egress/v1/app/tasks", content=body)
    assert reply.status_code == 400
    assert all(detail["field"] for detail in reply.json()["details"])


def test_a_body_over_the_limit(api: Api) -> None:
    reply = api.start({**NATIVE, "filename_pattern": "x" * 70_000})
    assert (reply.status_code, reply.json()["code"]) == (413, "body_too_large")
