"""The trailing distribution of an instrument's parent orders: logarithmic bins of event-time hours.

A bin is 2 % wide, so a quantile is at most 1 % off. Each hour's counts go into two decayed sums: of
all hours (a week's memory), and of that hour of day (a memory of seven of its kind). Sums depend on
the fills alone, never on how they were batched.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import exp, floor, log

__all__ = ["HOUR_NS", "Definition", "Histogram", "Sketch"]

HOUR_NS = 3_600_000_000_000
_WIDTH = log(1.02)
_KEEP_ALL = exp(-1 / 168)
_KEEP_OWN = exp(-1 / 7)
_DUST = 1e-6


def bin_of(notional: float) -> int:
    """The bin of a notional; next to nothing shares one."""
    return floor(log(max(notional, 1e-9)) / _WIDTH)


@dataclass(frozen=True, slots=True)
class Definition:
    """What counts as a whale; a new version with every change."""

    version: int = 1
    quantile: float = 0.999
    min_observations: int = 5_000
    """No alert before so many parent orders of the instrument are known."""
    own_hour_observations: int = 50_000
    own_hour_days: int = 7
    """An hour of day has its own threshold once it has so many parent orders of so many days."""


@dataclass(slots=True)
class Histogram:
    """Counts by logarithmic bin; `total` is their sum."""

    bins: dict[int, float] = field(default_factory=dict)
    total: float = 0.0

    def add(self, bin_number: int, count: float = 1.0) -> None:
        self.bins[bin_number] = self.bins.get(bin_number, 0.0) + count
        self.total += count

    def decay(self, keep: float) -> None:
        """Let everything fade; what is next to nothing is dropped."""
        self.bins = {b: c * keep for b, c in sorted(self.bins.items()) if c * keep > _DUST}
        self.total = sum(self.bins.values())

    def merge(self, other: Histogram) -> None:
        for number, count in sorted(other.bins.items()):
            self.add(number, count)

    def above(self, bin_number: int) -> float:
        """How many lie in higher bins."""
        return sum(count for number, count in sorted(self.bins.items()) if number > bin_number)


@dataclass(slots=True)
class Sketch:
    """One instrument's distribution. `observations` and `days` never fade."""

    hour: int = -1
    observations: int = 0
    current: Histogram = field(default_factory=Histogram)
    trailing: Histogram = field(default_factory=Histogram)
    by_hour: dict[int, Histogram] = field(default_factory=dict)
    days: dict[int, int] = field(default_factory=dict)

    def add(self, notional: float, ts: int) -> bool:
        """Count a parent order; True when an hour was over before it."""
        rotated = self.rotate(ts)
        self.current.add(bin_of(notional))
        self.observations += 1
        return rotated

    def rotate(self, ts: int) -> bool:
        """Close the hours before `ts`."""
        hour = ts // HOUR_NS
        if hour <= self.hour:
            return False
        if self.hour < 0:
            self.hour = hour
            return False
        passed = hour - self.hour
        own = self.by_hour.setdefault(self.hour % 24, Histogram())
        own.decay(_KEEP_OWN)
        own.merge(self.current)
        self.days[self.hour % 24] = self.days.get(self.hour % 24, 0) + 1
        self.trailing.merge(self.current)
        self.trailing.decay(_KEEP_ALL ** min(passed, 10_000))
        self.current = Histogram()
        self.hour = hour
        return True

    def warm_up(self, definition: Definition) -> float:
        """How much is known of what must be known, 0 to 1."""
        return min(1.0, self.observations / definition.min_observations)

    def threshold(self, definition: Definition) -> float | None:
        """The notional that an alert must reach; None while warming up."""
        if self.observations < definition.min_observations:
            return None
        return self._quantile(self._parts(definition), definition.quantile)

    def percentile(self, notional: float, definition: Definition) -> float:
        """The share of parent orders that are smaller."""
        parts = self._parts(definition)
        total = sum(part.total for part in parts)
        if total <= 0:
            return 0.0
        bin_number = bin_of(notional)
        return max(0.0, 1.0 - sum(part.above(bin_number) for part in parts) / total)

    def largest(self) -> float:
        """The upper end of the highest bin."""
        numbers = [max(part.bins) for part in (self.trailing, self.current) if part.bins]
        return exp((max(numbers) + 1) * _WIDTH) if numbers else 0.0

    def _parts(self, definition: Definition) -> tuple[Histogram, ...]:
        own = self.by_hour.get(self.hour % 24)
        if (
            own is not None
            and own.total >= definition.own_hour_observations
            and self.days.get(self.hour % 24, 0) >= definition.own_hour_days
        ):
            return (own,)
        return (self.trailing, self.current)

    def _quantile(self, parts: tuple[Histogram, ...], quantile: float) -> float:
        total = sum(part.total for part in parts)
        beyond = total * (1.0 - quantile)
        numbers = sorted({number for part in parts for number in part.bins}, reverse=True)
        passed = 0.0
        for number in numbers:
            passed += sum(part.bins.get(number, 0.0) for part in parts)
            if passed >= beyond:
                return exp((number + 0.5) * _WIDTH)
        return exp((numbers[-1] + 0.5) * _WIDTH) if numbers else 0.0
