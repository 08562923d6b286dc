"""From a task's payload to the recorders' specification; pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from egress_ray.folders import store_path
from egress_ray.settings import StorageSettings
from egress_ray.tasks import Task
from recorders.log.files import USER
from recorders.spec import AudioSpec, Background, ChannelSpec, Limits, PageSpec, RecordingSpec, Region, VideoSpec
from recorders.storage.place import Place

LOCAL_REGION = "local"


def to_spec(
    task: Task,
    token: str | None,
    attempt: int,
    folder: Path,
    most: Limits,
    *,
    epoch: float | None = None,
    standby: bool = False,
) -> RecordingSpec:
    """The specification of one attempt at a task; payload keys are those of the REST API. `most` is what holds where
    the task asks for nothing."""
    payload = task.payload
    video, audio, asked = payload.get("video"), payload.get("audio"), payload.get("limits", {})
    return RecordingSpec(
        task_id=task.task_id,
        folder=str(folder),
        subject=_page(task) if payload["layout"] == "freestyle" else _channel(task, token or "", attempt),
        prefix=prefix_of(task),
        attempt=attempt,
        format=payload["format"],
        video=VideoSpec(video["width"], video["height"], video["frameRate"], video["bitrate"]) if video else None,
        audio=AudioSpec(audio["sampleRate"], audio["channels"], audio["bitrate"]) if audio else None,
        epoch=epoch,
        standby=standby,
        limits=Limits(
            asked.get("duration_in_s", most.duration_s),
            asked.get("size_in_mb", most.size_mb),
            asked.get("idle_in_s", most.idle_s),
        ),
    )


def place_of(task: Task, storage: StorageSettings, prefix: str) -> Place | None:
    """Where a task's files belong: in the service's store, or in the bucket of it that the task names."""
    if storage.url is None:
        return None
    asked = task.payload.get("storage", {})
    url = in_bucket(storage.url, asked["bucket"]) if "bucket" in asked else storage.url
    return Place(url, store_path(asked.get("prefix", ""), task.app_id, task.task_id), prefix, task.payload["format"])


def in_bucket(url: str, bucket: str) -> str:
    """The URL of another bucket (Azure: container) of the same store."""
    parts = urlsplit(url)
    return f"az://{parts.netloc}/{bucket}" if parts.scheme == "az" else f"{parts.scheme}://{bucket}"


def _page(task: Task) -> PageSpec:
    payload = task.payload
    web_gl, scale, ready = bool(payload.get("webGL")), float(payload.get("scale") or 1), payload.get("ready", "load")
    return PageSpec(payload["url"], web_gl, ready, payload.get("ready_timeout_in_s"), scale)


def _channel(task: Task, token: str, attempt: int) -> ChannelSpec:
    payload = task.payload
    regions = payload.get("regions") or ()
    return ChannelSpec(
        app_id=task.app_id,
        channel=payload["channel"],
        worker_uid=payload["workerUid"],
        access_token=token,
        users=tuple(payload.get("users") or ()),
        layout=payload["layout"],
        regions=tuple(Region(r["uid"], r["x"], r["y"], r["width"], r["height"], r.get("z", 0)) for r in regions),
        spotlight=payload.get("spotlight", {}).get("by", "order"),
        background=Background(**payload.get("background", {})),
        labels=bool(payload.get("labels")),
        rejoining=attempt > 1,
        mode=payload.get("mode", "composite"),
    )


def prefix_of(task: Task) -> str:
    """How the names of a task's files begin; the same for every attempt at it."""
    return expand(task.payload["filename_pattern"], task.payload, task.app_id, task.task_id, task.created_at)


def expand(pattern: str, payload: Mapping[str, Any], app_id: str, task_id: str, created_at: datetime) -> str:
    """A file name pattern with its placeholders filled in.

    `{date}` and `{time}` are the task's creation in UTC (20260131, 235959); `{user}` is "all" in a composite, and stays
    where each user has files of its own: at the end, if it is not in the pattern.
    """
    user = "all"
    if payload.get("mode") == "individual":
        user, pattern = USER, pattern if USER in pattern else f"{pattern}_{USER}"
    values = {
        "date": created_at.strftime("%Y%m%d"),
        "time": created_at.strftime("%H%M%S"),
        "region": LOCAL_REGION,
        "task_id": task_id,
        "channel": str(payload.get("channel") or "page").replace(":", "_"),
        "user": user,
        "app_id": app_id,
    }
    for name, value in values.items():
        pattern = pattern.replace("{" + name + "}", value)
    return pattern
