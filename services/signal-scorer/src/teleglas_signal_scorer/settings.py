"""What signal-scorer runs with."""

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
from teleglas_signal_scorer.domain.feed import Cadence
from teleglas_signal_scorer.domain.intervals import SECOND_NS

__all__ = ["ScoresSection", "Settings"]

Seconds = Annotated[float, Field(gt=0)]


class ScoresSection(Section):
    """When scores are made and how long they are kept."""

    tick_s: Annotated[int, Field(ge=1, le=3_600)] = Field(
        default=10, description="an instrument is scored this often, of event time"
    )
    deadline_s: Annotated[int, Field(ge=0, le=3_600)] = Field(
        default=10, description="whale alerts may lie so far behind the candles, of event time …"
    )
    absent_after_s: Seconds = Field(
        default=30.0,
        description="… and longer, as long as their marks have not been silent for so long",
    )
    checkpoint_every_s: Seconds = Field(
        default=1.0, description="state, scores and offsets are stored this often"
    )
    default_quote: str = Field(default="USDT", description="what bare `BTC` is quoted in")
    keep_days: Annotated[int, Field(ge=0, le=3_650)] = Field(
        default=0,
        description="scores older than this, by the newest score's event time, are dropped; 0 keeps"
        " all: leave it so where captures of the past are replayed",
    )

    def cadence(self) -> Cadence:
        """The same for the domain."""
        return Cadence(self.tick_s * SECOND_NS, self.deadline_s * SECOND_NS)


class Settings(PrincipalSettings):
    kafka: KafkaSection
    postgres: PostgresSection
    grpc: GrpcSection = Field(default_factory=GrpcSection)
    scores: ScoresSection = Field(default_factory=ScoresSection)
