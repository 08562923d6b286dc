"""How recorders do their work on this installation: settings shared by all recordings.

The service's settings (`docs/settings.md`) have the same sections; they are kept here so that the
recorders run without the service.
"""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from string import Formatter
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
    model_validator,
)

Quality = Literal["economy", "balanced", "best"]
SourceName = Literal["whip", "whep", "janus", "livekit", "agora", "media", "demo"]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _without_credentials(url: str) -> str:
    if "@" in urlsplit(url).netloc:
        raise ValueError("must hold no user and password")
    return url


class LogConfig(_Section):
    """The segment log."""

    part_seconds: float = Field(2.0, ge=0.5, le=10, description="Length of one part; each starts with a keyframe.")


class EncoderConfig(_Section):
    """H.264 by libx264, for everything that is encoded by us."""

    quality: Quality = Field(
        "balanced",
        description="What pictures are worth at their bitrate: decision 22 has what each of the three costs and gives.",
    )
    zerolatency: bool = Field(True, description="x264 tune=zerolatency: a fifth less CPU, slightly less quality.")
    threads: int = Field(1, ge=1, le=16, description="Encoder threads of one recording.")


class SourceRule(_Section):
    """Which source serves the channels that match; shell patterns, case-sensitive."""

    app_id: str = Field("*", description="Pattern on the app id.")
    channel: str = Field("*", description="Pattern on the channel.")
    source: SourceName = Field(description="The source that serves them.")


class IceConfig(_Section):
    """Where a recorder can be reached by WebRTC; one UDP port for each participant."""

    ice_address: str | None = Field(
        None,
        description="The one local address offered for ICE, e.g. 127.0.0.1; by default every non-loopback address.",
    )
    udp_ports: tuple[int, int] | None = Field(
        None, description="First and last local UDP port, e.g. [50000, 50999]; by default the system's choice."
    )
    public_address: str | None = Field(
        None, description="Address by which this node is reached from outside, where a 1:1 NAT keeps ports."
    )
    stun_url: str | None = Field(None, description="STUN server, e.g. stun:stun.example.org:3478; none by default.")
    turn_url: str | None = Field(None, description="TURN server, e.g. turn:turn.example.org:3478; none by default.")
    turn_username: str | None = Field(None, description="User name at the TURN server.")
    turn_credential: SecretStr | None = Field(None, description="Password at the TURN server.")

    @field_validator("udp_ports")
    @classmethod
    def _range(cls, ports: tuple[int, int] | None) -> tuple[int, int] | None:
        if ports is not None and not 1 <= ports[0] <= ports[1] <= 65535:
            raise ValueError("must be the first and the last port, from 1 to 65535")
        return ports

    @field_validator("public_address")
    @classmethod
    def _address(cls, address: str | None) -> str | None:
        return None if address is None else str(ip_address(address))

    @field_validator("stun_url", "turn_url")
    @classmethod
    def _server(cls, url: str | None, info: ValidationInfo) -> str | None:
        schemes = ("stun:",) if info.field_name == "stun_url" else ("turn:", "turns:")
        if url is not None and (not url.startswith(schemes) or any(c in url for c in ' <>"@')):
            raise ValueError(f"must be a URL like {schemes[0]}host.example:3478")
        return url


class WhipConfig(IceConfig):
    """The embedded back end: publishers push by WHIP (RFC 9725), the recorder is the peer."""

    max_publishers: int = Field(32, ge=1, le=64, description="Publishers at once in one recording.")


class WhepConfig(IceConfig):
    """Participants played from a server by WHEP (draft-ietf-wish-whep), one URL for each user."""

    url: str = Field(
        "http://127.0.0.1:8889/{channel}/{user}/whep",
        description="The endpoint's URL, with {channel} and {user} (and {app_id}) to be filled in.",
    )
    connect_timeout_s: float = Field(5.0, gt=0, description="Time for an answer of the endpoint.")

    @field_validator("url")
    @classmethod
    def _template(cls, url: str) -> str:
        names = {name for _, name, _, _ in Formatter().parse(url) if name is not None}
        if not names <= {"channel", "user", "app_id"} or "user" not in names:
            raise ValueError("must have {user}, and may have {channel} and {app_id}")
        if urlsplit(url).scheme not in ("http", "https"):
            raise ValueError("must begin with http:// or https://")
        return _without_credentials(url)


class JanusConfig(IceConfig):
    """A Janus server's VideoRoom plugin; room = channel, pin (or an allowed token) = access token."""

    url: Annotated[str, AfterValidator(_without_credentials)] = Field(
        "ws://127.0.0.1:8188", description="WebSocket API of the Janus server."
    )
    api_secret: SecretStr | None = Field(None, description="Janus' API secret, when it asks for one.")
    token: SecretStr | None = Field(None, description="A token, when Janus asks for one (token_auth).")
    connect_timeout_s: float = Field(5.0, gt=0, description="Time to connect, join and get the first answer.")
    return_timeout_s: float = Field(
        60.0, ge=0, description="How long a recording waits for a Janus server that has gone away, before it is lost."
    )


class LiveKitConfig(_Section):
    """A LiveKit server; room = channel, identity = workerUid. Needs the extra `livekit`."""

    url: Annotated[str, AfterValidator(_without_credentials)] = Field(
        "ws://127.0.0.1:7880", description="WebSocket URL of the LiveKit server."
    )
    api_key: SecretStr | None = Field(
        None,
        description="The server's API key. With key and secret, access tokens must be signed by them, and the recorder "
        "joins hidden, under a token of its own; without, under the access token as given.",
    )
    api_secret: SecretStr | None = Field(None, description="The secret of that key.")
    connect_timeout_s: float = Field(10.0, gt=0, description="Time to connect and join.")

    @model_validator(mode="after")
    def _both(self) -> Self:
        if (self.api_key is None) != (self.api_secret is None):
            raise ValueError("api_key and api_secret go together")
        return self

    @property
    def key(self) -> str | None:
        """The API key in clear."""
        return self.api_key.get_secret_value() if self.api_key is not None else None

    @property
    def secret(self) -> str | None:
        """The API secret in clear."""
        return self.api_secret.get_secret_value() if self.api_secret is not None else None


class AgoraConfig(_Section):
    """Agora's cloud by its server SDK, which the operator installs; see the README."""

    string_uids: bool = Field(False, description="User ids of the project are strings (user accounts), not numbers.")
    connect_timeout_s: float = Field(15.0, gt=0, description="Time to load the SDK and join.")


class MediaConfig(_Section):
    """Participants that are media URLs (file, RTSP, RTMP, HTTP), read by FFmpeg."""

    urls: dict[str, dict[str, str]] = Field(
        default_factory=dict,
        repr=False,
        description="Per channel, the URL of each user: {channel: {user: url}}. With a user's name, a password or a "
        "query in one of them, they must come from the environment.",
    )
    open_timeout_s: float = Field(10.0, gt=0, description="Time for a URL to open.")
    loop: bool = Field(False, description="Start a file again when it ends.")

    @property
    def holds_secret(self) -> bool:
        """Whether one of the URLs may: a camera's password is in its URL."""
        parts = (urlsplit(url) for users in self.urls.values() for url in users.values())
        return any("@" in each.netloc or each.query for each in parts)


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
    whep: WhepConfig = WhepConfig()
    janus: JanusConfig = JanusConfig()
    livekit: LiveKitConfig = LiveKitConfig()
    agora: AgoraConfig = AgoraConfig()
    media: MediaConfig = MediaConfig()


class NativeConfig(_Section):
    """Composited channels."""

    playout_delay_ms: int = Field(
        300, ge=0, le=2000, description="How far behind capture the output runs, so that late packets still count."
    )
    absent_after_s: float = Field(
        3.0, gt=0, description="A participant whose picture stands still this long is shown as a tile."
    )
    backgrounds: dict[str, str] = Field(
        default_factory=dict,
        description="Pictures that a request may name as its background, {name: file}; PNG, JPEG or WebP, at the same "
        "path on every node.",
    )


class WebConfig(_Section):
    """Pages in a browser."""

    chromium_path: str | None = Field(
        None, description="The browser; by default playwright's own if installed, else chromium on the PATH."
    )
    load_timeout_s: float = Field(15.0, gt=0, description="Time for a page to answer and load.")
    ready_timeout_s: float = Field(
        60.0,
        gt=0,
        le=3600,
        description="Time for a page that is recorded from its own signal on to give it; a request may ask for less.",
    )
    launch_timeout_s: float = Field(15.0, gt=0, description="Time for the browser to start and capture.")
    allowed_hosts: tuple[str, ...] = Field(
        ("*",), description="Host patterns that a page's URL may name; others are refused with a 400."
    )
    replace_in_a_row: int = Field(
        3,
        ge=0,
        description="Browsers that are replaced in a row within an attempt when they crash or hang; then it is lost.",
    )
    hung_s: float = Field(
        10.0, gt=0, description="A page that does not answer for this long is loaded again, once in a row."
    )
    healthy_s: float = Field(30.0, gt=0, description="After this long without a fault, a new row begins.")
    reachable_hosts: tuple[str, ...] = Field(
        ("*",), description="Host patterns that a page may load anything from, itself included; others are refused."
    )
    denied_hosts: tuple[str, ...] = Field(
        (), description="Host patterns that a page may load nothing from; they go before `reachable_hosts`."
    )
    allowed_networks: tuple[str, ...] = Field(
        (),
        description="Networks that pages may reach although they are not public, e.g. 10.20.0.0/16; by default none: "
        "loopback, private, link-local, metadata, this machine's own and all other special addresses are refused.",
    )
    denied_networks: tuple[str, ...] = Field(
        (), description="Networks that pages may not reach, public or not; they go before `allowed_networks`."
    )
    webrtc_udp: bool = Field(
        False,
        description="Pages may send WebRTC's UDP, for pages that join a call. It goes past the rules on addresses: a "
        "firewall has to keep them then, see docs/decisions/0015-where-a-page-may-go.md.",
    )
    sandbox: bool = Field(
        True, description="Chromium's own sandbox; needs user namespaces. Off only for pages that you trust."
    )
    uids: tuple[int, int] | None = Field(
        (60600, 61099),
        description="Where the service is root: first and last user id for browsers, one for each; no accounts needed. "
        "With null browsers are root, and the sandbox has to be off.",
    )
    memory_mb: int = Field(
        2500, ge=500, description="Memory of one recording's browser, MiB; the page that takes more is ended."
    )
    max_threads: int = Field(
        1500, ge=300, description="Threads of one recording's browser; the page that starts more is ended."
    )
    disk_mb: int = Field(
        1000, ge=100, description="What one recording's browser keeps on disk, MiB; the page that keeps more is ended."
    )

    @field_validator("uids")
    @classmethod
    def _uids(cls, uids: tuple[int, int] | None) -> tuple[int, int] | None:
        if uids is not None and not 1000 <= uids[0] <= uids[1] < 2**31:
            raise ValueError("must be the first and the last user id, from 1000")
        return uids

    @field_validator("allowed_networks", "denied_networks")
    @classmethod
    def _networks(cls, networks: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(str(ip_network(network)) for network in networks)


class RecorderConfig(_Section):
    """Everything a recorder needs to know besides its specification."""

    log: LogConfig = LogConfig()
    encoder: EncoderConfig = EncoderConfig()
    sources: SourcesConfig = SourcesConfig()
    native: NativeConfig = NativeConfig()
    web: WebConfig = WebConfig()
