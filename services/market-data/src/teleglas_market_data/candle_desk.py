"""The candles of one shard: trades, progress and breaks in, closed and revised candles out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from teleglas_market_data.counts import Counts
from teleglas_market_data.domain.bar import Bar
from teleglas_market_data.domain.candles import Closed, InstrumentCandles, LostSpan
from teleglas_market_data.domain.lateness import Plan, plan, settle
from teleglas_market_data.domain.trades import TradeRow
from teleglas_market_data.pending import Pending
from teleglas_market_data.ports import Market, Store, StoredCandle, StoredTrades

__all__ = ["CandleDesk", "load_candles_between", "rescaled"]


@dataclass(slots=True)
class CandleDesk:
    """Folds what arrives and loads stored candles only for what is late."""

    store: Store
    pending: Pending
    late_bound_ns: int
    counts: Counts
    books: dict[Market, InstrumentCandles] = field(default_factory=dict)

    async def trade(self, batch: StoredTrades, *, contiguous: bool) -> list[StoredCandle]:
        """Keep the new trades of a batch and count them; return the candles that they revise."""
        market = (batch.venue, batch.instrument)
        candles = self.books.get(market)
        if candles is None:
            candles = self.books[market] = InstrumentCandles(*market)
        if candles.price_exponent != batch.price_exponent or (
            candles.size_exponent != batch.size_exponent
        ):
            candles.refine(batch.price_exponent, batch.size_exponent)
        candles.contiguous = contiguous
        fresh, unsure = candles.admission.admit(
            batch.rows, contiguous=contiguous, is_plain=batch.is_plain
        )
        if unsure:
            fresh = [*fresh, *await self._unknown(candles, unsure)]
        if fresh is not batch.rows:
            self.counts.duplicates(batch.venue, len(batch.rows) - len(fresh))
            if not fresh:
                return []
            batch = batch._replace(rows=fresh, is_plain=False)
        self.pending.trades.append(batch)
        self.pending.touched.add(market)
        candles.fold(self._scaled(candles, batch), is_plain=batch.is_plain)
        return await self._settle(candles, ()) if candles.has_late else []

    def advance(self, market: Market, watermark: int) -> list[StoredCandle]:
        """Return the candles that are over once nothing up to `watermark` comes any more."""
        candles = self.books.get(market)
        if candles is None:
            candles = self.books[market] = InstrumentCandles(*market)
        self.pending.touched.add(market)
        return self._stored(candles, candles.advance(watermark))

    async def lose(self, market: Market, gap_id: str, span: LostSpan | None) -> list[StoredCandle]:
        """Note what a gap cost, None when nothing (any more); return the revised candles."""
        candles = self.books.get(market)
        if candles is None:
            candles = self.books[market] = InstrumentCandles(*market)
        before = candles.lost.pop(gap_id, None)
        if span is not None:
            candles.lost[gap_id] = span
        if span == before:
            return []
        self.pending.touched.add(market)
        changes = [(s, n) for s, n in ((before, -1), (span, 1)) if s is not None]
        return await self._settle(candles, changes)

    def forming(self, market: Market, level: int) -> StoredCandle | None:
        """The candle that is forming now."""
        candles = self.books.get(market)
        bar = candles.forming(level) if candles else None
        if candles is None or bar is None:
            return None
        bar = replace(bar)
        candles.note_breaks(level, bar)
        return self._stored_one(candles, Closed(level, bar))

    @staticmethod
    def _scaled(candles: InstrumentCandles, batch: StoredTrades) -> Sequence[TradeRow]:
        """The rows in the candles' exponents, which are the finest seen so far."""
        prices = batch.price_exponent - candles.price_exponent
        sizes = batch.size_exponent - candles.size_exponent
        if prices == sizes == 0:
            return batch.rows
        return [(*r[:4], r[4] * 10**prices, r[5] * 10**sizes, *r[6:]) for r in batch.rows]

    async def _unknown(
        self, candles: InstrumentCandles, unsure: Sequence[TradeRow]
    ) -> list[TradeRow]:
        market = (candles.venue, candles.instrument)
        known = self.pending.knows(market, unsure)
        known |= await self.store.known_trades(market, unsure)
        fresh: list[TradeRow] = []
        for row in unsure:
            if (row[2], row[0]) not in known:
                known.add((row[2], row[0]))
                fresh.append(row)
        return fresh

    async def _settle(
        self, candles: InstrumentCandles, lost: Sequence[tuple[LostSpan, int]]
    ) -> list[StoredCandle]:
        self.counts.late(candles.venue, len(candles.late))
        made = plan(candles, late_bound_ns=self.late_bound_ns, lost_changes=lost)
        self.counts.refused(candles.venue, made.refused)
        if not made:
            return []
        stored = [await self._load(candles, at, made) for at in range(len(candles.levels))]
        return self._stored(candles, settle(candles, made, stored))

    async def _load(self, candles: InstrumentCandles, at: int, made: Plan) -> dict[int, Bar]:
        market = (candles.venue, candles.instrument)
        single, (begin, end) = made.levels[at].wanted(at, candles.levels[at])
        if not single:
            found = await load_candles_between(self.store, self.pending, market, at, begin, end)
        else:
            rows = await self.store.candles_at(market, at, single)
            waiting = self.pending.candles_of(market, at)
            found = {candle.bar.ts_open: candle for candle in rows}
            found |= {ts_open: waiting[ts_open] for ts_open in single if ts_open in waiting}
        return {ts_open: rescaled(candle, candles) for ts_open, candle in found.items()}

    def _stored(self, candles: InstrumentCandles, closed: Iterable[Closed]) -> list[StoredCandle]:
        made = [self._stored_one(candles, one) for one in closed]
        for candle in made:
            self.pending.put(candle)
        return made

    @staticmethod
    def _stored_one(candles: InstrumentCandles, closed: Closed) -> StoredCandle:
        return StoredCandle(
            candles.venue,
            candles.instrument,
            closed.level,
            candles.price_exponent,
            candles.size_exponent,
            candles.contiguous,
            candles.watermark,
            closed.bar,
        )


def rescaled(candle: StoredCandle, candles: InstrumentCandles) -> Bar:
    """A copy of a stored bar at the exponents of `candles`."""
    prices = 10 ** (candle.price_exponent - candles.price_exponent)
    sizes = 10 ** (candle.size_exponent - candles.size_exponent)
    bar = replace(candle.bar)
    if prices != 1 or sizes != 1:
        bar.rescale(prices, sizes)
    return bar


async def load_candles_between(
    store: Store, pending: Pending, market: Market, level: int, begin: int, end: int
) -> dict[int, StoredCandle]:
    """Closed candles with `begin <= ts_open < end`, those that wait to be stored among them."""
    if begin >= end:
        return {}
    found = {c.bar.ts_open: c for c in await store.candles_in(market, level, begin, end)}
    found |= {
        ts_open: candle
        for ts_open, candle in pending.candles_of(market, level).items()
        if begin <= ts_open < end
    }
    return found
