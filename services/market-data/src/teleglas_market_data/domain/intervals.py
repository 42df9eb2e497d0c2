"""The candle intervals and where they begin: all in UTC, weeks on Monday."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["BY_NAME", "DAY_NS", "INTERVALS", "MINUTE_NS", "SECOND_NS", "Interval"]

SECOND_NS = 1_000_000_000
MINUTE_NS = 60 * SECOND_NS
HOUR_NS = 60 * MINUTE_NS
DAY_NS = 24 * HOUR_NS

FIRST_MONDAY_NS = 4 * DAY_NS
"""1970-01-05: the epoch itself was a Thursday."""


@dataclass(frozen=True, slots=True)
class Interval:
    """One candle length; each is a whole number of the one before it."""

    name: str
    length_ns: int
    offset_ns: int = 0

    def floor(self, ts: int) -> int:
        """Begin of the interval that holds `ts`."""
        return ts - (ts - self.offset_ns) % self.length_ns

    def closed_before(self, watermark: int) -> int:
        """Begin of the first interval that is not over when nothing up to `watermark` comes."""
        return self.floor(watermark + 1)


INTERVALS = (
    Interval("1s", SECOND_NS),
    Interval("1m", MINUTE_NS),
    Interval("5m", 5 * MINUTE_NS),
    Interval("15m", 15 * MINUTE_NS),
    Interval("1h", HOUR_NS),
    Interval("4h", 4 * HOUR_NS),
    Interval("1d", DAY_NS),
    Interval("1w", 7 * DAY_NS, FIRST_MONDAY_NS),
)
"""Shortest first."""

BY_NAME = {interval.name: interval for interval in INTERVALS}
