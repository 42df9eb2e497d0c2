"""The candle intervals that scores read, and the ladders that they form."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["LADDERS", "LIVE", "MINUTE_NS", "SECOND", "SECOND_NS", "Interval", "Ladder"]

SECOND_NS = 1_000_000_000
MINUTE_NS = 60 * SECOND_NS
HOUR_NS = 60 * MINUTE_NS


@dataclass(frozen=True, slots=True)
class Interval:
    """One candle length."""

    name: str
    length_ns: int

    def floor(self, ts: int) -> int:
        """Begin of the interval that holds `ts`."""
        return ts - ts % self.length_ns


SECOND = Interval("1s", SECOND_NS)
_M1 = Interval("1m", MINUTE_NS)
_M5 = Interval("5m", 5 * MINUTE_NS)
_M15 = Interval("15m", 15 * MINUTE_NS)
_H1 = Interval("1h", HOUR_NS)
_H4 = Interval("4h", 4 * HOUR_NS)
_D1 = Interval("1d", 24 * HOUR_NS)


@dataclass(frozen=True, slots=True)
class Ladder:
    """Three intervals, shortest first; the first one is the base that flow and prices come from.
    With seconds, the flow of orders within the base is known too.
    """

    intervals: tuple[Interval, Interval, Interval]
    has_seconds: bool = False

    @property
    def base(self) -> Interval:
        return self.intervals[0]

    def find(self, name: str) -> Interval | None:
        """The interval of this name, seconds among them where the ladder has them."""
        if self.has_seconds and name == SECOND.name:
            return SECOND
        return next((one for one in self.intervals if one.name == name), None)


LIVE = Ladder((_M1, _M5, _M15), has_seconds=True)

LADDERS = {
    ladder.base.name: ladder
    for ladder in (
        Ladder((_M1, _M5, _M15)),
        Ladder((_M5, _M15, _H1)),
        Ladder((_M15, _H1, _H4)),
        Ladder((_H1, _H4, _D1)),
    )
}
"""Of candle files, by the interval of the file."""
