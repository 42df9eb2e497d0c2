"""What a shard has changed since its last checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from teleglas_market_data.domain.trades import TradeRow
from teleglas_market_data.ports import LatestRow, Market, StoredCandle, StoredTrades

__all__ = ["Pending"]


@dataclass(slots=True)
class Pending:
    """Rows that wait for the next checkpoint; each lies over what the store still says."""

    trades: list[StoredTrades] = field(default_factory=list)
    candles: dict[tuple[Market, int], dict[int, StoredCandle]] = field(default_factory=dict)
    summaries: dict[Market, LatestRow] = field(default_factory=dict)
    tickers: dict[Market, LatestRow] = field(default_factory=dict)
    liquidations: dict[str, bytes] = field(default_factory=dict)
    instruments: dict[Market, bytes] = field(default_factory=dict)
    gaps: dict[tuple[str, str, str], bytes] = field(default_factory=dict)
    touched: set[Market] = field(default_factory=set)

    @property
    def is_latest_only(self) -> bool:
        """Whether all of it are latest values, which the cache holds as well."""
        return not (
            self.trades or self.candles or self.liquidations or self.instruments or self.gaps
        )

    def put(self, candle: StoredCandle) -> None:
        """Take a closed candle; a later revision replaces an earlier."""
        market = (candle.venue, candle.instrument)
        self.candles.setdefault((market, candle.level), {})[candle.bar.ts_open] = candle

    def candles_of(self, market: Market, level: int) -> dict[int, StoredCandle]:
        """Closed candles of one level, by `ts_open`."""
        return self.candles.get((market, level), {})

    def all_candles(self) -> list[StoredCandle]:
        """Closed candles of every market and level."""
        return [candle for found in self.candles.values() for candle in found.values()]

    def knows(self, market: Market, rows: Sequence[TradeRow]) -> set[tuple[int, str]]:
        """(kind, id) of those trades that wait here."""
        wanted = {(row[2], row[0]) for row in rows}
        return {
            (row[2], row[0])
            for batch in self.trades
            if (batch.venue, batch.instrument) == market
            for row in batch.rows
            if (row[2], row[0]) in wanted
        }
