"""What prediction runs with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from teleglas_common.settings import (
    GrpcSection,
    KafkaSection,
    PostgresSection,
    PrincipalSettings,
    Section,
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


class Settings(PrincipalSettings):
    kafka: KafkaSection
    postgres: PostgresSection
    grpc: GrpcSection = Field(default_factory=GrpcSection)
    forecasts: ForecastsSection = Field(default_factory=ForecastsSection)
