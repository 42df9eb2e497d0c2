"""What the whale-detector runs with."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from teleglas_common.settings import (
    GrpcSection,
    KafkaSection,
    PostgresSection,
    PrincipalSettings,
    Section,
)
from teleglas_whale_detector.domain.sketch import Definition

__all__ = ["DetectorSection", "Settings"]

Seconds = Annotated[float, Field(gt=0)]


class DetectorSection(Section):
    """What counts as a whale and how state is kept; change the version with the first three."""

    version: Annotated[int, Field(ge=1)] = Field(default=1, description="of this definition")
    quantile: Annotated[float, Field(gt=0.5, lt=1)] = Field(
        default=0.999, description="of an instrument's own parent orders that a whale must reach"
    )
    min_observations: Annotated[int, Field(ge=100)] = Field(
        default=5_000, description="parent orders of an instrument before its first alert"
    )
    flush_every_s: Seconds = Field(
        default=1.0, description="the table is written this often where something changed"
    )
    flush_records: Annotated[int, Field(ge=1)] = Field(
        default=5_000, description="or after so many records, whichever comes first"
    )

    def definition(self) -> Definition:
        return Definition(self.version, self.quantile, self.min_observations)


class Settings(PrincipalSettings):
    kafka: KafkaSection
    postgres: PostgresSection
    grpc: GrpcSection = Field(default_factory=GrpcSection)
    detector: DetectorSection = Field(default_factory=DetectorSection)
