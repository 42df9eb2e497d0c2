"""Open candles of one instrument, in every interval, from its trades by event time.

A trade changes only its second's bar. When the watermark passes a bar's end the bar closes and
merges into the bar of the next longer interval, so each level costs one merge per child and all
roll up exactly. What comes behind the watermark is late: see `lateness`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from teleglas_market_data.domain.admission import Admission
from teleglas_market_data.domain.bar import Bar, flat
from teleglas_market_data.domain.intervals import INTERVALS, SECOND_NS, Interval
from teleglas_market_data.domain.sequences import Hole
from teleglas_market_data.domain.spans import overlap_ns, share, touches_end
from teleglas_market_data.domain.trades import BUY, MARKET, TradeRow

__all__ = ["MAX_FLAT_RUN", "Closed", "InstrumentCandles", "Level", "LostSpan"]

MAX_FLAT_RUN = 1440
"""Quiet intervals filled in a row. A market silent for longer is dormant until it trades again."""


class Closed(NamedTuple):
    """A candle that closed, or changed after it had closed."""

    level: int
    bar: Bar


class LostSpan(NamedTuple):
    """Event time of which a feed without countable ids lost its trades."""

    ts_from: int
    ts_to: int


@dataclass(slots=True)
class Level:
    """The bars of one interval that may still change, from `frontier` on."""

    interval: Interval
    frontier: int = 0
    bars: dict[int, Bar] = field(default_factory=dict)
    carry: int | None = None
    flat_run: int = 0

    def bar_at(self, ts_open: int, template: Bar) -> Bar:
        """The open bar there, begun as an empty copy where there is none."""
        bar = self.bars.get(ts_open)
        if bar is None:
            bar = self.bars[ts_open] = flat(ts_open, template.open)
        return bar


@dataclass(slots=True)
class InstrumentCandles:
    """State of one instrument. `late` and `refused` are for the caller to empty and to count."""

    venue: str
    instrument: str
    price_exponent: int = 0
    size_exponent: int = 0
    contiguous: bool = False
    watermark: int = -1
    admission: Admission = field(default_factory=Admission)
    levels: list[Level] = field(default_factory=lambda: [Level(i) for i in INTERVALS])
    lost: dict[str, LostSpan] = field(default_factory=dict)
    late: list[TradeRow] = field(default_factory=list)

    def fold(self, rows: Sequence[TradeRow], *, is_plain: bool = False) -> None:
        """Count trades, each let in only once, into their seconds; put late ones aside.

        `is_plain` says that all are market prints of one second.
        """
        if is_plain:
            self._count(rows[0][7] - rows[0][7] % SECOND_NS, rows)
            return
        seconds: dict[int, list[TradeRow]] = {}
        for row in rows:
            if row[10] == MARKET:
                seconds.setdefault(row[7] - row[7] % SECOND_NS, []).append(row)
        for begin, run in seconds.items():
            self._count(begin, run)

    def _count(self, begin: int, rows: Sequence[TradeRow]) -> None:
        """Count trades of one second. Works on locals: this is the hottest loop of the service."""
        level = self.levels[0]
        if begin < level.frontier:
            self.late += rows
            return
        bar = level.bars.get(begin)
        if bar is None:
            bar = level.bars[begin] = _begun(begin, rows[0])
        high, low, ts_ingest = bar.high, bar.low, bar.ts_ingest
        first_ts, first_sequence, begun = bar.first_ts, bar.first_sequence, bar.open
        last_ts, last_sequence, close = bar.last_ts, bar.last_sequence, bar.close
        volume = quotes = bought = bought_quotes = 0
        for _, sequence, _, side, price, size, _, ts, _, received, _, _ in rows:
            quote = price * size
            volume += size
            quotes += quote
            if side == BUY:
                bought += size
                bought_quotes += quote
            if price > high:
                high = price
            elif price < low:
                low = price
            if ts > last_ts or (ts == last_ts and (sequence, price) > (last_sequence, close)):
                last_ts, last_sequence, close = ts, sequence, price
            elif ts < first_ts or (ts == first_ts and (sequence, price) < (first_sequence, begun)):
                first_ts, first_sequence, begun = ts, sequence, price
            if received > ts_ingest:
                ts_ingest = received
        bar.high, bar.low, bar.ts_ingest = high, low, ts_ingest
        bar.first_ts, bar.first_sequence, bar.open = first_ts, first_sequence, begun
        bar.last_ts, bar.last_sequence, bar.close = last_ts, last_sequence, close
        bar.trades += len(rows)
        bar.volume += volume
        bar.quote += quotes
        bar.buy_volume += bought
        bar.buy_quote += bought_quotes

    def advance(self, watermark: int) -> list[Closed]:
        """Close every interval that ends at or before `watermark`, shortest and oldest first.

        Nothing with `ts_event` at or below the watermark is expected any more.
        """
        if watermark <= self.watermark:
            return []
        self.watermark = watermark
        closed: list[Closed] = []
        for at, level in enumerate(self.levels):
            frontier = level.interval.closed_before(watermark)
            if frontier <= level.frontier:
                break
            self._close(at, frontier, closed)
            level.frontier = frontier
        return closed

    @property
    def has_late(self) -> bool:
        """Whether something waits for `lateness.plan`."""
        return self.admission.has_changes or bool(self.late)

    def refine(self, price_exponent: int, size_exponent: int) -> None:
        """Go over to the finer of two exponents; the first ones are taken as they are."""
        known = any(level.bars or level.carry is not None for level in self.levels)
        if not known:
            self.price_exponent, self.size_exponent = price_exponent, size_exponent
            return
        price_exponent = min(price_exponent, self.price_exponent)
        size_exponent = min(size_exponent, self.size_exponent)
        prices = 10 ** (self.price_exponent - price_exponent)
        sizes = 10 ** (self.size_exponent - size_exponent)
        self.price_exponent, self.size_exponent = price_exponent, size_exponent
        for level in self.levels:
            for bar in level.bars.values():
                bar.rescale(prices, sizes)
            if level.carry is not None:
                level.carry *= prices

    def forming(self, at: int) -> Bar | None:
        """The newest bar of a level as its trades stand now, though it may still change."""
        newest: Bar | None = None
        mine = self.levels[at]
        for level in self.levels[: at + 1]:
            for bar in level.bars.values():
                if not bar.trades:
                    continue
                begin = mine.interval.floor(bar.ts_open)
                if newest is None or begin > newest.ts_open:
                    newest = bar.at(begin)
                elif begin == newest.ts_open:
                    newest.merge(bar)
        if newest is None and mine.carry is not None:
            return flat(mine.frontier, mine.carry)
        return newest

    def note_breaks(self, at: int, bar: Bar) -> None:
        """Add what is known to be missing of a bar that closes or appears late.

        Seconds inside a break have no candle, so on that level only its two ends count.
        """
        begin, end = bar.ts_open, bar.ts_open + self.levels[at].interval.length_ns
        for hole in self.admission.holes():
            if at or touches_end(hole, begin, end):
                bar.missing += share(hole, begin, end)
        for span in self.lost.values():
            if at or touches_end(span, begin, end):
                bar.lost_ns += overlap_ns(span, begin, end)

    def _close(self, at: int, frontier: int, closed: list[Closed]) -> None:
        level = self.levels[at]
        length = level.interval.length_ns
        cursor = level.frontier
        for ts_open in sorted(begin for begin in level.bars if begin < frontier):
            bar = level.bars.pop(ts_open)
            if at:
                self._fill(at, cursor, ts_open, closed)
            if not bar.trades:
                self._fill(at, ts_open, ts_open + length, closed, bar)
                cursor = ts_open + length
                continue
            level.carry, level.flat_run = bar.close, 0
            if at + 1 < len(self.levels):
                above = self.levels[at + 1]
                above.bar_at(above.interval.floor(ts_open), bar).merge(bar)
            self.note_breaks(at, bar)
            closed.append(Closed(at, bar))
            cursor = ts_open + length
        if at:
            self._fill(at, cursor, frontier, closed)

    def _fill(
        self, at: int, begin: int, end: int, closed: list[Closed], known: Bar | None = None
    ) -> None:
        level = self.levels[at]
        if level.carry is None:
            return
        length = level.interval.length_ns
        room = MAX_FLAT_RUN - level.flat_run
        for ts_open in range(begin, min(end, begin + room * length), length):
            bar = flat(ts_open, level.carry)
            if known is not None:
                bar.missing, bar.lost_ns = known.missing, known.lost_ns
            self.note_breaks(at, bar)
            closed.append(Closed(at, bar))
            level.flat_run += 1

    def forget_holes(self, holes: Sequence[Hole]) -> None:
        """Keep what holes that are given up still mean for open candles."""
        for hole in holes:
            for level in self.levels[1:]:
                begin = level.interval.floor(max(hole.ts_from, level.frontier))
                while begin < hole.ts_to:
                    end = begin + level.interval.length_ns
                    bar = level.bars.setdefault(begin, flat(begin, level.carry or 0))
                    bar.missing += share(hole, begin, end)
                    begin = end


def _begun(begin: int, row: TradeRow) -> Bar:
    """A bar that stands at its first trade, which is still to be counted."""
    bar = flat(begin, row[4])
    bar.first_ts = bar.last_ts = row[7]
    bar.first_sequence = bar.last_sequence = row[1]
    return bar
