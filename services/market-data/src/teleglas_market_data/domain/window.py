"""The last 24 hours of a market, from its closed minutes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from teleglas_market_data.domain.bar import Bar
from teleglas_market_data.domain.intervals import DAY_NS, MINUTE_NS

__all__ = ["DayWindow", "Minute"]


class Minute(NamedTuple):
    """What a day needs of one closed minute."""

    high: int
    low: int
    close: int
    volume: int


@dataclass(slots=True)
class DayWindow:
    """Minutes that ended within 24 h of the newest one, by their begin; `before` is the close just
    ahead of them, unknown until the history is as long.
    """

    minutes: dict[int, Minute] = field(default_factory=dict)
    volume: int = 0
    before: int | None = None
    _extremes: tuple[int, int] | None = None

    def put(self, bar: Bar) -> None:
        """Take a closed minute, or a revision of one."""
        newest = next(reversed(self.minutes), bar.ts_open)
        if bar.ts_open + DAY_NS <= newest:
            return
        known = self.minutes.get(bar.ts_open)
        self.volume += bar.volume - (known.volume if known else 0)
        self.minutes[bar.ts_open] = Minute(bar.high, bar.low, bar.close, bar.volume)
        self._extremes = None
        if known is None and bar.ts_open < newest:
            self.minutes = dict(sorted(self.minutes.items()))
        self._expire(max(newest, bar.ts_open) + MINUTE_NS - DAY_NS)

    def extremes(self) -> tuple[int, int] | None:
        """Highest and lowest price; None without any minute."""
        if self._extremes is None and self.minutes:
            self._extremes = (
                max(minute.high for minute in self.minutes.values()),
                min(minute.low for minute in self.minutes.values()),
            )
        return self._extremes

    def begin(self) -> int | None:
        """Begin of the oldest minute."""
        return next(iter(self.minutes), None)

    def rescale(self, prices: int, sizes: int) -> None:
        """Multiply after the exponents became finer."""
        self.minutes = {
            ts: Minute(m.high * prices, m.low * prices, m.close * prices, m.volume * sizes)
            for ts, m in self.minutes.items()
        }
        self.volume *= sizes
        self._extremes = None
        if self.before is not None:
            self.before *= prices

    def _expire(self, oldest: int) -> None:
        while True:
            first = next(iter(self.minutes))
            if first >= oldest:
                return
            gone = self.minutes.pop(first)
            self.volume -= gone.volume
            self.before = gone.close
            self._extremes = None
