"""Rules between the fields of a payload, which no single field's type can tell; pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from fnmatch import fnmatchcase

from egress_ray.api.limits import NOT_YET, path_problem
from egress_ray.api.models import ErrorDetail, LimitsModel, RecordPayload, StartRequest
from egress_ray.recording.spec import expand
from egress_ray.settings import LimitSettings, Settings, StorageSettings
from recorders.config import WebConfig
from recorders.formats import codecs_of
from recorders.individual.keys import LONGEST_KEY
from recorders.log.files import USER
from recorders.web.addresses import Rules
from recorders.web.hosts import host_allowed, host_of

_CHANNEL_FIELDS = ("channel", "access_token", "workerUid")
_PAGE_FIELDS = ("url", "webGL", "scale", "ready", "ready_timeout_in_s")
# As long as they come.
_A_TASK, _A_USER = "0" * 16, "u" * LONGEST_KEY
_PICTURE_FIELDS = ("users", "regions", "spotlight", "background", "labels")


def problems(app_id: str, request: StartRequest, settings: Settings) -> list[ErrorDetail]:
    """Everything that is wrong with an app's well-formed start; empty when nothing is."""
    if request.cmd in NOT_YET:
        return [ErrorDetail(field="cmd", message=f"{request.cmd} is not supported yet")]
    found = list(
        _page(request.payload, settings.web)
        if request.payload.layout == "freestyle"
        else _channel(request.payload, settings.native.backgrounds)
    )
    if request.payload.interval_in_ms is not None:
        found.append(("interval_in_ms", "goes with cmd snapshot only"))
    found += _file_names(app_id, request.payload)
    found += _tracks(request.payload)
    found += _limits(request.payload, settings.limits)
    found += _storage(request.payload, settings.storage)
    return [ErrorDetail(field=f"payload.{field}", message=message) for field, message in found]


def _file_names(app_id: str, payload: RecordPayload) -> Iterator[tuple[str, str]]:
    """What is filled in may make of a good pattern a path that is none."""
    filled = expand(payload.filename_pattern, payload.model_dump(), app_id, _A_TASK, datetime.now(UTC))
    problem = path_problem(filled.replace(USER, _A_USER))
    if problem is not None:
        yield "filename_pattern", f"{problem}, as it does with this channel and app"


def _tracks(payload: RecordPayload) -> Iterator[tuple[str, str]]:
    if payload.audio is None and payload.video is None:
        yield "audio", "must not be null when video is, too: nothing would be recorded"
    elif payload.audio is None and codecs_of(payload.format).video is None:
        yield "audio", f"must not be null when format is {payload.format}, which holds nothing but sound"


def _limits(payload: RecordPayload, most: LimitSettings) -> Iterator[tuple[str, str]]:
    asked = payload.limits or LimitsModel()
    for field, wanted, allowed in (
        ("duration_in_s", asked.duration_in_s, most.duration_s),
        ("size_in_mb", asked.size_in_mb, most.size_mb),
        ("idle_in_s", asked.idle_in_s, most.idle_s),
    ):
        if wanted is not None and allowed is not None and wanted > allowed:
            yield f"limits.{field}", f"is more than the {allowed:g} that this service allows"


def _storage(payload: RecordPayload, settings: StorageSettings) -> Iterator[tuple[str, str]]:
    asked = payload.storage
    if asked is None:
        return
    if settings.url is None:
        yield "storage", "needs an object store, and this service has none"
    elif asked.bucket is not None and not any(fnmatchcase(asked.bucket, each) for each in settings.buckets):
        yield "storage.bucket", "is not one that this service may write to"


def _page(payload: RecordPayload, web: WebConfig) -> Iterator[tuple[str, str]]:
    if payload.url is None:
        yield "url", "is required when layout is freestyle"
    elif not host_allowed(payload.url, web.allowed_hosts):
        yield "url", "names a host that this service may not record"
    elif (host := host_of(payload.url)) and (reason := Rules.of(web).against_literal(*host)) is not None:
        yield "url", f"names a host that pages may not reach: {reason}"
    if payload.ready_timeout_in_s is not None:
        if payload.ready != "signal":
            yield "ready_timeout_in_s", "goes with ready signal only"
        elif payload.ready_timeout_in_s > web.ready_timeout_s:
            yield "ready_timeout_in_s", f"is more than the {web.ready_timeout_s:g} that this service allows"
    for field in (*_CHANNEL_FIELDS, *_PICTURE_FIELDS):
        if getattr(payload, field) is not None:
            yield field, "does not go with layout freestyle"
    yield from _scale(payload)
    if payload.mode == "individual":
        yield "mode", "must be composite when layout is freestyle"


def _scale(payload: RecordPayload) -> Iterator[tuple[str, str]]:
    """A page of whole pixels is wanted."""
    video, scale = payload.video, payload.scale
    if video is not None and scale is not None:
        width, height = video.width / scale, video.height / scale
        if not (width.is_integer() and height.is_integer()):
            yield "scale", f"must divide {video.width}x{video.height} into whole pixels, not {width:.2f}x{height:.2f}"


def _channel(payload: RecordPayload, backgrounds: Collection[str]) -> Iterator[tuple[str, str]]:
    for field in _CHANNEL_FIELDS:
        if getattr(payload, field) is None:
            yield field, f"is required when layout is {payload.layout}"
    for field in _PAGE_FIELDS:
        if getattr(payload, field) is not None:
            yield field, "goes with layout freestyle only"
    if payload.mode == "individual" and payload.layout != "flat":
        yield "layout", "goes with mode composite only"
    if payload.layout == "customized":
        yield from _regions(payload)
    elif payload.regions is not None:
        yield "regions", "goes with layout customized only"
    if payload.spotlight is not None and payload.layout != "spotlight":
        yield "spotlight", "goes with layout spotlight only"
    image = payload.background.image if payload.background is not None else None
    if image is not None and image not in backgrounds:
        known = f"it has {', '.join(sorted(backgrounds))}" if backgrounds else "it has none"
        yield "background.image", f"is not among the pictures of this service: {known}"


def _regions(payload: RecordPayload) -> Iterator[tuple[str, str]]:
    if payload.regions is None:
        yield "regions", "is required when layout is customized"
        return
    if payload.video is None:
        return
    for number, region in enumerate(payload.regions):
        if region.x + region.width > payload.video.width or region.y + region.height > payload.video.height:
            yield f"regions.{number}", f"reaches beyond the canvas of {payload.video.width}x{payload.video.height}"
