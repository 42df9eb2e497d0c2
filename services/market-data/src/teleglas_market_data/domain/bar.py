"""An interval's trades folded into one value. Folding is commutative and associative."""

from __future__ import annotations

from dataclasses import dataclass, replace

__all__ = ["Bar", "flat"]


@dataclass(slots=True)
class Bar:
    """Prices and sizes are mantissas of their instrument's exponents, quotes of the exponents' sum.

    The open belongs to the least and the close to the greatest (ts_event, sequence, price) of its
    trades, so that no order of arrival shows. A bar without trades repeats an earlier close.
    """

    ts_open: int
    first_ts: int
    first_sequence: int
    open: int
    high: int
    low: int
    last_ts: int
    last_sequence: int
    close: int
    volume: int
    quote: int
    buy_volume: int
    buy_quote: int
    trades: int
    missing: int = 0
    lost_ns: int = 0
    ts_ingest: int = 0
    revision: int = 0

    def merge(self, other: Bar) -> None:
        """Take in the trades of `other`, which shares none with this bar."""
        if not other.trades:
            return
        if not self.trades or other.first < self.first:
            self.first_ts = other.first_ts
            self.first_sequence = other.first_sequence
            self.open = other.open
        if not self.trades or other.last > self.last:
            self.last_ts = other.last_ts
            self.last_sequence = other.last_sequence
            self.close = other.close
        if not self.trades or other.high > self.high:
            self.high = other.high
        if not self.trades or other.low < self.low:
            self.low = other.low
        self.volume += other.volume
        self.quote += other.quote
        self.buy_volume += other.buy_volume
        self.buy_quote += other.buy_quote
        self.trades += other.trades
        if other.ts_ingest > self.ts_ingest:
            self.ts_ingest = other.ts_ingest

    @property
    def first(self) -> tuple[int, int, int]:
        """What orders the opening trade among all."""
        return (self.first_ts, self.first_sequence, self.open)

    @property
    def last(self) -> tuple[int, int, int]:
        """What orders the closing trade among all."""
        return (self.last_ts, self.last_sequence, self.close)

    def at(self, ts_open: int) -> Bar:
        """The same trades as the beginning of a longer interval, without what was missing."""
        return replace(self, ts_open=ts_open, missing=0, lost_ns=0, revision=0)

    def rescale(self, price_factor: int, size_factor: int) -> None:
        """Multiply mantissas after an instrument's exponents became finer."""
        both = price_factor * size_factor
        self.open *= price_factor
        self.high *= price_factor
        self.low *= price_factor
        self.close *= price_factor
        self.volume *= size_factor
        self.buy_volume *= size_factor
        self.quote *= both
        self.buy_quote *= both


def flat(ts_open: int, price: int) -> Bar:
    """An interval without trades at the price before it."""
    return Bar(ts_open, 0, 0, price, price, price, 0, 0, price, 0, 0, 0, 0, 0)
