"""One instrument: its book, its makers, its trade ids; takers are matched here."""

from teleglas_sim.market.book import Book, Side
from teleglas_sim.market.catalog import InstrumentSpec, Venue
from teleglas_sim.market.draws import Draws
from teleglas_sim.market.events import (
    Event,
    Execution,
    Fill,
    ParentOrder,
    Print,
    TopChanged,
)
from teleglas_sim.market.history import DayStats, TradeHistory
from teleglas_sim.market.makers import Makers

__all__ = ["InstrumentMarket"]

SPARE_LEVELS = 20
# Share of ids that USD-M spends without a published fill.
SPENT_IDS = 0.01
TINY_FILL_SHARE = 0.45
MAX_FILLS = 400


class InstrumentMarket:
    """State of one instrument; `index` is its place in the market."""

    def __init__(
        self,
        index: int,
        spec: InstrumentSpec,
        draws: Draws,
        *,
        first_trade_id: int,
        history: int,
    ) -> None:
        self.index = index
        self.spec = spec
        self.book = Book()
        self.makers = Makers(spec, self.book, draws)
        self.trades = TradeHistory(first_trade_id, history)
        self.day = DayStats()
        self.open_interest = 0
        self.market_trades = 0
        self._aggregate = first_trade_id // 3
        self._draws = draws
        self._top = (0, 0, 0, 0)
        self._spends_ids = spec.venue is Venue.BINANCE_USDM

    @property
    def next_aggregate(self) -> int:
        """The id that the next aggregate trade gets."""
        return self._aggregate

    def take(
        self,
        parent: ParentOrder,
        size: int,
        splits: int,
        ts_ms: int,
        events: list[Event],
        *,
        reach: float,
    ) -> list[Fill]:
        """Match a taker order, not further than `reach` (a share of the price) from the touch.

        `splits` is how many makers' orders it should meet in all; levels it passes count.
        """
        side = parent.side
        best = self.book.side(side.opposite).best
        limit = round(best * (1.0 + side * reach))
        taken = self.book.take(side, size, limit, SPARE_LEVELS)
        if not taken:
            return []
        if not parent.children:
            parent.price_before = best
        first_aggregate = self._aggregate
        fills = self._fills(taken, splits, side, ts_ms)
        self._record(parent, fills, ts_ms)
        version = self.book.version
        events.append(Execution(self.index, side, ts_ms, fills, first_aggregate, version))
        self.note_top(ts_ms, events)
        return fills

    def note_top(self, ts_ms: int, events: list[Event]) -> None:
        """Append the best levels if they changed."""
        top = self.book.top()
        if top != self._top:
            self._top = top
            events.append(TopChanged(self.index, ts_ms, self.book.version, *top))

    def print_outside(self, side: Side, price: int, size: int, ts_ms: int) -> Print:
        """A takeover by the insurance fund: an id, but no market trade and no change of the
        book.
        """
        flags = (1 if side is Side.SELL else 0) | 2
        trade_id = self.trades.append(price, size, ts_ms, self._aggregate, flags)
        return Print(self.index, side, ts_ms, trade_id, price, size, "INSURANCE_FUND")

    def _fills(
        self,
        taken: list[tuple[int, int]],
        splits: int,
        side: Side,
        ts_ms: int,
    ) -> list[Fill]:
        extra = min(MAX_FILLS, splits) - len(taken)
        seller = 1 if side is Side.SELL else 0
        append, day = self.trades.append, self.day.add
        fills: list[Fill] = []
        for number, (price, amount) in enumerate(taken):
            share = extra // (len(taken) - number) if extra > 0 else 0
            extra -= share
            for size in self._split(amount, share) if share > 0 else (amount,):
                if self._spends_ids and self._draws.uniform() < SPENT_IDS:
                    fills.append((append(0, 0, ts_ms, self._aggregate, seller | 6), 0, 0))
                trade_id = append(price, size, ts_ms, self._aggregate, seller)
                day(trade_id, price, size, ts_ms)
                fills.append((trade_id, price, size))
                self.market_trades += 1
            self._aggregate += 1
        return fills

    def _split(self, amount: int, cuts: int) -> list[int]:
        """Cut a level's consumed size into makers' orders, many of them of the smallest
        allowed size.
        """
        lot = self.spec.lot
        tiny = self.tiny_size
        parts: list[int] = []
        left = amount
        for _ in range(cuts):
            if left <= lot:
                break
            if self._draws.uniform() < TINY_FILL_SHARE and left > tiny:
                part = tiny
            else:
                part = int(left * self._draws.uniform()) // lot * lot
            part = min(max(part, lot), left - lot)
            parts.append(part)
            left -= part
        parts.append(left)
        return parts

    @property
    def tiny_size(self) -> int:
        """The smallest order that the venue takes, as a size."""
        price = self._top[0] or self.spec.first_price
        return self.spec.size_for(self.spec.sizes.smallest_fill_usd, price)

    def _record(self, parent: ParentOrder, fills: list[Fill], ts_ms: int) -> None:
        inverse = self.spec.inverse
        ranges = parent.fills
        for trade_id, price, size in fills:
            if not size:
                continue
            parent.fill_count += 1
            if ranges and ranges[-1][1] == trade_id - 1:
                ranges[-1] = (ranges[-1][0], trade_id)
            else:
                ranges.append((trade_id, trade_id))
            parent.size += size
            parent.notional += size if inverse else size * price
        parent.children += 1
        parent.end_ms = ts_ms
        parent.price_worst = fills[-1][1]
