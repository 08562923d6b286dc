"""How recorders do their work on this installation: settings shared by all recordings.

The service's settings (`docs/settings.md`) have the same sections; they are kept here so that the
recorders run without the service.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

X264Preset = Literal["ultrafast", "superfast", "veryfast", "faster", "fast", "medium"]
SourceName = Literal["whip", "janus", "media", "demo"]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LogConfig(_Section):
    """The segment log."""

    part_seconds: float = Field(2.0, ge=0.5, le=10, description="Length of one part; each starts with a keyframe.")


class EncoderConfig(_Section):
    """H.264 by libx264, for everything that is encoded by us."""

    preset: X264Preset = Field("veryfast", description="x264 preset; slower ones cost CPU and give little.")
    zerolatency: bool = Field(True, description="x264 tune=zerolatency: a fifth less CPU, slightly less quality.")
    threads: int = Field(1, ge=1, le=16, description="Encoder threads of one recording.")


class SourceRule(_Section):
    """Which source serves the channels that match; shell patterns, case-sensitive."""

    app_id: str = Field("*", description="Pattern on the app id.")
    channel: str = Field("*", description="Pattern on the channel.")
    source: SourceName = Field(description="The source that serves them.")


class WhipConfig(_Section):
    """The embedded back end: publishers push by WHIP (RFC 9725), the recorder is the peer."""

    ice_address: str | None = Field(
        None,
        description="The one local address offered for ICE, e.g. 127.0.0.1; by default every non-loopback address.",
    )
    stun_url: str | None = Field(None, description="STUN server, e.g. stun:stun.example.org:3478; none by default.")
    max_publishers: int = Field(32, ge=1, le=64, description="Publishers at once in one recording.")


class JanusConfig(_Section):
    """A Janus server's VideoRoom plugin; room = channel, pin (or an allowed token) = access token."""

    url: str = Field("ws://127.0.0.1:8188", description="WebSocket API of the Janus server.")
    api_secret: SecretStr | None = Field(None, description="Janus' API secret, when it asks for one.")
    token: SecretStr | None = Field(None, description="A token, when Janus asks for one (token_auth).")
    ice_address: str | None = Field(None, description="The one local address offered for ICE; by default all.")
    stun_url: str | None = Field(None, description="STUN server, e.g. stun:stun.example.org:3478; none by default.")
    turn_url: str | None = Field(None, description="TURN server, e.g. turn:turn.example.org:3478; none by default.")
    turn_username: str | None = Field(None, description="User name at the TURN server.")
    turn_credential: SecretStr | None = Field(None, description="Password at the TURN server.")
    connect_timeout_s: float = Field(5.0, gt=0, description="Time to connect, join and get the first answer.")
    return_timeout_s: float = Field(
        60.0, ge=0, description="How long a recording waits for a Janus server that has gone away, before it is lost."
    )


class MediaConfig(_Section):
    """Participants that are media URLs (file, RTSP, RTMP, HTTP), read by FFmpeg."""

    urls: dict[str, dict[str, str]] = Field(
        default_factory=dict, description="Per channel, the URL of each user: {channel: {user: url}}."
    )
    open_timeout_s: float = Field(10.0, gt=0, description="Time for a URL to open.")
    loop: bool = Field(False, description="Start a file again when it ends.")


class SourcesConfig(_Section):
    """Where participants come from."""

    rules: tuple[SourceRule, ...] = Field(
        (
            SourceRule(channel="egress_test", source="demo"),
            SourceRule(channel="demo*", source="demo"),
            SourceRule(source="whip"),
        ),
        description="The first rule that matches a channel names its source.",
    )
    whip: WhipConfig = WhipConfig()
    janus: JanusConfig = JanusConfig()
    media: MediaConfig = MediaConfig()


class NativeConfig(_Section):
    """Composited channels."""

    playout_delay_ms: int = Field(
        300, ge=0, le=2000, description="How far behind capture the output runs, so that late packets still count."
    )
    absent_after_s: float = Field(
        3.0, gt=0, description="A participant whose picture stands still this long is shown as a tile."
    )


class WebConfig(_Section):
    """Pages in a browser."""

    chromium_path: str | None = Field(
        None, description="The browser; by default playwright's own if installed, else chromium on the PATH."
    )
    load_timeout_s: float = Field(15.0, gt=0, description="Time for a page to answer and load.")
    launch_timeout_s: float = Field(15.0, gt=0, description="Time for the browser to start and capture.")
    allowed_hosts: tuple[str, ...] = Field(
        ("*",), description="Host patterns that a page's URL may name; others are refused with a 400."
    )
    sandbox: bool = Field(False, description="Chromium's own sandbox; needs a non-root user and user namespaces.")


class RecorderConfig(_Section):
    """Everything a recorder needs to know besides its specification."""

    log: LogConfig = LogConfig()
    encoder: EncoderConfig = EncoderConfig()
    sources: SourcesConfig = SourcesConfig()
    native: NativeConfig = NativeConfig()
    web: WebConfig = WebConfig()
