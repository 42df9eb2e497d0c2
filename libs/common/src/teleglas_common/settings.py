"""Settings: from the environment, frozen, checked as a whole, secrets masked.

A variable is `TELEGLAS_` and the field's path joined by `__`: `TELEGLAS_KAFKA__BOOTSTRAP`. With
`_FILE` behind it, it names a file that holds the value, as secrets are mounted.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

__all__ = [
    "ConfigError",
    "GrpcSection",
    "HttpSection",
    "KafkaSection",
    "PostgresSection",
    "RedisSection",
    "Section",
    "ServiceSettings",
    "TelemetrySection",
    "load",
    "settings_table",
]

PREFIX = "TELEGLAS_"
Port = Annotated[int, Field(ge=0, le=65_535)]
Seconds = Annotated[float, Field(gt=0)]
S = TypeVar("S", bound="ServiceSettings")


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


class PostgresSection(Section):
    """How to reach the database."""

    dsn: SecretStr = Field(description="postgresql://user:password@host:port/name")
    pool_size: Annotated[int, Field(ge=1, le=100)] = Field(
        default=4, description="connections a process holds at most"
    )
    connect_timeout_s: Seconds = Field(default=10.0, description="to open a connection")
    statement_timeout_s: Seconds = Field(default=30.0, description="for one statement")


class RedisSection(Section):
    """How to reach the cache."""

    url: SecretStr = Field(description="redis://… or rediss://…")
    timeout_s: Seconds = Field(default=2.0, description="for one command")


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
    """The environment, where `NAME_FILE` stands for the content of a file."""

    def _load_env_vars(self) -> dict[str, str | None]:
        found = dict(super()._load_env_vars())
        suffix = "_file"
        fields = {name.lower() for name, _, _ in variables(self.settings_cls)}
        for name, path in list(found.items()):
            plain = name.removesuffix(suffix)
            if name.endswith(suffix) and name not in fields and plain in fields and path:
                found[plain] = Path(path).read_text(encoding="utf-8").strip()
                del found[name]
        return found


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
        faults = [_fault(dict(one)) for one in error.errors(include_url=False)]
        raise ConfigError("\n".join(["the configuration has faults:", *faults])) from None
    except OSError as error:
        raise ConfigError(f"the configuration has faults:\n  {error}") from None


def _fault(error: dict[str, Any]) -> str:
    name = PREFIX + "__".join(str(part).upper() for part in error["loc"])
    if error["type"] == "missing":
        return f"  {name}: expected a value, found none"
    given = error.get("input")
    shown = "a value" if isinstance(given, SecretStr | dict) or _secret(name) else repr(given)
    return f"  {name}: {error['msg'][:1].lower()}{error['msg'][1:]}, was {shown}"


def _secret(name: str) -> bool:
    return any(word in name for word in ("PASSWORD", "SECRET", "DSN", "URL", "TOKEN", "KEY"))


def variables(kind: type[BaseModel], prefix: str = PREFIX) -> Iterator[tuple[str, str, FieldInfo]]:
    """Name, type and field of every variable of a settings class."""
    for name, info in kind.model_fields.items():
        path = f"{prefix}{name.upper()}"
        inner = info.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from variables(inner, f"{path}__")
        else:
            yield path, _type_name(inner), info


def _type_name(kind: Any) -> str:
    if kind is SecretStr:
        return "secret"
    text = kind.__name__ if isinstance(kind, type) and not hasattr(kind, "__args__") else str(kind)
    return text.replace("typing.", "").replace("pathlib.", "")


def settings_table(services: dict[str, type[ServiceSettings]]) -> str:
    """A markdown page of every variable of every service."""
    lines = [
        "# Settings",
        "",
        "Generated by `make docs`. Every service reads the environment; a variable with `_FILE`",
        "behind its name gives a file that holds the value. `python -m teleglas_<service>",
        "--check-config` prints what a service would run with, or every fault at once.",
    ]
    for service, kind in sorted(services.items()):
        lines += ["", f"## {service}", "", "| variable | type | default | meaning |"]
        lines.append("|---|---|---|---|")
        for name, type_name, info in variables(kind):
            default = "required" if info.is_required() else _default(info)
            row = (f"`{name}`", type_name.replace("|", "or"), default, info.description or "")
            lines.append(f"| {' | '.join(row)} |")
    return "\n".join(lines) + "\n"


def _default(info: FieldInfo) -> str:
    value = info.get_default(call_default_factory=True, validated_data={})
    if isinstance(value, SecretStr):
        return "(empty)"
    if value in ("", None, (), {}):
        return "(empty)"
    return f"`{os.fspath(value) if isinstance(value, Path) else value}`"
