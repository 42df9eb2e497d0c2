"""Roll candles up into longer ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from teleglas_market_data.domain.bar import Bar, flat
from teleglas_market_data.domain.intervals import Interval

__all__ = ["roll_up"]


def roll_up(bars: Iterable[Bar], into: Interval) -> Iterator[Bar]:
    """Merge bars in order of `ts_open` into bars of `into`, which must be a multiple of theirs.

    Exact: the result equals folding the trades of the shorter bars directly. A longer interval
    without any trade repeats the close before it.
    """
    current: Bar | None = None
    for bar in bars:
        begin = into.floor(bar.ts_open)
        if current is None or current.ts_open != begin:
            if current is not None:
                yield current
            current = flat(begin, bar.open)
        current.merge(bar)
        current.missing += bar.missing
        current.lost_ns += bar.lost_ns
    if current is not None:
        yield current
