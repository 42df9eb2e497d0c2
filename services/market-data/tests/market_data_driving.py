"""Drives the candle domain as the service does, with closed candles kept in dictionaries."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from teleglas_market_data.domain.bar import Bar
from teleglas_market_data.domain.candles import Closed, InstrumentCandles, LostSpan
from teleglas_market_data.domain.intervals import DAY_NS, INTERVALS
from teleglas_market_data.domain.lateness import plan, settle
from teleglas_market_data.domain.trades import TradeRow, examine

WEEK_NS = 7 * DAY_NS
BASE_TS = 1_723_161_600_000_000_000
"""2024-08-09 00:00 UTC."""


def row(
    sequence: int,
    ts: int,
    price: int = 100,
    size: int = 1,
    side: int = 1,
    kind: int = 1,
    printed: int = 1,
    trade_id: str | None = None,
) -> TradeRow:
    return (
        trade_id or str(sequence), sequence, kind, side, price, size, 0, ts, 1, ts + 5, printed,
        False,
    )  # fmt: skip


@dataclass
class Driver:
    contiguous: bool = True
    late_bound_ns: int = WEEK_NS
    candles: InstrumentCandles = field(
        default_factory=lambda: InstrumentCandles("binance", "BTC-USDT")
    )
    stored: list[dict[int, Bar]] = field(default_factory=lambda: [{} for _ in INTERVALS])
    known: set[tuple[int, str]] = field(default_factory=set)
    refused: int = 0
    published: int = 0

    def feed(self, rows: Sequence[TradeRow]) -> None:
        if not rows:
            return
        self.candles.contiguous = self.contiguous
        admission = self.candles.admission
        fresh, unsure = admission.admit(rows, contiguous=self.contiguous, is_plain=examine(rows))
        fresh = [*fresh, *(r for r in unsure if (r[2], r[0]) not in self.known)]
        self.known |= {(r[2], r[0]) for r in fresh}
        self.candles.fold(fresh)
        self._settle(())

    def lose(self, gap: str, ts_from: int, ts_to: int) -> None:
        span = LostSpan(ts_from, ts_to)
        self.candles.lost[gap] = span
        self._settle([(span, 1)])

    def progress(self, watermark: int) -> None:
        self._store(self.candles.advance(watermark))

    def _settle(self, lost: Iterable[tuple[LostSpan, int]]) -> None:
        made = plan(self.candles, late_bound_ns=self.late_bound_ns, lost_changes=lost)
        self.refused += made.refused
        if not made:
            return
        loaded = []
        for at, (level, changes) in enumerate(zip(self.candles.levels, made.levels, strict=True)):
            single, (begin, end) = changes.wanted(at, level)
            rows = self.stored[at]
            loaded.append(
                {
                    ts: copy.copy(bar)
                    for ts, bar in rows.items()
                    if ts in single or begin <= ts < end
                }
            )
        self._store(settle(self.candles, made, loaded))

    def _store(self, closed: Sequence[Closed]) -> None:
        for at, bar in closed:
            before = self.stored[at].get(bar.ts_open)
            assert bar.revision == (0 if before is None else before.revision + 1)
            self.stored[at][bar.ts_open] = copy.copy(bar)
            self.published += 1


def content(stored: list[dict[int, Bar]]) -> list[dict[int, tuple[int, ...]]]:
    """Closed candles without what may differ between two runs."""
    return [
        {
            ts: (
                bar.open, bar.high, bar.low, bar.close, bar.volume, bar.quote, bar.buy_volume,
                bar.buy_quote, bar.trades, bar.missing, bar.lost_ns,
            )
            for ts, bar in level.items()
        }
        for level in stored
    ]  # fmt: skip
