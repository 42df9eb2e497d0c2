"""Answers of the REST API, as OpenAPI shows them. Exact numbers are decimal strings."""

from __future__ import annotations

from typing import Annotated, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "Book",
    "Candle",
    "HealthAnswer",
    "Market",
    "MarketTicker",
    "Page",
    "ProblemBody",
    "Raw",
    "StreamHealth",
    "Summary",
    "Ticker",
    "TicketAnswer",
    "Trade",
]

DecimalString = Annotated[str, Field(pattern=r"^-?\d+(\.\d+)?$", examples=["61837.63"])]
Timestamp = Annotated[str, Field(examples=["2026-01-01T12:00:00.000Z"])]
Nanoseconds = Annotated[str, Field(pattern=r"^-?\d+$", examples=["1767268800000000000"])]
Row = TypeVar("Row")


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Page(Model, Generic[Row]):
    """Rows and, where there are more, the cursor and the link that lead to them."""

    data: list[Row]
    next_cursor: str | None = None
    next: str | None = None


class Market(Model):
    symbol: str
    venue: str
    venue_symbol: str
    kind: str
    base: str
    quote: str
    settle: str
    inverse: bool
    contract_multiplier: DecimalString | None
    tick_size: DecimalString | None
    lot_size: DecimalString | None
    status: str
    expiry: Timestamp | None
    strike: DecimalString | None


class Ticker(Model):
    """A venue's own ticker. A field is null until the venue has sent it."""

    exchange: str
    bid_price: DecimalString | None
    bid_size: DecimalString | None
    ask_price: DecimalString | None
    ask_size: DecimalString | None
    last_price: DecimalString | None
    mark_price: DecimalString | None
    index_price: DecimalString | None
    open_24h: DecimalString | None
    high_24h: DecimalString | None
    low_24h: DecimalString | None
    volume_24h: DecimalString | None
    quote_volume_24h: DecimalString | None
    funding_rate: DecimalString | None
    open_interest: DecimalString | None
    ts_next_funding: Nanoseconds | None
    ts_event: Nanoseconds | None
    ts_basis: str


class Summary(Model):
    """What a market looks like now. `change_24h` is a fraction: 0.05 is +5 %."""

    exchange: str
    price: DecimalString
    change_24h: DecimalString | None
    volume_24h: DecimalString
    high_24h: DecimalString
    low_24h: DecimalString
    bid: DecimalString | None
    ask: DecimalString | None
    spread: DecimalString | None
    mark_price: DecimalString | None
    funding_rate: DecimalString | None
    open_interest: DecimalString | None
    window_s: int


class MarketTicker(Model):
    symbol: str
    venue: str
    timestamp: Timestamp
    summary: Summary | None
    ticker: Ticker | None


class Candle(Model):
    symbol: str
    venue: str
    interval: str
    open_time: Timestamp
    close_time: Timestamp
    open: DecimalString
    high: DecimalString
    low: DecimalString
    close: DecimalString
    volume: DecimalString
    quote_volume: DecimalString
    taker_buy_volume: DecimalString
    taker_buy_quote_volume: DecimalString
    trades: int
    is_closed: bool
    revision: int
    completeness: DecimalString | None
    missing_trades: int


class Trade(Model):
    symbol: str
    venue: str
    timestamp: Timestamp
    id: str
    price: DecimalString
    amount: DecimalString
    side: str
    kind: str
    print: str
    contracts: DecimalString | None
    backfilled: bool
    ts_event: Nanoseconds | None
    ts_basis: str


class Book(Model):
    """A book, best level first; each level is price and amount."""

    symbol: str
    venue: str
    timestamp: Timestamp
    book_epoch: str
    sequence: int
    bids: list[tuple[DecimalString, DecimalString]]
    asks: list[tuple[DecimalString, DecimalString]]


class Raw(Model):
    """The predecessor's shape: JSON numbers, short symbols."""

    symbol: str
    timestamp: Timestamp
    exchange: str
    price: float
    change_24h: float | None
    volume_24h: float
    high_24h: float
    low_24h: float
    bid: float | None
    ask: float | None
    spread: float | None
    mark_price: float | None
    funding_rate: float | None
    open_interest: float | None


class TicketAnswer(Model):
    """Good for one connection, for a short time: send it in the first message."""

    ticket: str
    expires_in_s: int
    expires_at: Timestamp
    streams: list[str]


class HealthAnswer(Model):
    """`reasons` names each part that does not work, and why."""

    ok: bool
    state: str
    reasons: dict[str, str]


class StreamHealth(Model):
    """`behind_s` is how long ago the stream server last heard from the log."""

    status: str
    connections: int
    instruments: int
    behind_s: float


class ProblemBody(Model):
    """RFC 9457. `code` is stable; `detail` is for people."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    instance: str | None = None
