"""What prediction runs with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, SecretStr, model_validator

from teleglas_common.settings import (
    GrpcSection,
    KafkaSection,
    PostgresSection,
    Section,
    ServiceSettings,
)

__all__ = ["ForecastsSection", "Settings"]

Seconds = Annotated[float, Field(gt=0)]


class ForecastsSection(Section):
    """How forecasts are made and kept."""

    registry: Path | None = Field(
        default=None,
        description="folder of trained models, read at the start; none: the random walk alone",
    )
    checkpoint_every_s: Seconds = Field(
        default=5.0, description="state, ledger and offsets are stored this often"
    )
    keep_ledger_days: Annotated[int, Field(ge=0)] = Field(
        default=365,
        description="resolved forecasts older than this, by the event time of the newest, are"
        " deleted; 0: none",
    )
    default_quote: str = Field(default="USDT", description="what bare `BTC` is quoted in")


class Settings(ServiceSettings):
    kafka: KafkaSection
    postgres: PostgresSection
    grpc: GrpcSection = Field(default_factory=GrpcSection)
    forecasts: ForecastsSection = Field(default_factory=ForecastsSection)
    principal_secret: SecretStr = Field(
        default=SecretStr(""), description="verifies the principal in gRPC metadata"
    )
    require_principal: bool = Field(
        default=False, description="refuse calls without a principal; needs the secret"
    )

    @model_validator(mode="after")
    def _principals_can_be_verified(self) -> Self:
        secret = self.principal_secret.get_secret_value()
        if (self.require_principal or secret) and len(secret) < 16:
            raise ValueError(f"expected a principal secret of 16 bytes or more, was {len(secret)}")
        return self
