"""Bars of one length into longer ones, for files that hold only one interval."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from teleglas_signal_scorer.domain.bars import Bar
from teleglas_signal_scorer.domain.intervals import Interval

__all__ = ["RollUp"]


class RollUp:
    """Feed it bars in order; it gives the longer ones that are over."""

    def __init__(self, intervals: Sequence[Interval]) -> None:
        self._intervals = tuple(intervals)
        self._open: dict[str, list[Bar]] = {interval.name: [] for interval in intervals}

    def take(self, bar: Bar) -> Iterator[tuple[str, Bar]]:
        """(interval, bar) of each interval that ends with this bar, or ended before it."""
        for interval in self._intervals:
            parts = self._open[interval.name]
            begin = interval.floor(bar.ts_open)
            if parts and interval.floor(parts[0].ts_open) != begin:
                yield interval.name, _merged(interval, parts)
                parts.clear()
            parts.append(bar)
            if bar.ts_close == begin + interval.length_ns:
                yield interval.name, _merged(interval, parts)
                parts.clear()


def _merged(interval: Interval, parts: Sequence[Bar]) -> Bar:
    begin = interval.floor(parts[0].ts_open)
    lacks = any(bar.bought < 0 for bar in parts)
    return Bar(
        begin,
        begin + interval.length_ns,
        parts[0].open,
        max(bar.high for bar in parts),
        min(bar.low for bar in parts),
        parts[-1].close,
        sum(bar.volume for bar in parts),
        sum(bar.quote for bar in parts),
        -1.0 if lacks else sum(bar.bought for bar in parts),
        sum(bar.trades for bar in parts),
        min(bar.completeness for bar in parts),
        0,
    )
