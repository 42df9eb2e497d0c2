"""What market-data runs with."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from teleglas_common.settings import (
    GrpcSection,
    KafkaSection,
    PostgresSection,
    PrincipalSettings,
    RedisSection,
    Section,
)
from teleglas_market_data.domain.composite import Definition
from teleglas_market_data.domain.intervals import SECOND_NS

__all__ = ["CandlesSection", "CompositeSection", "Settings"]

Seconds = Annotated[float, Field(gt=0)]


class CandlesSection(Section):
    """How candles and summaries are made and kept."""

    late_bound_s: Annotated[int, Field(ge=60, le=13 * 86_400)] = Field(
        default=7 * 86_400,
        description="a trade later than this changes no candle; 1s candles are kept 14 days",
    )
    summary_every_s: Annotated[int, Field(ge=1, le=60)] = Field(
        default=1, description="a market's summary is said at most this often, of event time"
    )
    checkpoint_every_s: Seconds = Field(
        default=1.0, description="state, rows and offsets are stored this often"
    )
    default_quote: str = Field(default="USDT", description="what bare `BTC` is quoted in")
    drop_old_data: bool = Field(
        default=False,
        description="drop pieces of tables that are older than each table keeps, by the event time"
        " that most markets have come to; leave it off where captures of the past are replayed",
    )


class CompositeSection(Section):
    """What the pseudo-venue `composite` is made of; change the version with anything else."""

    version: Annotated[int, Field(ge=1)] = Field(default=1, description="of this definition")
    weights: str = Field(
        default="binance=1,binance-usdm=1,okx=1", description="member venues and price weights"
    )
    staleness_s: Annotated[int, Field(ge=1, le=60)] = Field(
        default=60, description="a member without a trade for so long has no price"
    )
    drop_out_s: Annotated[int, Field(ge=1, le=600)] = Field(
        default=10, description="a member that lies so far behind the others is not waited for"
    )

    def definition(self) -> Definition:
        """The same for the domain; ValueError where the weights make no sense."""
        pairs = (pair.partition("=") for pair in self.weights.split(","))
        weights = {venue.strip(): int(weight) for venue, _, weight in pairs}
        return Definition(
            self.version, weights, self.staleness_s * SECOND_NS, self.drop_out_s * SECOND_NS
        )

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        self.definition()
        return self


class Settings(PrincipalSettings):
    kafka: KafkaSection
    postgres: PostgresSection
    redis: RedisSection
    grpc: GrpcSection = Field(default_factory=GrpcSection)
    candles: CandlesSection = Field(default_factory=CandlesSection)
    composite: CompositeSection = Field(default_factory=CompositeSection)

    @property
    def late_bound_ns(self) -> int:
        return self.candles.late_bound_s * SECOND_NS

    @property
    def summary_every_ns(self) -> int:
        return self.candles.summary_every_s * SECOND_NS
