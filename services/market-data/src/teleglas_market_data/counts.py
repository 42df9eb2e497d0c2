"""What market-data counts, by the names of the registry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from teleglas_market_data.domain.intervals import INTERVALS, SECOND_NS
from teleglas_market_data.ports import Checkpoint, StoredCandle

__all__ = ["Counter", "Counts", "Gauge", "Registry"]


class Counter(Protocol):
    """A number that only grows."""

    def inc(self, amount: float = 1) -> None: ...


class Gauge(Protocol):
    """A number that comes and goes."""

    def set(self, value: float) -> None: ...


class Registry(Protocol):
    """Finds a counter or a gauge by name and label values."""

    def gauge(self, name: str, *labels: str) -> Gauge: ...

    def counter(self, name: str, *labels: str) -> Counter: ...


class Counts:
    """Counters of one process."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._open: dict[int, int] = {}
        self._marks: dict[int, Mapping[str, int]] = {}

    def stands(self, shard: int, forming: int, oldest: Mapping[str, int], now_ns: int) -> None:
        """A shard forms so many candles; `oldest` is each venue's lowest watermark in it."""
        self._open[shard], self._marks[shard] = forming, oldest
        self._registry.gauge("teleglas_market_open_candles").set(sum(self._open.values()))
        for venue in {venue for marks in self._marks.values() for venue in marks}:
            lowest = min(marks[venue] for marks in self._marks.values() if venue in marks)
            age_s = (now_ns - lowest) / SECOND_NS
            self._registry.gauge("teleglas_market_watermark_age_seconds", venue).set(age_s)

    def left(self, shard: int) -> None:
        """A shard is not ours any more."""
        self._marks.pop(shard, None)
        self._open.pop(shard, None)
        self._registry.gauge("teleglas_market_open_candles").set(sum(self._open.values()))

    def candle(self, candle: StoredCandle) -> None:
        kind = "revised" if candle.bar.revision else "closed"
        name = f"teleglas_candles_{kind}_total"
        self._registry.counter(name, INTERVALS[candle.level].name).inc()
        if candle.bar.missing > 0 or candle.bar.lost_ns > 0:
            self._registry.counter(
                "teleglas_candles_incomplete_total", INTERVALS[candle.level].name
            ).inc()

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
