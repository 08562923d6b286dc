"""From a task's payload to what the recorders are told."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from egress_ray.api.limits import PLACEHOLDERS
from egress_ray.api.models import RecordPayload
from egress_ray.recording.spec import prefix_of, to_spec
from egress_ray.tasks import State, Task
from recorders.spec import AudioSpec, Background, ChannelSpec, Limits, PageSpec, Region, VideoSpec

MEDIA = {
    "filename_pattern": "{date}/{channel}-{user}",
    "format": "mp4",
    "video": {"width": 640, "height": 360, "frameRate": 15, "bitrate": 300},
    "audio": {"sampleRate": 44100, "channels": 1, "bitrate": 64},
}


def task(**payload: Any) -> Task:
    at = datetime(2026, 1, 31, 23, 59, 58, tzinfo=UTC)
    return Task("my_app", "t1", "r1", "record", State.ENQUEUED, "start", at, {**MEDIA, **payload})


def test_a_channel() -> None:
    region = {"uid": "user1", "x": 2, "y": 4, "width": 100, "height": 50, "z": 3}
    given = task(layout="customized", channel="room:1", workerUid=42, users=["user1"], regions=[region])
    spec = to_spec(given, "a-secret-token", 3, Path("/data/t1"), Limits())
    assert spec.subject == ChannelSpec(
        "my_app",
        "room:1",
        42,
        "a-secret-token",
        ("user1",),
        "customized",
        (Region("user1", 2, 4, 100, 50, 3),),
        rejoining=True,
    )
    assert (spec.task_id, spec.folder, spec.attempt, spec.format) == ("t1", "/data/t1", 3, "mp4")
    assert spec.prefix == "20260131/room_1-all"
    assert (spec.video, spec.audio) == (VideoSpec(640, 360, 15, 300), AudioSpec(44100, 1, 64))
    assert "a-secret-token" not in repr(spec)


def test_what_a_picture_looks_like() -> None:
    def asked_for(**more: Any) -> ChannelSpec:
        payload = RecordPayload.model_validate({"layout": "spotlight", "channel": "room", "workerUid": 1, **more})
        stored = payload.model_dump(mode="json", exclude_none=True)  # as `egress_ray.api.tasks` does
        subject = to_spec(task(**stored), "a-secret-token", 1, Path("/d"), Limits()).subject
        assert isinstance(subject, ChannelSpec)
        return subject

    plain = asked_for()
    assert (plain.spotlight, plain.background, plain.labels) == ("order", Background("#000000", None), False)
    background = {"color": "#102030", "image": "office"}
    asked = asked_for(spotlight={"by": "speaker"}, background=background, labels=True)
    assert (asked.spotlight, asked.background, asked.labels) == ("speaker", Background("#102030", "office"), True)
    assert asked_for(background={}).background == Background()
    assert asked_for(background={"image": "office"}).background == Background("#000000", "office")


@pytest.mark.parametrize(("pattern", "prefix"), [("{user}/{date}", "{user}/20260131"), ("rec", "rec_{user}")])
def test_individual_recordings_have_a_place_for_the_user(pattern: str, prefix: str) -> None:
    given = task(layout="flat", mode="individual", channel="room", workerUid=1, filename_pattern=pattern)
    spec = to_spec(given, "a-secret-token", 1, Path("/d"), Limits())
    assert spec.prefix == prefix
    assert isinstance(spec.subject, ChannelSpec)
    assert spec.subject.mode == "individual"


def test_what_is_null_is_not_recorded() -> None:
    whole = task(layout="flat", channel="room", workerUid=1)
    for kind in ("video", "audio"):
        payload = {name: value for name, value in whole.payload.items() if name != kind}
        spec = to_spec(replace(whole, payload=payload), "a-secret-token", 1, Path("/d"), Limits())
        assert getattr(spec, kind) is None
        assert spec.video or spec.audio


def test_a_page() -> None:
    spec = to_spec(
        task(layout="freestyle", url="https://example.org/", webGL=True), None, 1, Path("/data/t1"), Limits()
    )
    assert spec.subject == PageSpec("https://example.org/", True)
    large = task(layout="freestyle", url="https://example.org/", scale=2)
    assert to_spec(large, None, 1, Path("/data/t1"), Limits()).subject == PageSpec("https://example.org/", scale=2.0)
    asked = task(layout="freestyle", url="https://example.org/", ready="signal", ready_timeout_in_s=5)
    subject = to_spec(asked, None, 1, Path("/data/t1"), Limits()).subject
    assert subject == PageSpec("https://example.org/", ready="signal", ready_timeout_s=5)
    assert spec.prefix == "20260131/page-all"


def test_limits_are_the_tasks_own_or_else_the_services() -> None:
    most = Limits(3600, 500, 60)
    asked = task(layout="flat", channel="room", workerUid=1, limits={"duration_in_s": 60.5})
    assert to_spec(asked, "a-secret-token", 1, Path("/d"), most).limits == Limits(60.5, 500, 60)
    silent_page = task(layout="freestyle", url="https://example.org/")
    assert to_spec(silent_page, None, 1, Path("/d"), most).limits == Limits(3600, 500, 60)


@pytest.mark.parametrize("name", PLACEHOLDERS)
def test_every_placeholder_that_is_accepted_is_filled_in(name: str) -> None:
    expanded = prefix_of(task(layout="flat", channel="room", filename_pattern=f"a{{{name}}}b"))
    assert "{" not in expanded
    assert len(expanded) > 2
