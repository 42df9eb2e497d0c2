"""What comes out of a venue's frames, whatever the venue. Numbers are scaled by the exponents of
the market's instrument unless an event carries its own; times are int64 ns UTC, 0 where unknown.
"""

from __future__ import annotations

from enum import IntEnum

from msgspec import Struct

from teleglas_ingest.domain.instrument import Market
from teleglas_ingest.domain.numbers import Exact

__all__ = [
    "Basis",
    "BookChange",
    "Channel",
    "Coverage",
    "Event",
    "Gap",
    "GapCause",
    "GapResolution",
    "Liquidation",
    "Print",
    "Side",
    "SpentTradeId",
    "Ticker",
    "Trade",
    "TradeKind",
]


class Side(IntEnum):
    """Of the taker."""

    BUY = 1
    SELL = 2


class Basis(IntEnum):
    """Where ts_event comes from."""

    TRANSACTION = 1
    EVENT = 2
    INGEST = 3


class TradeKind(IntEnum):
    FILL = 1
    AGGREGATE = 2


class Print(IntEnum):
    """What made a print; only MARKET counts towards candles and whales."""

    MARKET = 1
    INSURANCE_FUND = 2
    AUTO_DELEVERAGING = 3
    BLOCK = 4
    OTHER = 5


class Coverage(IntEnum):
    COMPLETE = 1
    SAMPLED = 2


class Channel(IntEnum):
    TRADES = 1
    BOOKS = 2
    TICKERS = 3
    LIQUIDATIONS = 4


class GapCause(IntEnum):
    SEQUENCE_BREAK = 1
    CHECKSUM_MISMATCH = 2
    DISCONNECT = 3
    SILENCE = 4
    SUBSCRIPTION = 5
    OVERFLOW = 6
    RESTART = 7
    REFUSED_FRAME = 8


class GapResolution(IntEnum):
    OPEN = 1
    BACKFILLED = 2
    RESYNCED = 3
    LOST = 4


class Trade(Struct, gc=False):
    """One print. It stands for the `fills` ids that end at `sequence`."""

    market: Market
    sequence: int
    side: int
    price: int
    size: int
    ts_event: int
    ts_ingest: int
    print: int = 1
    contracts: int = 0
    ts_basis: int = 1
    kind: int = 1
    fills: int = 1
    backfilled: bool = False


class SpentTradeId(Struct, gc=False):
    """A trade id that the venue used up without a print."""

    market: Market
    sequence: int
    ts_event: int


class BookChange(Struct, gc=False):
    """A snapshot or a delta, as the venue sent it. It covers the update ids `first` to `last` and
    follows the id `prev`, each -1 where the venue has none. Level i of a side is
    (prices[i], sizes[i]); size 0 removes a level.
    """

    market: Market
    is_snapshot: bool
    first: int
    last: int
    prev: int
    bid_prices: list[int]
    bid_sizes: list[int]
    ask_prices: list[int]
    ask_sizes: list[int]
    ts_event: int
    ts_basis: int
    ts_ingest: int
    checksum: int = 0
    raw: tuple[list[tuple[str, str]], list[tuple[str, str]]] | None = None
    """Bids and asks in the venue's own strings, present only where a checksum wants them."""


class Ticker(Struct, gc=False):
    """What changed of a ticker. Its exponents are its own: mark prices are finer than ticks."""

    market: Market
    price_exponent: int
    size_exponent: int
    ts_event: int
    ts_basis: int
    ts_ingest: int
    sequence: int | None = None
    bid_price: int | None = None
    bid_size: int | None = None
    ask_price: int | None = None
    ask_size: int | None = None
    last_price: int | None = None
    mark_price: int | None = None
    index_price: int | None = None
    funding_rate: Exact | None = None
    ts_next_funding: int | None = None
    open_interest: Exact | None = None
    open_24h: int | None = None
    high_24h: int | None = None
    low_24h: int | None = None
    volume_24h: Exact | None = None
    quote_volume_24h: Exact | None = None


class Liquidation(Struct, gc=False):
    """A liquidation order as far as the venue shows it; SELL closes a long."""

    market: Market
    side: int
    price: int
    size: int
    ts_event: int
    ts_basis: int
    ts_ingest: int
    coverage: int
    average_price: int | None = None
    filled_size: int | None = None
    contracts: int = 0


class Gap(Struct, kw_only=True):
    """One break of one feed of one instrument; revised under the same id when it is repaired."""

    id: str
    market: Market
    channel: int
    cause: int
    resolution: int
    ts_from: int
    ts_to: int = 0
    first_missing: int = 0
    last_missing: int = 0
    recovered: int = 0
    detail: str = ""


Event = Trade | SpentTradeId | BookChange | Ticker | Liquidation
