"""Watching a recording while it is made, and publishing into it, over HTTP."""

from __future__ import annotations

import time

import m3u8  # type: ignore[import-untyped]

from tests.cluster.service import CERTIFIED, App, native, until
from tests.e2e.publish import publishing
from tests.oracle.analyse import analyse
from tests.oracle.clips import cached_clips
from tests.oracle.hls import probe_quiet, validate
from tests.unit.agora_tokens import CERTIFICATE, Making, rtc


def test_the_playlist_is_live_while_recording_and_complete_afterwards(app: App) -> None:
    task = app.record(native(format="mp4"), parts=2)
    url = app.file(task, "out.m3u8")
    live = app.service.http.get(url)
    assert live.headers["content-type"].startswith("application/vnd.apple.mpegurl")
    assert live.headers["cache-control"] == "no-cache"
    parsed = m3u8.loads(live.text)
    assert not parsed.is_endlist
    assert parsed.playlist_type == "event"
    assert len(parsed.segments) >= 2
    assert all(segment.program_date_time for segment in parsed.segments)
    for uri in (parsed.segments[0].uri, parsed.segments[0].init_section.uri):
        part = app.service.http.get(app.file(task, uri), headers={"Range": "bytes=0-7"})
        assert (part.status_code, len(part.content)) == (206, 8)
    app.stop(task)
    done = app.wait(task, "STOPPED")
    assert done["payload"]["files"] == ["out.m3u8", "out.mp4", "out.json"]
    assert m3u8.loads(app.service.http.get(url).text).is_endlist
    assert validate(app.folder(task) / "out.m3u8") == []
    assert probe_quiet(url) == ""
    assert probe_quiet(app.file(task, "out.mp4")) == ""
    data = (app.folder(task) / "out.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def test_two_publishers_push_into_the_recording_by_whip(app: App) -> None:
    """One with the recording's access token, one with a token of its own; the app has a certificate."""
    assert app.name == CERTIFIED
    channel, now = "room.1:a", int(time.time())

    def signed(uid: str, *privileges: int) -> str:
        service = rtc(channel, uid, [(privilege, 600) for privilege in privileges])
        return str(Making((service,), app.name, CERTIFICATE, now))

    url = f"{app.service.http.base_url}/egress/v1/{app.name}/channels/{channel}/whip"
    offer = {
        "content": "v=0\r\n",
        "headers": {"Content-Type": "application/sdp", "Authorization": "Bearer wrong-token"},
    }
    assert app.service.http.post(f"{url}/user1", **offer).status_code == 404  # type: ignore[arg-type]
    payload = native(channel, users=["user1", "user2"], video={"width": 640, "height": 360, "frameRate": 30})
    refused = app.post("", {"request_id": "forged", "cmd": "record", "payload": payload})
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    payload["access_token"] = signed("7", 1)
    task = app.start(payload)
    app.wait(task, "PROCESSING")
    assert app.service.http.post(f"{url}/user1", **offer).status_code == 403  # type: ignore[arg-type]
    one, other = cached_clips(2)
    token = payload["access_token"]
    own = signed("user2", 1, 2, 3)
    with publishing(f"{url}/user1", token, one, 0.2), publishing(f"{url}/user2", own, other, 0.2):
        until(lambda: len(list(app.folder(task).glob("*.m4s"))) >= 8, 30, lambda: str(app.status(task)))
        app.stop(task)
        app.wait(task, "STOPPED")
    report = analyse(app.folder(task) / "out.m3u8", users=("user1", "user2"))
    # When they come, and how steady they are beside other tests, is not the matter here.
    both = {"user1", "user2"}
    together = [second for second in report.seconds if both == set(second.seen) and both == set(second.heard)]
    assert len(together) >= 3, str(report)
    assert all(abs(report.users[user].offset_median) <= 60 for user in ("user1", "user2")), str(report)
