"""Which horizons there are, and on which bars each of them stands."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "BY_NS",
    "HORIZONS",
    "INTERVALS_NS",
    "MAX_BARS",
    "MINUTE_NS",
    "MIN_BARS",
    "SECOND_NS",
    "SETTLED_BARS",
    "Horizon",
    "horizons_on",
    "label_of",
]

SECOND_NS = 1_000_000_000
MINUTE_NS = 60 * SECOND_NS

MIN_BARS = 3
"""Closed bars before the random walk says anything."""
SETTLED_BARS = 20
"""Closed bars from which on its scale rests on this market alone, and outcomes move its widths."""
MAX_BARS = 192
"""Closed bars that a forecast looks at; the boosted model needs all of them."""


@dataclass(frozen=True, slots=True)
class Horizon:
    """A forecast `length_ns` ahead, made at each closed bar of `interval`."""

    name: str
    length_ns: int
    interval: str
    interval_ns: int

    @property
    def steps(self) -> int:
        """Bars from a forecast to its target."""
        return self.length_ns // self.interval_ns


HORIZONS: tuple[Horizon, ...] = (
    Horizon("5m", 5 * MINUTE_NS, "1m", MINUTE_NS),
    Horizon("15m", 15 * MINUTE_NS, "5m", 5 * MINUTE_NS),
    Horizon("1h", 60 * MINUTE_NS, "5m", 5 * MINUTE_NS),
    Horizon("4h", 240 * MINUTE_NS, "15m", 15 * MINUTE_NS),
    Horizon("24h", 1_440 * MINUTE_NS, "1h", 60 * MINUTE_NS),
)
BY_NS = {horizon.length_ns: horizon for horizon in HORIZONS}
INTERVALS_NS = {horizon.interval: horizon.interval_ns for horizon in HORIZONS}


def horizons_on(interval: str) -> tuple[Horizon, ...]:
    """The horizons that stand on bars of this interval."""
    return tuple(horizon for horizon in HORIZONS if horizon.interval == interval)


def label_of(length_ns: int) -> str:
    """The horizon's name for people and metrics."""
    return BY_NS[length_ns].name
