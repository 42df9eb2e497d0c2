"""What market-data counts, by the names of the registry."""

from __future__ import annotations

from typing import Protocol

from teleglas_market_data.domain.intervals import INTERVALS
from teleglas_market_data.ports import Checkpoint, StoredCandle

__all__ = ["Counter", "Counts", "Registry"]


class Counter(Protocol):
    """A number that only grows."""

    def inc(self, amount: float = 1) -> None: ...


class Registry(Protocol):
    """Finds a counter by name and label values."""

    def counter(self, name: str, *labels: str) -> Counter: ...


class Counts:
    """Counters of one process."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def candle(self, candle: StoredCandle) -> None:
        kind = "revised" if candle.bar.revision else "closed"
        name = f"teleglas_candles_{kind}_total"
        self._registry.counter(name, INTERVALS[candle.level].name).inc()

    def duplicates(self, venue: str, count: int) -> None:
        if count:
            self._registry.counter("teleglas_market_duplicate_trades_total", venue).inc(count)

    def late(self, venue: str, count: int) -> None:
        if count:
            self._registry.counter("teleglas_market_late_trades_total", venue).inc(count)

    def refused(self, venue: str, count: int) -> None:
        if count:
            self._registry.counter("teleglas_market_refused_trades_total", venue).inc(count)

    def resync(self, venue: str) -> None:
        self._registry.counter("teleglas_market_book_resyncs_total", venue).inc()

    def fenced(self, topic: str) -> None:
        self._registry.counter("teleglas_market_fenced_batches_total", topic).inc()

    def saved(self, checkpoint: Checkpoint) -> None:
        rows = {
            "trades": sum(len(batch.rows) for batch in checkpoint.trades),
            "candles": len(checkpoint.candles),
            "summaries": len(checkpoint.summaries),
            "tickers": len(checkpoint.tickers),
            "gaps": len(checkpoint.gaps),
        }
        for table, count in rows.items():
            if count:
                self._registry.counter("teleglas_market_rows_written_total", table).inc(count)
