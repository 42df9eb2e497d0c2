"""What the shards need from outside."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from teleglas_common.checkpoints import Restored
from teleglas_market_data.domain.bar import Bar
from teleglas_market_data.domain.trades import TradeRow

__all__ = [
    "SCHEMA",
    "Checkpoint",
    "Latest",
    "LatestRow",
    "Restored",
    "Store",
    "StoredCandle",
    "StoredTrades",
]

SCHEMA = "market_data"
"""The database schema of this service's tables."""

Market = tuple[str, str]
"""Venue and instrument."""


@dataclass(slots=True)
class StoredCandle:
    """A closed candle with all that a later revision needs. `ts_known` is the watermark at which
    this revision was made.
    """

    venue: str
    instrument: str
    level: int
    price_exponent: int
    size_exponent: int
    contiguous: bool
    ts_known: int
    bar: Bar
    definition_version: int = 0
    components: tuple[tuple[str, str, int, bool], ...] = ()


class StoredTrades(NamedTuple):
    """Trades of one instrument that share their exponents."""

    venue: str
    instrument: str
    price_exponent: int
    size_exponent: int
    contracts_exponent: int
    rows: Sequence[TradeRow]
    is_plain: bool = False
    """See `domain.trades.examine`."""


@dataclass(frozen=True, slots=True)
class LatestRow:
    """The newest message of one kind about one market."""

    venue: str
    instrument: str
    ts_event: int
    message: bytes


@dataclass(slots=True)
class Checkpoint:
    """Everything that a shard stores in one transaction; only what changed since the last one."""

    shard: int
    generation: int
    offsets: Mapping[str, int]
    states: Mapping[str, bytes]
    trades: Sequence[StoredTrades] = ()
    candles: Collection[StoredCandle] = ()
    summaries: Collection[LatestRow] = ()
    tickers: Collection[LatestRow] = ()
    liquidations: Collection[bytes] = ()
    instruments: Collection[bytes] = ()
    gaps: Collection[bytes] = ()


class Store(Protocol):
    """The database, as a shard uses it."""

    async def restore(self, shard: int) -> Restored: ...

    async def save(self, checkpoint: Checkpoint) -> None:
        """Store all of it or nothing. Raises FencedError when another owner has moved on."""

    async def candles_at(
        self, market: Market, level: int, ts_opens: Sequence[int]
    ) -> list[StoredCandle]: ...

    async def candles_in(
        self, market: Market, level: int, begin: int, end: int
    ) -> list[StoredCandle]:
        """Closed candles with `begin <= ts_open < end`, oldest first."""

    async def known_trades(self, market: Market, rows: Sequence[TradeRow]) -> set[tuple[int, str]]:
        """(kind, id) of those trades that are stored."""


class Latest(Protocol):
    """The cache of latest values: each may overwrite the one before, and losing one is no harm."""

    def put(self, kind: str, venue: str, instrument: str, message: bytes) -> None:
        """Take a value; a newer one of the same key replaces it before it is written."""
