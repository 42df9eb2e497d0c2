"""The pseudo-venue `composite`: one market made of the same instrument on several venues.

Volumes are sums. A price is the mean of the members' prices, weighted as the definition says, over
the members that are fresh: that traded within the staleness limit. It is taken each second, from
each member's own open, high, low and close there (its last price, if it did not trade), so a member
that drops out or comes back moves the price once and never makes it flicker between venues.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from teleglas_market_data.domain.bar import Bar
from teleglas_market_data.domain.candles import Closed, InstrumentCandles
from teleglas_market_data.domain.intervals import INTERVALS, SECOND_NS

__all__ = ["COMPOSITE", "Composer", "CompositeMarket", "Definition", "Part"]

COMPOSITE = "composite"

Part = tuple[str, int, bool]
"""A member that traded in the interval or was fresh: venue, trades, fresh at the interval's end."""


@dataclass(frozen=True, slots=True)
class Definition:
    """Which venues count, with which weight, and for how long one without trades still does.

    A member that lies behind the others by more than `drop_out_ns` is not waited for; what it says
    later revises.
    """

    version: int
    weights: Mapping[str, int]
    staleness_ns: int
    drop_out_ns: int

    def __post_init__(self) -> None:
        if not self.weights or any(weight <= 0 for weight in self.weights.values()):
            raise ValueError(f"expected venues with weights above 0, was {dict(self.weights)}")
        if not SECOND_NS <= self.staleness_ns <= 60 * SECOND_NS:
            raise ValueError(f"expected a staleness of 1 to 60 s, was {self.staleness_ns} ns")


@dataclass(slots=True)
class Composer:
    """Goes through seconds in order and remembers each member's last price."""

    definition: Definition
    last: dict[str, tuple[int, int]] = field(default_factory=dict)

    def compose(self, ts_open: int, bars: Mapping[str, Bar]) -> tuple[Bar, list[Part]]:
        """The composite of one second in which at least one member traded."""
        limit = ts_open + SECOND_NS - self.definition.staleness_ns
        prices: list[tuple[int, Sequence[int]]] = []
        parts: list[Part] = []
        for venue, weight in sorted(self.definition.weights.items()):
            bar = bars.get(venue)
            known = self.last.get(venue)
            if bar is not None:
                prices.append((weight, (bar.open, bar.high, bar.low, bar.close)))
                self.last[venue] = (bar.close, bar.last_ts)
                parts.append((venue, bar.trades, True))
            elif known is not None and known[1] >= limit:
                prices.append((weight, (known[0],) * 4))
                parts.append((venue, 0, True))
        total = sum(weight for weight, _ in prices)
        means = [_mean(sum(weight * four[at] for weight, four in prices), total) for at in range(4)]
        traded = bars.values()
        composed = Bar(
            ts_open,
            min(bar.first_ts for bar in traded),
            0,
            means[0],
            means[1],
            means[2],
            max(bar.last_ts for bar in traded),
            0,
            means[3],
            sum(bar.volume for bar in traded),
            sum(bar.quote for bar in traded),
            sum(bar.buy_volume for bar in traded),
            sum(bar.buy_quote for bar in traded),
            sum(bar.trades for bar in traded),
            sum(bar.missing for bar in traded),
            0,
            max(bar.ts_ingest for bar in traded),
        )
        return composed, parts


def _mean(weighted: int, total: int) -> int:
    return (2 * weighted + total) // (2 * total)


@dataclass(slots=True)
class MemberState:
    """What one member has closed that the composite has not: its seconds, and of each longer
    interval its trades, missing trades and the time of its last trade.
    """

    frontier: int = 0
    seconds: dict[int, Bar] = field(default_factory=dict)
    parts: list[dict[int, tuple[int, int, int]]] = field(
        default_factory=lambda: [{} for _ in INTERVALS]
    )


@dataclass(slots=True)
class CompositeMarket:
    """State of one composite. Its candles' ladder is the venues' own, fed with composed seconds."""

    definition: Definition
    candles: InstrumentCandles
    composer: Composer
    members: dict[str, MemberState] = field(default_factory=dict)
    dirty: list[set[int]] = field(default_factory=lambda: [set() for _ in INTERVALS])
    parts: dict[int, list[Part]] = field(default_factory=dict)

    def take(self, venue: str, level: int, bar: Bar) -> None:
        """A member's candle closed or was revised; mantissas are at the composite's exponents."""
        member = self.members.setdefault(venue, MemberState())
        if bar.ts_open < self.candles.levels[level].frontier:
            self.dirty[level].add(bar.ts_open)
        elif level == 0:
            member.seconds[bar.ts_open] = bar
        else:
            member.parts[level][bar.ts_open] = (bar.trades, bar.missing, bar.last_ts)

    def advance(self) -> list[tuple[Closed, list[Part]]]:
        """Close what all members that are not dropped out have closed."""
        furthest = max((member.frontier for member in self.members.values()), default=0)
        oldest = furthest - self.definition.drop_out_ns
        frontier = min(
            (m.frontier for m in self.members.values() if m.frontier >= oldest), default=0
        )
        if frontier <= self.candles.levels[0].frontier:
            return []
        seconds = {ts for m in self.members.values() for ts in m.seconds if ts < frontier}
        composed = self.candles.levels[0].bars
        for ts_open in sorted(seconds):
            bars = {
                venue: member.seconds.pop(ts_open)
                for venue, member in self.members.items()
                if ts_open in member.seconds
            }
            composed[ts_open], self.parts[ts_open] = self.composer.compose(ts_open, bars)
        closed = [(one, self._parts_of(one)) for one in self.candles.advance(frontier - 1)]
        self._forget()
        return closed

    def _forget(self) -> None:
        """Drop what members said of intervals of which no composite candle was made."""
        for member in self.members.values():
            for level, parts in zip(self.candles.levels, member.parts, strict=True):
                for ts_open in [ts for ts in parts if ts < level.frontier]:
                    del parts[ts_open]

    def rescale(self, prices: int, sizes: int) -> None:
        """Multiply after the exponents became finer; the candles' own were already."""
        self.composer.last = {v: (p * prices, ts) for v, (p, ts) in self.composer.last.items()}
        for member in self.members.values():
            for bar in member.seconds.values():
                bar.rescale(prices, sizes)

    def _parts_of(self, closed: Closed) -> list[Part]:
        level, bar = closed
        if level == 0:
            return self.parts.pop(bar.ts_open)
        limit = bar.ts_open + INTERVALS[level].length_ns - self.definition.staleness_ns
        parts: list[Part] = []
        for venue, member in sorted(self.members.items()):
            trades, missing, last_ts = member.parts[level].pop(bar.ts_open, (0, 0, 0))
            bar.missing += missing
            if trades:
                parts.append((venue, trades, last_ts >= limit))
        return parts
