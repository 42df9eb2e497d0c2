"""Settings of the gateway: from the environment, checked as a whole."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from teleglas_common.settings import (
    KafkaSection,
    PostgresSection,
    PrincipalSecret,
    RedisSection,
    Section,
    ServiceSettings,
)

__all__ = [
    "BackendSection",
    "EdgeSection",
    "GatewaySettings",
    "MarketDataSection",
    "StreamSection",
]

Count = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0)]


class MarketDataSection(Section):
    """How to reach market-data."""

    target: str = Field(min_length=3, description="host:port of market-data's gRPC")
    deadline_s: Seconds = Field(default=3.0, description="for one query")


class BackendSection(Section):
    """How to reach a service that need not be there: its paths then say so."""

    target: str = Field(default="", description="host:port of its gRPC; empty: it does not run")
    deadline_s: Seconds = Field(default=3.0, description="for one query")


class EdgeSection(Section):
    """What REST clients may do."""

    default_quote: str = Field(default="USDT", description="what bare `BTC` is quoted in")
    requests: Count = Field(default=600, description="requests of a key in a window")
    window_s: Count = Field(default=60, description="the window")
    refused_requests: Count = Field(
        default=60, description="refused keys of one address in a window, before 429"
    )
    limit_timeout_s: Seconds = Field(
        default=0.05, description="wait for the shared limiter before the local one decides"
    )
    trusted_proxies: str = Field(
        default="127.0.0.1",
        description="addresses or networks whose X-Forwarded-For names the client",
    )
    ticket_ttl_s: Annotated[int, Field(ge=1, le=600)] = Field(
        default=30, description="how long a stream ticket is good"
    )


class StreamSection(Section):
    """Bounds of the stream server."""

    max_connections: Count = Field(default=5000, description="on one gateway")
    max_connections_per_key: Count = Field(default=100, description="of one key on one gateway")
    max_subscriptions: Count = Field(default=1000, description="on one connection")
    max_frame_bytes: Annotated[int, Field(ge=1024)] = Field(
        default=1 << 18, description="a larger message of a client closes its connection"
    )
    max_waiting_bytes: Annotated[int, Field(ge=4096)] = Field(
        default=1 << 20, description="for one slow client, then it is closed with a resume token"
    )
    recent_bytes: Annotated[int, Field(ge=0)] = Field(
        default=64 << 20,
        description="for the newest messages: who resumes behind them costs a reader of the log",
    )
    max_catch_up_records: Count = Field(
        default=200_000, description="a client further behind starts anew"
    )
    auth_deadline_s: Seconds = Field(default=5.0, description="from the handshake to the ticket")
    ping_s: Seconds = Field(default=20.0, description="between pings")
    drop_after_s: Seconds = Field(default=60.0, description="a client silent for this long is cut")
    recheck_keys_s: Seconds = Field(default=15.0, description="a revoked key's streams end by then")


class GatewaySettings(ServiceSettings):
    """The gateway: REST and streams on `http`."""

    kafka: KafkaSection
    postgres: PostgresSection
    redis: RedisSection
    market_data: MarketDataSection
    whales: BackendSection = Field(default_factory=BackendSection)
    signals: BackendSection = Field(default_factory=BackendSection)
    predictions: BackendSection = Field(default_factory=BackendSection)
    notifications: BackendSection = Field(default_factory=BackendSection)
    principal_secret: PrincipalSecret = Field(
        min_length=1,
        description="signs the principal in gRPC metadata, the same in all services; of several"
        " with spaces between the first",
    )
    edge: EdgeSection = Field(default_factory=EdgeSection)
    stream: StreamSection = Field(default_factory=StreamSection)
