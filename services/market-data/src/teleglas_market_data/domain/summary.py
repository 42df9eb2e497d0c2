"""What a market looks like now, said at whole ticks of event time and only when it changed.

Trades, quotes and books come on topics of their own, so a tick is said when all of them have passed
it: then it depends on what happened before the tick and on nothing else. What comes behind its own
topic's mark counts from that mark on, so how the topics interleave does not matter.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from teleglas_market_data.domain.candles import Closed
from teleglas_market_data.domain.intervals import DAY_NS, MINUTE_NS, SECOND_NS
from teleglas_market_data.domain.window import DayWindow

__all__ = ["MAX_WAITING_TICKS", "MarketSummary", "Quote", "SummaryView", "TradeSide"]

MAX_WAITING_TICKS = 3_600
"""Ticks that wait for slower topics; the oldest are said without them beyond that."""


class Quote(msgspec.Struct, array_like=True, frozen=True):
    """What is quoted, as far as known; prices at `exponent`."""

    ts_event: int = 0
    exponent: int = 0
    bid: int | None = None
    ask: int | None = None
    mark: int | None = None
    funding_rate: float | None = None
    open_interest: float | None = None


class TradeSide(msgspec.Struct, array_like=True, frozen=True):
    """What trades say at a tick."""

    ts_event: int
    price: int
    volume: int
    high: int
    low: int
    before: int | None
    window_s: int


class SummaryView(msgspec.Struct, array_like=True, frozen=True):
    """One summary; `trades` at the market's own exponents, quotes at theirs."""

    tick: int
    trades: TradeSide
    quote: Quote
    top: Quote


class Partial(msgspec.Struct, array_like=True):
    """The seconds since the last closed minute."""

    high: int = 0
    low: int = 0
    volume: int = 0
    trades: int = 0


class SavedSummary(msgspec.Struct, array_like=True, frozen=True):
    """Everything but the window, which closed minutes rebuild."""

    waiting: list[tuple[int, TradeSide]]
    quotes: list[tuple[int, Quote]]
    tops: list[tuple[int, Quote]]
    quote: Quote
    top: Quote
    trades: TradeSide | None
    partial: Partial
    last: tuple[int, int, int]
    released: int
    said: tuple[TradeSide, Quote, Quote] | None
    exponents: tuple[int, int] | None = None


@dataclass(slots=True)
class MarketSummary:
    """State of one market; `every_ns` is a whole number of seconds, `exponents` those of what
    trades said.
    """

    every_ns: int
    window: DayWindow = field(default_factory=DayWindow)
    waiting: deque[tuple[int, TradeSide]] = field(default_factory=deque)
    quotes: dict[int, Quote] = field(default_factory=dict)
    tops: dict[int, Quote] = field(default_factory=dict)
    quote: Quote = field(default_factory=Quote)
    top: Quote = field(default_factory=Quote)
    trades: TradeSide | None = None
    partial: Partial = field(default_factory=Partial)
    last: tuple[int, int, int] = (0, 0, 0)
    released: int = 0
    said: tuple[TradeSide, Quote, Quote] | None = None
    exponents: tuple[int, int] | None = None

    def tick_after(self, ts: int) -> int:
        """The first tick that lies behind `ts`."""
        return ts - ts % self.every_ns + self.every_ns

    def close(self, closed: Sequence[Closed], late_at: int | None = None) -> None:
        """Take closed and revised seconds and minutes; what is late counts from `late_at` on."""
        ends: dict[int, list[Closed]] = {}
        for one in closed:
            if one.level <= 1:
                length = MINUTE_NS if one.level else SECOND_NS
                tick = self.tick_after(one.bar.ts_open + length - 1)
                ends.setdefault(tick, []).append(one)
        for tick in sorted(ends):
            for one in sorted(ends[tick], key=_by_end):
                self._take(one)
            if self.last[0]:
                at = tick if late_at is None else max(tick, self.tick_after(late_at))
                self._wait(at, self._side(at))

    def quoted(self, quote: Quote, at: int) -> None:
        """Take what holds from the time `at` on; fields of `quote` that are None keep what was
        known.
        """
        self._merge(self.quotes, at, quote, self.quote)

    def topped(self, top: Quote, at: int) -> None:
        """Take the best prices of the book, which hold from the time `at` on."""
        self._merge(self.tops, at, top, self.top)

    def release(self, until: int) -> list[SummaryView]:
        """What is to be said up to the tick `until`, which all inputs have passed."""
        if len(self.waiting) > MAX_WAITING_TICKS:
            until = max(until, self.waiting[-MAX_WAITING_TICKS][0])
        ticks = {tick for tick, _ in self.waiting} | self.quotes.keys() | self.tops.keys()
        said: list[SummaryView] = []
        for tick in sorted(tick for tick in ticks if tick <= until):
            while self.waiting and self.waiting[0][0] <= tick:
                self.trades = self.waiting.popleft()[1]
            self.quote = _updated(self.quote, self.quotes.pop(tick, None))
            self.top = _updated(self.top, self.tops.pop(tick, None))
            if self.trades is None:
                continue
            content = (self.trades, self.quote, self.top)
            if content != self.said:
                self.said = content
                said.append(SummaryView(tick, *content))
        self.released = max(self.released, until)
        return said

    def rescale(self, prices: int, sizes: int) -> None:
        """Multiply what trades said after the market's exponents became finer."""
        self.window.rescale(prices, sizes)
        self.partial.high *= prices
        self.partial.low *= prices
        self.partial.volume *= sizes
        self.last = (self.last[0], self.last[1], self.last[2] * prices)
        self.waiting = deque((tick, _scaled(side, prices, sizes)) for tick, side in self.waiting)
        if self.trades is not None:
            self.trades = _scaled(self.trades, prices, sizes)
        self.said = None

    def dump(self) -> bytes:
        """Equal states give equal bytes."""
        return msgspec.msgpack.encode(
            SavedSummary(
                list(self.waiting),
                sorted(self.quotes.items()),
                sorted(self.tops.items()),
                self.quote,
                self.top,
                self.trades,
                self.partial,
                self.last,
                self.released,
                self.said,
                self.exponents,
            )
        )

    def load(self, state: bytes) -> None:
        """Take what `dump` gave."""
        saved = msgspec.msgpack.decode(state, type=SavedSummary)
        self.waiting = deque(saved.waiting)
        self.quotes, self.tops = dict(saved.quotes), dict(saved.tops)
        self.quote, self.top, self.trades = saved.quote, saved.top, saved.trades
        self.partial, self.last = saved.partial, saved.last
        self.released, self.said = saved.released, saved.said
        self.exponents = saved.exponents

    def _take(self, one: Closed) -> None:
        bar = one.bar
        if one.level == 1:
            self.window.put(bar)
            if not bar.revision:
                self.partial = Partial()
            return
        self.last = max(self.last, bar.last)
        if bar.revision:
            return
        seen = self.partial
        seen.high = max(seen.high, bar.high) if seen.trades else bar.high
        seen.low = min(seen.low, bar.low) if seen.trades else bar.low
        seen.volume += bar.volume
        seen.trades += bar.trades

    def _side(self, tick: int) -> TradeSide:
        price = self.last[2]
        extremes = self.window.extremes() or (price, price)
        high, low = max(extremes[0], price), min(extremes[1], price)
        if self.partial.trades:
            high, low = max(high, self.partial.high), min(low, self.partial.low)
        begin = self.window.begin()
        known = min(tick - begin, DAY_NS) // SECOND_NS if begin is not None else 0
        return TradeSide(
            self.last[0],
            price,
            self.window.volume + self.partial.volume,
            high,
            low,
            self.window.before,
            known,
        )

    def _merge(self, ticks: dict[int, Quote], at: int, quote: Quote, known: Quote) -> None:
        """Only what a silent topic says after all lies at a tick that was said already."""
        tick = self.tick_after(at)
        if tick <= self.released:
            if _updated(known, quote) == known:
                return
            tick = self.released + self.every_ns
        ticks[tick] = _updated(ticks.get(tick), quote)

    def _wait(self, tick: int, side: TradeSide) -> None:
        if self.waiting and self.waiting[-1][0] >= tick:
            tick = self.waiting.pop()[0]
        self.waiting.append((tick, side))


def _scaled(side: TradeSide, prices: int, sizes: int) -> TradeSide:
    return msgspec.structs.replace(
        side,
        price=side.price * prices,
        volume=side.volume * sizes,
        high=side.high * prices,
        low=side.low * prices,
        before=None if side.before is None else side.before * prices,
    )


def _by_end(one: Closed) -> tuple[int, int]:
    return (one.bar.ts_open + (MINUTE_NS if one.level else SECOND_NS), one.level)


def _updated(known: Quote | None, newer: Quote | None) -> Quote:
    if newer is None:
        return known or Quote()
    if known is None or not known.ts_event:
        return newer
    finer = min(known.exponent, newer.exponent)
    old: int = 10 ** (known.exponent - finer)
    new: int = 10 ** (newer.exponent - finer)

    def price(before: int | None, after: int | None) -> int | None:
        if after is not None:
            return after * new
        return None if before is None else before * old

    return Quote(
        max(known.ts_event, newer.ts_event),
        finer,
        price(known.bid, newer.bid),
        price(known.ask, newer.ask),
        price(known.mark, newer.mark),
        known.funding_rate if newer.funding_rate is None else newer.funding_rate,
        known.open_interest if newer.open_interest is None else newer.open_interest,
    )
