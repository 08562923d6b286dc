"""Bodies of the REST API as pydantic models: what a request may hold, and what a reply holds."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr
from pydantic_core import PydanticCustomError

from egress_ray.api import limits as documented
from egress_ray.tasks import State
from recorders.spec import Format, Layout, Mode, Ready, SpotlightBy


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


def _even(value: int) -> int:
    if value % 2:
        raise PydanticCustomError("odd", "must be even")
    return value


def _pattern(value: str) -> str:
    if (problem := documented.pattern_problem(value)) is not None:
        raise PydanticCustomError("filename_pattern", "{problem}", {"problem": problem})
    return value


def _sample_rate(value: int) -> int:
    if value not in documented.SAMPLE_RATES:
        rates = ", ".join(map(str, documented.SAMPLE_RATES))
        raise PydanticCustomError("sample_rate", "must be one of {rates}", {"rates": rates})
    return value


Side = Annotated[int, Field(ge=documented.SIDE[0], le=documented.SIDE[1]), AfterValidator(_even)]
RequestId = Annotated[
    str, Field(pattern=documented.REQUEST_ID, description="1 to 32 of 0-9a-zA-Z", examples=["m2d3k03l"])
]


class Video(_Request):
    """The picture: pixels, frames per second, kbit/s."""

    width: Side = 1280
    height: Side = 720
    frameRate: int = Field(30, ge=documented.FRAME_RATE[0], le=documented.FRAME_RATE[1])  # noqa: N815
    bitrate: int = Field(1000, ge=documented.VIDEO_KBPS[0], le=documented.VIDEO_KBPS[1], description="kbit/s")


class Audio(_Request):
    """The sound: Hz, channels, kbit/s."""

    sampleRate: Annotated[int, AfterValidator(_sample_rate)] = Field(  # noqa: N815
        48000, json_schema_extra={"enum": list(documented.SAMPLE_RATES)}
    )
    channels: int = Field(2, ge=1, le=2)
    bitrate: int = Field(128, ge=documented.AUDIO_KBPS[0], le=documented.AUDIO_KBPS[1], description="kbit/s")


class RegionModel(_Request):
    """A rectangle of the canvas for one user; even pixels, higher `z` covers lower."""

    uid: str = Field(pattern=documented.USER)
    x: Annotated[int, Field(ge=0, le=documented.SIDE[1]), AfterValidator(_even)]
    y: Annotated[int, Field(ge=0, le=documented.SIDE[1]), AfterValidator(_even)]
    width: Side
    height: Side
    z: int = Field(0, ge=-1000, le=1000)


class SpotlightModel(_Request):
    """Who is large in the layout of that name. A screen that is shared goes before either."""

    by: SpotlightBy = Field("order", description="order: the first of users; speaker: whoever speaks loudest")


class BackgroundModel(_Request):
    """What is seen where no picture is: beside pictures, between cells, in an empty channel."""

    color: str = Field("#000000", pattern=documented.COLOUR, description="#rrggbb")
    image: str | None = Field(
        None, pattern=documented.PICTURE, description="name of one of the service's pictures, which covers the canvas"
    )


class LimitsModel(_Request):
    """When a recording ends by itself, within what the service allows."""

    duration_in_s: float | None = Field(None, gt=0, description="ends as max_duration")
    size_in_mb: float | None = Field(None, gt=0, description="ends as max_size; 10^6 bytes of parts")
    idle_in_s: float | None = Field(
        None,
        gt=0,
        description="ends as idle when nobody is seen or heard, or a page is of one colour and silent, for so long",
    )


class StorageModel(_Request):
    """Where in the service's object store the files go."""

    bucket: str | None = Field(
        None, pattern=documented.BUCKET, description="another bucket (Azure: container), one that the service allows"
    )
    prefix: str | None = Field(
        None, pattern=documented.OBJECT_PREFIX, description="path in the bucket; app id and task id follow"
    )


class RecordPayload(_Request):
    """What to record. Which fields go together is checked by `egress_ray.api.rules`."""

    layout: Layout | Literal["freestyle"] = "flat"
    mode: Mode | None = Field(
        None, description="composite (default): all users in one picture; individual: a recording of each user"
    )
    channel: str | None = Field(None, pattern=documented.CHANNEL, description="required unless layout is freestyle")
    access_token: SecretStr | None = Field(
        None,
        min_length=documented.TOKEN_LENGTH[0],
        max_length=documented.TOKEN_LENGTH[1],
        description="required unless layout is freestyle; never given back",
    )
    workerUid: int | None = Field(  # noqa: N815
        None,
        ge=documented.WORKER_UID[0],
        le=documented.WORKER_UID[1],
        description="the uid the recorder joins under; required unless layout is freestyle",
    )
    users: list[Annotated[str, Field(pattern=documented.USER)]] | None = Field(
        None, max_length=documented.USERS, description="empty or absent: everyone, as they come and go"
    )
    url: str | None = Field(
        None, pattern=documented.URL, max_length=documented.URL_LENGTH, description="freestyle only, required there"
    )
    regions: list[RegionModel] | None = Field(
        None, min_length=1, max_length=documented.REGIONS, description="customized only, required there"
    )
    spotlight: SpotlightModel | None = Field(None, description="spotlight only: who is large")
    background: BackgroundModel | None = Field(
        None, description="what is seen where no picture is, by default black; not with layout freestyle"
    )
    labels: bool | None = Field(None, description="names on pictures; not with layout freestyle")
    interval_in_ms: int | None = Field(
        None, ge=documented.INTERVAL_MS[0], le=documented.INTERVAL_MS[1], description="snapshot only"
    )
    webGL: bool | None = Field(None, description="freestyle only: give the page WebGL, by software")  # noqa: N815
    scale: float | None = Field(
        None,
        ge=documented.SCALE[0],
        le=documented.SCALE[1],
        description="freestyle only: the page is laid out on the picture's size divided by this, and shown so much "
        "larger (devicePixelRatio); by default 1",
    )
    ready: Ready | None = Field(
        None,
        description="freestyle only, from when on; load (default): the page has loaded and painted; signal: it says so "
        "itself, by START_RECORDING on its console or by window.egress.start()",
    )
    ready_timeout_in_s: float | None = Field(
        None, gt=0, description="with ready signal only: FAILED when the page has not given its signal within this"
    )
    filename_pattern: Annotated[str, AfterValidator(_pattern)] = Field(
        "{task_id}",
        min_length=1,
        max_length=documented.PATTERN_LENGTH,
        description="may hold " + ", ".join(f"{{{name}}}" for name in documented.PLACEHOLDERS),
    )
    limits: LimitsModel | None = Field(None, description="when it ends by itself")
    storage: StorageModel | None = Field(None, description="where its files go; by default as the service is set up")
    format: Format = "hls"
    video: Video | None = Field(default_factory=Video, description="null: no pictures are recorded")
    audio: Audio | None = Field(default_factory=Audio, description="null: no sound is recorded")


_NATIVE_EXAMPLE: dict[str, Any] = {
    "request_id": "m2d3k03l",
    "cmd": "record",
    "payload": {
        "layout": "flat",
        "channel": "egress_test",
        "access_token": "007eJxt9VMp+//+i9SOE",
        "workerUid": 42,
        "users": ["user1", "user2"],
        "filename_pattern": "file_output",
        "format": "hls",
        "video": {"width": 1280, "height": 720, "frameRate": 30, "bitrate": 1000},
        "audio": {"sampleRate": 48000, "channels": 2, "bitrate": 128},
    },
}
_WEB_EXAMPLE: dict[str, Any] = {
    "request_id": "m2d3kw3l",
    "cmd": "record",
    "payload": {
        "layout": "freestyle",
        "url": "http://your_freestyle_canvas.good.example",
        "filename_pattern": "file_output",
        "webGL": False,
        "format": "hls",
        "video": {"width": 1280, "height": 720, "frameRate": 30, "bitrate": 1000},
        "audio": {"sampleRate": 48000, "channels": 2, "bitrate": 128},
    },
}


class StartRequest(_Request):
    """Start a task. `request_id` makes it idempotent within its app."""

    model_config = ConfigDict(
        extra="forbid", strict=True, json_schema_extra={"examples": [_NATIVE_EXAMPLE, _WEB_EXAMPLE]}
    )

    request_id: RequestId
    cmd: Literal["record", "snapshot", "rtmp", "whip"]
    payload: RecordPayload


class TaskRequest(_Request):
    """Ask for something about a task."""

    request_id: RequestId


class StartReply(BaseModel):
    """A task was accepted, or had been before."""

    request_id: str = Field(examples=["m2d3k03l"])
    task_id: str = Field(examples=["1ta5k3552"])
    status: str = Field(examples=["enqueued"])


class StopReply(BaseModel):
    """A stop was accepted (`enqueued`), or had nothing left to do (`completed`)."""

    request_id: str = Field(examples=["234drd3"])
    status: Literal["enqueued", "completed"]
    message: str = Field(examples=["Stop task enqueued for task 1ta5k3552"])


class StatusReply(BaseModel):
    """A task as it is. `payload` is the request's without its access token, with the `files` generated so far."""

    request_id: str = Field(examples=["1yu323k5"])
    task_id: str = Field(examples=["92347f6bdf0465b3"])
    state: State
    action: str = Field(description="the last command that changed the task: start or stop", examples=["start"])
    created_at: str = Field(examples=["2025-09-19T00:15:15Z"])
    error: str = Field(description="one sentence when FAILED")
    message: str
    reason: str = Field(description="when STOPPED: completed, user_stop, max_duration, max_size or idle")
    payload: dict[str, Any]


class ListReply(BaseModel):
    """Tasks, newest first; `cursor` asks for the next page, null at the end."""

    tasks: list[StatusReply]
    cursor: str | None


class ErrorDetail(BaseModel):
    """What is wrong with one field."""

    field: str = Field(examples=["payload.video.width"])
    message: str = Field(examples=["must be even"])


class ErrorReply(BaseModel):
    """Any error."""

    request_id: str = Field(description="as in the request, empty when it could not be read")
    error: str = Field(description="one clear sentence")
    code: str = Field(examples=["invalid_request"])
    details: list[ErrorDetail]
