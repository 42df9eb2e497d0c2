"""What a late trade or a break in a feed changes in candles that are closed.

`plan` says which stored candles are needed, `settle` changes them. A late trade climbs from its
second upwards: closed candles get a new revision; the first level where its interval is still open
takes it in, and the rest follows when that level closes. A revised close moves the quiet candles
behind it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from teleglas_market_data.domain.bar import Bar, flat
from teleglas_market_data.domain.candles import (
    MAX_FLAT_RUN,
    Closed,
    InstrumentCandles,
    Level,
    LostSpan,
)
from teleglas_market_data.domain.sequences import Hole
from teleglas_market_data.domain.spans import MAX_HOLE_NS, overlap_ns, share
from teleglas_market_data.domain.trades import TradeRow

__all__ = ["LevelPlan", "Plan", "Rewriting", "plan", "settle"]

StoredBars = Mapping[int, Bar]
"""Closed candles of one level by `ts_open`."""


@dataclass(slots=True)
class LevelPlan:
    """Changes of one level's closed candles: trades, missing trades and lost time, by `ts_open`."""

    trades: dict[int, Bar] = field(default_factory=dict)
    missing: dict[int, int] = field(default_factory=dict)
    lost_ns: dict[int, int] = field(default_factory=dict)

    def wanted(self, at: int, level: Level) -> tuple[list[int], tuple[int, int]]:
        """The stored candles to load: single ones by `ts_open`, and a range of it."""
        touched = sorted({*self.trades, *self.missing, *self.lost_ns})
        if not touched or at == 0:
            return touched, (0, 0)
        end = touched[-1] + level.interval.length_ns
        if self.trades:
            behind = max(self.trades) + (MAX_FLAT_RUN + 1) * level.interval.length_ns
            end = max(end, min(level.frontier, behind))
        return [], (touched[0], end)


@dataclass(slots=True)
class Plan:
    """Changes of every level; `refused` trades were later than the bound."""

    levels: list[LevelPlan]
    refused: int = 0

    def __bool__(self) -> bool:
        return any(level.trades or level.missing or level.lost_ns for level in self.levels)


def plan(
    candles: InstrumentCandles,
    *,
    late_bound_ns: int,
    lost_changes: Iterable[tuple[LostSpan, int]] = (),
) -> Plan:
    """Take what is late into open candles, and say what it means for closed ones."""
    made = Plan([LevelPlan() for _ in candles.levels])
    late, candles.late = candles.late, []
    oldest = candles.levels[0].frontier - late_bound_ns
    timely = [row for row in late if row[7] >= oldest]
    made.refused = len(late) - len(timely)
    if timely:
        _climb(candles, timely, made)
    for hole, count in candles.admission.take_changes():
        if hole.ts_to - hole.ts_from <= MAX_HOLE_NS:
            _spread(candles, made, hole, count)
    for span, count in lost_changes:
        _spread(candles, made, span, count)
    candles.forget_holes(candles.admission.take_forgotten())
    return made


def settle(candles: InstrumentCandles, made: Plan, stored: Sequence[StoredBars]) -> list[Closed]:
    """Give every changed candle its next revision; `stored` is what `wanted` asked for."""
    changed: list[Closed] = []
    for at, (level, changes) in enumerate(zip(candles.levels, made.levels, strict=True)):
        bars = Rewriting(candles, at, level, dict(stored[at]))
        for ts_open in sorted(changes.trades):
            bars.add(changes.trades[ts_open])
        if at:
            for ts_open in sorted(changes.trades):
                bars.carry_on(ts_open)
        bars.adjust(changes.missing, changes.lost_ns)
        changed += [Closed(at, bars.bars[ts_open]) for ts_open in sorted(bars.touched)]
    return changed


def _climb(candles: InstrumentCandles, rows: Sequence[TradeRow], made: Plan) -> None:
    scratch = InstrumentCandles(candles.venue, candles.instrument)
    scratch.fold(rows)
    deltas = scratch.levels[0].bars
    for level, changes in zip(candles.levels, made.levels, strict=True):
        remaining: dict[int, Bar] = {}
        for delta in deltas.values():
            begin = level.interval.floor(delta.ts_open)
            if begin >= level.frontier:
                level.bar_at(begin, delta).merge(delta)
            elif begin in remaining:
                remaining[begin].merge(delta)
            else:
                remaining[begin] = delta.at(begin)
        changes.trades = remaining
        deltas = remaining


def _spread(candles: InstrumentCandles, made: Plan, span: Hole | LostSpan, count: int) -> None:
    for at, (level, changes) in enumerate(zip(candles.levels, made.levels, strict=True)):
        length = level.interval.length_ns
        first, last = level.interval.floor(span.ts_from), level.interval.floor(span.ts_to)
        # Seconds inside a break have no candle: only those at its ends can be stored.
        begins = {first, last} if at == 0 else range(first, last + 1, length)
        for begin in begins:
            if begin >= level.frontier:
                continue
            if isinstance(span, Hole):
                part, target = share(span, begin, begin + length), changes.missing
            else:
                part, target = overlap_ns(span, begin, begin + length), changes.lost_ns
            if part:
                target[begin] = target.get(begin, 0) + count * part


@dataclass(slots=True)
class Rewriting:
    """Closed candles of one level while they change; `touched` ones have a new revision."""

    candles: InstrumentCandles
    at: int
    level: Level
    bars: dict[int, Bar]
    touched: set[int] = field(default_factory=set)
    born: set[int] = field(default_factory=set)

    def put(self, bar: Bar) -> None:
        """Set a candle to what it should be; nothing happens where it is already."""
        known = self.bars.get(bar.ts_open)
        bar.revision = known.revision if known is not None else -1
        if known is not None and replace(known, ts_ingest=0) == replace(bar, ts_ingest=0):
            return
        self.bars[bar.ts_open] = bar
        self._touch(bar)

    def add(self, delta: Bar) -> None:
        """Merge trades into a candle."""
        bar = self.bars.get(delta.ts_open)
        if bar is None:
            self._bear(replace(delta))
            return
        bar.merge(delta)
        self._touch(bar)

    def carry_on(self, ts_open: int) -> None:
        """Repeat a candle's close in the quiet ones behind it."""
        price = self.bars[ts_open].close
        length = self.level.interval.length_ns
        for run in range(1, MAX_FLAT_RUN + 1):
            behind = ts_open + run * length
            if behind >= self.level.frontier:
                self.level.carry, self.level.flat_run = price, run - 1
                return
            bar = self.bars.get(behind)
            if bar is None:
                self._bear(flat(behind, price))
            elif bar.trades:
                return
            elif bar.close != price:
                bar.open = bar.high = bar.low = bar.close = price
                self._touch(bar)
        if ts_open + (MAX_FLAT_RUN + 1) * length >= self.level.frontier:
            self.level.carry, self.level.flat_run = price, MAX_FLAT_RUN

    def adjust(self, missing: Mapping[int, int], lost_ns: Mapping[int, int]) -> None:
        """Add to what is missing of candles that were known before."""
        for ts_open in missing.keys() | lost_ns.keys():
            bar = self.bars.get(ts_open)
            if bar is None or ts_open in self.born:
                continue
            more, longer = missing.get(ts_open, 0), lost_ns.get(ts_open, 0)
            if more or longer:
                bar.missing += more
                bar.lost_ns += longer
                self._touch(bar)

    def _bear(self, bar: Bar) -> None:
        self.candles.note_breaks(self.at, bar)
        self.bars[bar.ts_open] = bar
        self.born.add(bar.ts_open)
        self.touched.add(bar.ts_open)

    def _touch(self, bar: Bar) -> None:
        if bar.ts_open not in self.touched:
            bar.revision += 1
            self.touched.add(bar.ts_open)
