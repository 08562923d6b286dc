"""All settings of the service: defaults, then the Serve config's `args:`, then `EGRESS_*` variables."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from sqlalchemy import make_url

from recorders.config import (
    EncoderConfig,
    LogConfig,
    NativeConfig,
    RecorderConfig,
    SourcesConfig,
    WebConfig,
)
from recorders.spec import Limits

_STORES = ("s3", "gs", "az", "file")


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class HttpSettings(_Section):
    """Where `make run` listens; `serve run` takes this from `http_options` of its config."""

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8091, ge=1, le=65535, description="Port to listen on.")


class StoreSettings(_Section):
    """Where tasks are kept."""

    url: str | None = Field(
        None,
        repr=False,
        description="SQLAlchemy URL of the task store, sqlite:///... or postgresql://...; by default tasks.db in the "
        "data folder (SQLite). With a password in it, it must come from the environment.",
    )

    @property
    def holds_password(self) -> bool:
        """Whether the URL has one, where URLs have it or as a parameter."""
        if self.url is None:
            return False
        parts = make_url(self.url)
        return parts.password is not None or "password" in parts.query


class LeaseSettings(_Section):
    """Who may write to a recording, and for how long."""

    renew_s: float = Field(1.0, gt=0, description="How often a recorder renews its lease.")
    expiry_s: float = Field(5.0, gt=0, description="A lease not renewed for this long is lost.")


class AttemptSettings(_Section):
    """How a recording goes on after it has lost its recorder."""

    in_a_row: int = Field(
        5, ge=1, description="So many attempts, each lost within `healthy_s`, and the task is FAILED; 1 never resumes."
    )
    healthy_s: float = Field(60.0, ge=0, description="An attempt that lives this long starts the count again.")
    backoff_s: float = Field(
        1.0,
        ge=0,
        description="Wait before the third attempt in a row, doubled for each after it; the second is at once.",
    )
    backoff_most_s: float = Field(30.0, ge=0, description="The longest such wait.")

    resume_within_s: float = Field(
        300.0,
        ge=0,
        description="After the service itself was away for longer than this, recordings are finished, not resumed.",
    )

    def backoff(self, losses: int) -> float:
        """Seconds to wait after so many losses in a row."""
        return min(self.backoff_most_s, self.backoff_s * 2 ** (losses - 2)) if losses > 1 else 0.0


class LimitSettings(_Section):
    """Bounds on waiting, and on recordings."""

    enqueued_s: float = Field(30.0, gt=0, description="A task still ENQUEUED after this long is TIMEOUT.")
    stop_s: float = Field(15.0, gt=0, description="A recorder that does not stop within this is killed.")
    duration_s: float | None = Field(
        None, gt=0, description="A recording ends after this long (max_duration); a request may ask for less."
    )
    size_mb: float | None = Field(
        None, gt=0, description="A recording ends at this size, in MB (max_size); a request may ask for less."
    )
    idle_s: float | None = Field(
        None,
        gt=0,
        description="A channel where nobody is seen or heard, or a page of one colour that is silent, for so long ends "
        "(idle); a request may ask for less.",
    )
    finish_s: float = Field(600.0, gt=0, description="Time for playlist, MP4 and manifest to be written.")

    @property
    def recording(self) -> Limits:
        """Those of each recording."""
        return Limits(self.duration_s, self.size_mb, self.idle_s)


class StorageSettings(_Section):
    """Where recordings belong in the end."""

    url: str | None = Field(
        None,
        description="Object store and path, s3://bucket/path, gs://..., az://account/container/..., file:///...; by "
        "default recordings stay in the data folder. Credentials and endpoint come from the usual variables "
        "(AWS_..., GOOGLE_..., AZURE_...) on every node.",
    )
    buckets: tuple[str, ...] = Field(
        (), description="Patterns of the other buckets of that store that a request may name; by default none."
    )

    @field_validator("url")
    @classmethod
    def _known(cls, url: str | None) -> str | None:
        if url is not None:
            parts = urlsplit(url)
            if parts.scheme not in _STORES:
                raise ValueError(f"must begin with one of {', '.join(f'{each}://' for each in _STORES)}")
            if parts.username or parts.password or parts.query:
                raise ValueError("must hold no credentials: they come from the environment")
        return url


class DiskSettings(_Section):
    """What happens when the disk that is recorded to fills up. Media is never deleted for it."""

    refuse_below_mb: float = Field(500, ge=0, description="With less free than this, no recording begins.")
    end_below_mb: float = Field(
        200,
        ge=0,
        description="With less free than this, the recording with most waiting to be stored is ended (FAILED).",
    )


class RetentionSettings(_Section):
    """How long what has ended is kept."""

    tasks_days: float | None = Field(
        None, gt=0, description="Tasks that ended this long ago are forgotten; by default never."
    )
    files_days: float | None = Field(
        None, gt=0, description="Their files are deleted this long after the task ended; by default never."
    )

    @model_validator(mode="after")
    def _files_first(self) -> Self:
        if self.tasks_days is not None and self.files_days is not None and self.tasks_days < self.files_days:
            raise ValueError("tasks_days must not be less than files_days: nobody would know of the files any more")
        return self


class CostSettings(_Section):
    """What a recording takes of a node, as Ray resources; see `egress_ray.manager.placement`."""

    native_memory_mb: int = Field(300, gt=0, description="Memory reserved for a native recording, MiB.")
    individual_cpus: float = Field(
        0.06, gt=0, description="CPU reserved for each user of an individual recording whose H.264 is passed through."
    )
    individual_memory_mb: int = Field(
        10, gt=0, description="Memory reserved for each user of an individual recording, MiB."
    )
    web_memory_mb: int = Field(700, gt=0, description="Memory reserved for a web recording, MiB.")
    pages_per_node: int | None = Field(
        None,
        ge=1,
        description="Pages that a node records at once; by default as many as there is CPU and memory for. Nodes of a "
        "cluster say their own number: `ray start --resources='{\"pages\": 4}'`.",
    )


class WarmSettings(_Section):
    """Browsers that are open before there is a page to record."""

    browsers: int = Field(
        0,
        ge=0,
        le=32,
        description="So many on each node, each for one recording and then replaced. Each holds the memory of a web "
        "recording, until another recording needs it. Pages with webGL or a scale do not use them.",
    )


class SecretSettings(_Section):
    """Encryption of access tokens at rest."""

    key: SecretStr | None = Field(
        None,
        description="Fernet key (base64, 32 bytes) for access tokens at rest; by default a key file that only "
        "the owner can read is made in the data folder.",
    )


class TokenSettings(_Section):
    """What access tokens are checked with; see "Access tokens" in the README."""

    agora_certificates: dict[str, SecretStr] = Field(
        default_factory=dict,
        description="Per app id, its Agora certificate: {app id: certificate}. An app that has one needs AccessToken2 "
        "tokens signed with it, on channels that we or Agora serve.",
    )

    def certificate(self, app_id: str) -> str | None:
        """An app's certificate in clear, if it has one."""
        found = self.agora_certificates.get(app_id)
        return found.get_secret_value() if found is not None else None


# Only the environment may give these: whatever is in the Serve config goes through Ray's control store.
SECRETS: dict[str, Any] = {
    "secrets": {"key"},
    "tokens": {"agora_certificates"},
    "sources": {
        "janus": {"api_secret", "token", "turn_credential"},
        "livekit": {"api_key", "api_secret"},
        "whip": {"turn_credential"},
        "whep": {"turn_credential"},
    },
}


class Settings(BaseSettings):
    """The service's settings. Nested values are set as `EGRESS_LIMITS__ENQUEUED_S=60`."""

    model_config = SettingsConfigDict(
        env_prefix="EGRESS_",
        env_nested_delimiter="__",
        frozen=True,
        extra="forbid",
        validate_default=True,
        hide_input_in_errors=True,  # it may be a secret
    )

    data_dir: str = Field("egress-data", description="Folder for the store, keys and recordings.")
    namespace: str = Field("egress", description="Ray namespace of the manager and the recordings.")
    replicas: int = Field(1, ge=1, le=16, description="Replicas of the REST deployment.")
    http: HttpSettings = HttpSettings()
    store: StoreSettings = StoreSettings()
    lease: LeaseSettings = LeaseSettings()
    attempts: AttemptSettings = AttemptSettings()
    limits: LimitSettings = LimitSettings()
    storage: StorageSettings = StorageSettings()
    disk: DiskSettings = DiskSettings()
    retention: RetentionSettings = RetentionSettings()
    cost: CostSettings = CostSettings()
    warm: WarmSettings = WarmSettings()
    secrets: SecretSettings = SecretSettings()
    tokens: TokenSettings = TokenSettings()
    log: LogConfig = LogConfig()
    encoder: EncoderConfig = EncoderConfig()
    sources: SourcesConfig = SourcesConfig()
    native: NativeConfig = NativeConfig()
    web: WebConfig = WebConfig()

    @property
    def data_path(self) -> Path:
        """The data folder, absolute."""
        return Path(self.data_dir).absolute()

    @property
    def store_url(self) -> str:
        """The task store's URL."""
        return self.store.url or f"sqlite:///{self.data_path / 'tasks.db'}"

    @property
    def secret_key(self) -> str | None:
        """The key for secrets at rest, if one was given."""
        return self.secrets.key.get_secret_value() if self.secrets.key is not None else None

    def without_secrets(self) -> dict[str, Any]:
        """As JSON values, to be passed around in the cluster; `load` adds the secrets from the environment."""
        plain = self.model_dump(mode="json", exclude=SECRETS)
        if self.store.holds_password:
            del plain["store"]["url"]
        if self.sources.media.holds_secret:
            del plain["sources"]["media"]["urls"]
        return plain

    @property
    def recorders(self) -> RecorderConfig:
        """The part that goes to the recorders."""
        return RecorderConfig(
            log=self.log, encoder=self.encoder, sources=self.sources, native=self.native, web=self.web
        )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment goes before what the Serve config gives."""
        return env_settings, init_settings


def load(args: dict[str, Any]) -> Settings:
    """Settings from the Serve config's `args:` and the environment; raises pydantic's ValidationError."""
    return Settings(**args)
