"""Closed candles in order: the newest few of one interval."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

import msgspec

__all__ = ["Bar", "Series"]


class Bar(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A closed candle as a score reads it. Volumes are in base, `quote` in quote; `bought` is the
    takers' buy volume, below 0 where the source does not say it.
    """

    ts_open: int
    ts_close: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    quote: float
    bought: float
    trades: int
    completeness: float
    revision: int


class Series:
    """At most `keep` bars, oldest first. `version` counts the changes, so that what was computed
    from the bars can be kept as long as they are the same.
    """

    __slots__ = ("bars", "keep", "version")

    def __init__(self, keep: int, bars: Sequence[Bar] = ()) -> None:
        self.keep = keep
        self.bars = list(bars)[-keep:]
        self.version = 0

    def put(self, bar: Bar) -> None:
        """Take a bar in its place; one of the same begin replaces the earlier."""
        bars = self.bars
        self.version += 1
        if not bars or bar.ts_open > bars[-1].ts_open:
            bars.append(bar)
            if len(bars) > self.keep:
                del bars[0]
            return
        at = bisect_left(bars, bar.ts_open, key=_begin)
        if bars[at].ts_open == bar.ts_open:
            bars[at] = bar
        elif at or len(bars) < self.keep:
            bars.insert(at, bar)
            if len(bars) > self.keep:
                del bars[0]

    def last(self, count: int) -> list[Bar]:
        """The newest `count` bars; fewer where fewer are known."""
        return self.bars[-count:]

    @property
    def newest(self) -> Bar | None:
        return self.bars[-1] if self.bars else None


def _begin(bar: Bar) -> int:
    return bar.ts_open
