"""What ingest runs with: venues, symbols, addresses, bounds."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from teleglas_common.settings import KafkaSection, PostgresSection, Section, ServiceSettings
from teleglas_ingest.domain.events import Channel

__all__ = [
    "BinanceSection",
    "BinanceUsdmSection",
    "IngestSection",
    "OkxSection",
    "Settings",
    "VenueSection",
]

Seconds = Annotated[float, Field(gt=0)]
CHANNELS = {channel.name.lower(): channel for channel in Channel}


class VenueSection(Section):
    """One venue: what is taken from it, and where it answers."""

    symbols: str = Field(
        default="", description="canonical symbols, separated by commas; none: the venue is off"
    )
    channels: str = Field(
        default="trades,books,tickers,liquidations", description="separated by commas"
    )
    ws_url: str = Field(description="base of its WebSocket addresses")
    rest_url: str = Field(description="base of its REST addresses")
    rest_weight: Annotated[int, Field(ge=1)] = Field(
        description="request weight that we spend at most in a window"
    )
    rest_window_s: Seconds = Field(description="that window")

    @property
    def symbol_list(self) -> tuple[str, ...]:
        names = (name.strip().upper() for name in self.symbols.split(","))
        return tuple(dict.fromkeys(name for name in names if name))

    @property
    def channel_list(self) -> tuple[Channel, ...]:
        names = (name.strip().lower() for name in self.channels.split(","))
        return tuple(dict.fromkeys(CHANNELS[name] for name in names if name))

    @model_validator(mode="after")
    def _channels_are_known(self) -> Self:
        unknown = {n.strip().lower() for n in self.channels.split(",")} - set(CHANNELS) - {""}
        if unknown:
            raise ValueError(f"expected channels of {sorted(CHANNELS)}, was {sorted(unknown)}")
        return self


class BinanceSection(VenueSection):
    symbols: str = Field(
        default="BTC-USDT,ETH-USDT", description="canonical symbols; none: the venue is off"
    )
    ws_url: str = Field(default="wss://stream.binance.com:9443", description="WebSocket base")
    rest_url: str = Field(default="https://api.binance.com", description="REST base")
    rest_weight: int = Field(default=4_800, ge=1, description="of the 6,000 that it allows")
    rest_window_s: Seconds = Field(default=60.0, description="window of that weight")


class BinanceUsdmSection(VenueSection):
    symbols: str = Field(
        default="BTC-USDT-PERP,ETH-USDT-PERP", description="canonical symbols; none: off"
    )
    ws_url: str = Field(
        default="wss://fstream.binance.com",
        description="WebSocket base; /public and /market are added",
    )
    rest_url: str = Field(default="https://fapi.binance.com", description="REST base")
    rest_weight: int = Field(default=1_900, ge=1, description="of the 2,400 that it allows")
    rest_window_s: Seconds = Field(default=60.0, description="window of that weight")


class OkxSection(VenueSection):
    symbols: str = Field(
        default="BTC-USDT,ETH-USDT,BTC-USDT-PERP,ETH-USDT-PERP",
        description="canonical symbols; none: the venue is off",
    )
    ws_url: str = Field(
        default="wss://ws.okx.com:8443",
        description="WebSocket base; /ws/v5/public and /ws/v5/business are added",
    )
    rest_url: str = Field(default="https://www.okx.com", description="REST base")
    rest_weight: int = Field(default=18, ge=1, description="requests, of 20 to one endpoint")
    rest_window_s: Seconds = Field(default=2.0, description="window of those requests")


class IngestSection(Section):
    """How feeds are run and what is written."""

    shards: Annotated[int, Field(ge=1, le=256)] = Field(
        default=1, description="shards of each venue; the same for all replicas"
    )
    owner: str = Field(
        default="",
        description="name of this replica, unique and kept over restarts; empty: the host's",
    )
    lease_ttl_s: Seconds = Field(
        default=10.0, description="a shard whose owner is silent for so long is another's"
    )
    batch_max_trades: Annotated[int, Field(ge=1, le=512)] = Field(
        default=512, description="trades of one record at most"
    )
    batch_max_age_ms: Annotated[float, Field(gt=0, le=20)] = Field(
        default=20.0, description="time that trades of one record are gathered at most"
    )
    snapshot_every_s: Annotated[float, Field(gt=0, le=10)] = Field(
        default=10.0, description="a whole book is written at least this often"
    )
    ticker_window_ms: Annotated[int, Field(ge=0, le=1_000)] = Field(
        default=50, description="bid and ask that change faster are conflated; 0: never"
    )
    progress_every_s: Seconds = Field(default=0.25, description="between progress marks")
    progress_slack_ms: Annotated[int, Field(ge=0)] = Field(
        default=100, description="marks stay so far behind the newest event of their own stream"
    )
    progress_skew_ms: Annotated[int, Field(ge=0)] = Field(
        default=500, description="… and at most so far behind the newest of their connection"
    )
    progress_lease_s: Seconds = Field(
        default=10.0, description="a source that is silent for so long does not hold others back"
    )
    open_interest_every_s: Seconds = Field(default=30.0, description="where it comes by REST")
    instruments_every_s: Seconds = Field(default=600.0, description="between looks at them")
    backfill_deadline_s: Seconds = Field(default=30.0, description="to fetch missing trades")
    backfill_max_trades: Annotated[int, Field(ge=1)] = Field(
        default=100_000, description="of one hole; what is older is given up"
    )
    connection_max_age_s: Seconds | None = Field(
        default=None, description="replace connections so often; empty: 23 h"
    )
    silence_patience: Annotated[float, Field(gt=0)] = Field(
        default=1.0, description="times the silence that each kind of stream is allowed"
    )
    streams_per_connection: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="fewer than the venue allows"
    )
    outbox_items: Annotated[int, Field(ge=100)] = Field(
        default=20_000, description="waiting records at which reading from venues pauses"
    )


class Settings(ServiceSettings):
    kafka: KafkaSection
    postgres: PostgresSection | None = Field(
        default=None, description="holds the leases; without it one process owns everything"
    )
    ingest: IngestSection = Field(default_factory=IngestSection)
    binance: BinanceSection = Field(default_factory=BinanceSection)
    binance_usdm: BinanceUsdmSection = Field(default_factory=BinanceUsdmSection)
    okx: OkxSection = Field(default_factory=OkxSection)

    @property
    def venues(self) -> dict[str, VenueSection]:
        """The venues that are on, by their ids."""
        sections = {
            "binance": self.binance,
            "binance-usdm": self.binance_usdm,
            "okx": self.okx,
        }
        return {name: section for name, section in sections.items() if section.symbol_list}

    @model_validator(mode="after")
    def _something_to_do(self) -> Self:
        if not self.venues:
            raise ValueError("expected symbols of at least one venue, found none")
        return self
