"""Settings: from the environment, frozen, checked as a whole, secrets masked.

A variable is `TELEGLAS_` and the field's path joined by `__`: `TELEGLAS_KAFKA__BOOTSTRAP`. With
`_FILE` behind it, it names a file that holds the value; `TELEGLAS_SECRETS_DIR` names a folder whose
files are called like variables, as secrets are mounted. What the environment says itself wins.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Self, TypeVar, Union, get_args, get_origin

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

__all__ = [
    "ConfigError",
    "GrpcSection",
    "HttpSection",
    "KafkaSection",
    "PostgresSection",
    "PrincipalSecret",
    "PrincipalSettings",
    "RedisSection",
    "Section",
    "ServiceSettings",
    "TelemetrySection",
    "load",
    "read",
    "variables",
]

PREFIX = "TELEGLAS_"
SECRETS_DIR = "TELEGLAS_SECRETS_DIR"
SECRET_WORDS = ("PASSWORD", "SECRET", "DSN", "URL", "TOKEN", "KEY")
MIN_SECRET_BYTES = 16
Port = Annotated[int, Field(ge=0, le=65_535)]
Seconds = Annotated[float, Field(gt=0)]
S = TypeVar("S", bound="ServiceSettings")


def _long_enough(secrets: SecretStr) -> SecretStr:
    lengths = [len(secret.encode()) for secret in secrets.get_secret_value().split()]
    if lengths and min(lengths) < MIN_SECRET_BYTES:
        raise ValueError(
            f"expected secrets of {MIN_SECRET_BYTES} bytes or more, was {min(lengths)}"
        )
    return secrets


PrincipalSecret = Annotated[SecretStr, AfterValidator(_long_enough)]
"""One secret or, while it is being replaced, several with spaces between: the first signs, all
verify.
"""


class ConfigError(Exception):
    """Every fault of the configuration at once, one a line."""


class Section(BaseModel):
    """A part of the settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class KafkaSection(Section):
    """How to reach the log."""

    bootstrap: str = Field(min_length=3, description="host:port list of the brokers")
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        default="PLAINTEXT", description="how the broker is spoken to"
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        default="SCRAM-SHA-512", description="used with a SASL protocol"
    )
    sasl_username: str = Field(default="", description="used with a SASL protocol")
    sasl_password: SecretStr = Field(default=SecretStr(""), description="used with a SASL protocol")
    ssl_ca_file: Path | None = Field(default=None, description="CA that signed the brokers")
    ssl_cert_file: Path | None = Field(default=None, description="client certificate, if any")
    ssl_key_file: Path | None = Field(default=None, description="its key")
    replication_factor: Annotated[int, Field(ge=1, le=7)] = Field(
        default=1, description="copies of a topic that is created; 3 where there are three brokers"
    )


class PostgresSection(Section):
    """How to reach the database."""

    dsn: SecretStr = Field(description="postgresql://user:password@host:port/name")
    pool_size: Annotated[int, Field(ge=1, le=100)] = Field(
        default=4, description="connections a process holds at most"
    )
    connect_timeout_s: Seconds = Field(default=10.0, description="to open a connection")
    statement_timeout_s: Seconds = Field(default=30.0, description="for one statement")
    ssl_mode: Literal["", "disable", "prefer", "require", "verify-ca", "verify-full"] = Field(
        default="", description="as libpq means it; empty: as the DSN says"
    )
    ssl_ca_file: Path | None = Field(default=None, description="CA that signed the server")
    ssl_cert_file: Path | None = Field(default=None, description="client certificate, if any")
    ssl_key_file: Path | None = Field(default=None, description="its key")
    replica_dsn: SecretStr = Field(
        default=SecretStr(""), description="a read replica that answers history; empty: none"
    )
    replica_max_lag_s: Seconds = Field(
        default=5.0, description="a replica further behind is not asked, the primary is"
    )


class RedisSection(Section):
    """How to reach the cache."""

    url: SecretStr = Field(description="redis://… or rediss://…; of a cluster: any node's")
    mode: Literal["single", "cluster", "sentinel"] = Field(
        default="single", description="what answers there"
    )
    timeout_s: Seconds = Field(default=2.0, description="for one command")
    ssl_ca_file: Path | None = Field(default=None, description="CA that signed the server")
    ssl_cert_file: Path | None = Field(default=None, description="client certificate, if any")
    ssl_key_file: Path | None = Field(default=None, description="its key")
    sentinels: str = Field(
        default="", description="host:port list, with mode sentinel; the URL names its set as host"
    )
    sentinel_password: SecretStr = Field(
        default=SecretStr(""), description="of the sentinels themselves, if any"
    )

    @model_validator(mode="after")
    def _sentinels_are_named(self) -> Self:
        if (self.mode == "sentinel") != bool(self.sentinels):
            raise ValueError("expected sentinels with mode sentinel, and only then")
        return self


class HttpSection(Section):
    """Where health and metrics answer (the gateway: everything)."""

    host: str = Field(default="127.0.0.1", description="address to listen on")
    port: Port = Field(default=0, description="0: any free port")


class GrpcSection(Section):
    """Where the service's gRPC answers."""

    host: str = Field(default="127.0.0.1", description="address to listen on")
    port: Port = Field(default=0, description="0: any free port")
    max_message_bytes: Annotated[int, Field(ge=1_024)] = Field(
        default=8 << 20, description="a larger message is refused"
    )
    default_deadline_s: Seconds = Field(default=10.0, description="for calls that name none")
    max_concurrent_calls: Annotated[int, Field(ge=1)] = Field(
        default=256, description="further calls are refused with RESOURCE_EXHAUSTED"
    )
    tls_cert_file: Path | None = Field(default=None, description="certificate; none: plain text")
    tls_key_file: Path | None = Field(default=None, description="its key")
    tls_client_ca_file: Path | None = Field(
        default=None, description="CA that must have signed the callers; none: anyone may call"
    )


class TelemetrySection(Section):
    """Logs and traces."""

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="least severe line that is written"
    )
    log_format: Literal["auto", "json", "text"] = Field(
        default="auto", description="auto: text on a terminal, else JSON"
    )
    otlp_endpoint: str = Field(default="", description="OTLP gRPC endpoint of traces; empty: none")
    sample_ratio: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.01, description="share of traces begun here that are recorded"
    )


class _EnvironmentWithFiles(EnvSettingsSource):
    """The environment, with `NAME_FILE` and the files of the secrets folder."""

    def _load_env_vars(self) -> dict[str, str | None]:
        found = dict(super()._load_env_vars())
        fields = {name.lower() for name, _, _ in variables(self.settings_cls)}
        faults: list[str] = []
        for name, path in files_of(found, fields).items():
            try:
                found[name] = Path(path).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeError) as error:
                faults.append(f"  {name.upper()}: expected a readable file, {error}")
            found.pop(f"{name}_file", None)
        if faults:
            raise ConfigError("\n".join(faults))
        return found


def files_of(environment: Mapping[str, str | None], fields: Collection[str]) -> dict[str, str]:
    """Which variables come from which files; names are in lower case."""
    chosen: dict[str, str] = {}
    folder = environment.get(SECRETS_DIR.lower())
    if folder:
        for path in sorted(Path(folder).glob("*")):
            if path.name.lower() in fields and path.is_file():
                chosen[path.name.lower()] = str(path)
    for name in fields:
        named = environment.get(f"{name}_file")
        if named and f"{name}_file" not in fields:
            chosen[name] = named
    return {name: path for name, path in chosen.items() if name not in environment}


class ServiceSettings(BaseSettings):
    """What every service has; each adds its own sections."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", frozen=True, extra="ignore"
    )

    telemetry: TelemetrySection = Field(default_factory=TelemetrySection)
    http: HttpSection = Field(default_factory=HttpSection)
    shutdown_grace_s: Seconds = Field(default=20.0, description="for draining after SIGTERM")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        del env_settings, dotenv_settings, file_secret_settings
        return init_settings, _EnvironmentWithFiles(settings_cls)


class PrincipalSettings(ServiceSettings):
    """Of a service whose gRPC callers say for whom they ask."""

    principal_secret: PrincipalSecret = Field(
        default=SecretStr(""),
        description="verifies the principal in gRPC metadata; any of several with spaces between",
    )
    require_principal: bool | None = Field(
        default=None,
        description="refuse calls without a principal; unset: wherever there is a secret",
    )

    @property
    def principals_required(self) -> bool:
        has_secret = bool(self.principal_secret.get_secret_value().strip())
        return has_secret if self.require_principal is None else self.require_principal

    @model_validator(mode="after")
    def _principals_can_be_verified(self) -> Self:
        if self.require_principal and not self.principal_secret.get_secret_value().strip():
            raise ValueError("expected a principal secret where principals are required")
        return self


def load(kind: type[S], argv: Sequence[str] | None = None) -> S:
    """Read the settings; with `--check-config` print them, secrets masked, and exit.

    A faulty configuration prints every fault and exits with 2.
    """
    check = "--check-config" in (sys.argv[1:] if argv is None else argv)
    try:
        settings = read(kind)
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(2) from None
    if check:
        sys.stdout.write(json.dumps(settings.model_dump(mode="json"), indent=2) + "\n")
        raise SystemExit(0)
    return settings


def read(kind: type[S]) -> S:
    """The settings of the environment; ConfigError names every fault."""
    try:
        return kind()
    except ValidationError as error:
        faults = "\n".join(_fault(dict(one)) for one in error.errors(include_url=False))
    except SettingsError as error:
        faults = f"  expected one variable a value, not JSON: {error}"
    except ConfigError as error:
        faults = str(error)
    raise ConfigError(f"the configuration has faults:\n{faults}")


def _fault(error: dict[str, Any]) -> str:
    path = [str(part) for part in error["loc"]]
    name = PREFIX + "__".join(path).upper() if path else "all together"
    given = error.get("input")
    match error["type"]:
        case "missing":
            return f"  {name}: expected a value, found none"
        case "extra_forbidden":
            return f"  {name}: expected a known variable, there is none of this name"
        case "value_error":
            return f"  {name}: {error['ctx']['error']}"
    message = str(error["msg"])
    for begin in ("Input should be ", "Value should have ", "String should have "):
        message = message.removeprefix(begin)
    hidden = isinstance(given, SecretStr | dict) or is_secret_name(name)
    shown = "a value that is not shown" if hidden else repr(given)
    return f"  {name}: expected {message[:1].lower()}{message[1:]}, was {shown}"


def is_secret_name(name: str) -> bool:
    """Whether a value under this name must not be shown."""
    return any(word in name.upper() for word in SECRET_WORDS)


def variables(kind: type[BaseModel], prefix: str = PREFIX) -> Iterator[tuple[str, str, FieldInfo]]:
    """Name, type and field of every variable of a settings class."""
    for name, info in kind.model_fields.items():
        path = f"{prefix}{name.upper()}"
        section = _section(info.annotation)
        if section is not None:
            yield from variables(section, f"{path}__")
        else:
            yield path, _type_name(info.annotation), info


def _section(annotation: Any) -> type[BaseModel] | None:
    """The section that a field holds, required or not."""
    for kind in (annotation, *get_args(annotation)):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind
    return None


def _type_name(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return " or ".join(f"`{value}`" for value in get_args(kind))
    if get_origin(kind) in (Union, UnionType):
        return " or ".join(_type_name(one) for one in get_args(kind) if one is not NoneType)
    if get_origin(kind) is Annotated:
        return _type_name(get_args(kind)[0])
    named = {SecretStr: "secret", Path: "path", str: "text", float: "number", int: "integer"}
    return named.get(kind) or str(getattr(kind, "__name__", kind))
