"""The composites of one shard: members' candles in, composite candles out, also when late."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from teleglas_market_data.candle_desk import load_candles_between, rescaled
from teleglas_market_data.composite_state import dump_composite, load_composite
from teleglas_market_data.domain.bar import Bar, flat
from teleglas_market_data.domain.candles import MAX_FLAT_RUN, Closed, InstrumentCandles
from teleglas_market_data.domain.composite import (
    COMPOSITE,
    Composer,
    CompositeMarket,
    Definition,
    Part,
)
from teleglas_market_data.domain.composite_quotes import CompositeQuotes
from teleglas_market_data.domain.intervals import INTERVALS, SECOND_NS
from teleglas_market_data.domain.lateness import Rewriting
from teleglas_market_data.domain.summary import Quote
from teleglas_market_data.pending import Pending
from teleglas_market_data.ports import Market, Store, StoredCandle

__all__ = ["CompositeDesk"]

EXTRA_DIGITS = 2
"""A composite price has so many more digits than the finest of its members."""


@dataclass(slots=True)
class CompositeDesk:
    """One composite for each instrument that a member venue trades."""

    store: Store
    pending: Pending
    definition: Definition
    markets: dict[str, CompositeMarket] = field(default_factory=dict)
    quotes: dict[str, CompositeQuotes] = field(default_factory=dict)
    touched: set[str] = field(default_factory=set)

    async def take(self, candles: Sequence[StoredCandle]) -> list[StoredCandle]:
        """Take members' closed and revised candles of one instrument; return the composite's."""
        if not candles or candles[0].venue not in self.definition.weights:
            return []
        market = self._of(candles[0])
        for candle in candles:
            market.take(candle.venue, candle.level, rescaled(candle, market.candles))
        return await self._revise(market) if any(market.dirty) else []

    def advance(self, member: InstrumentCandles) -> list[StoredCandle]:
        """A member has closed its seconds up to its frontier."""
        market = self.markets.get(member.instrument)
        if market is None or member.venue not in market.members:
            return []
        market.members[member.venue].frontier = member.levels[0].frontier
        self.touched.add(member.instrument)
        return [self._put(market, one, parts) for one, parts in market.advance()]

    def said(self, venue: str, instrument: str, tick: int, best: Quote) -> None:
        """A member's summary was said at a tick."""
        if venue in self.definition.weights:
            self.quotes.setdefault(instrument, CompositeQuotes()).take(venue, tick, best)
            self.touched.add(instrument)

    def quotes_up_to(self, instrument: str, until: int) -> list[Quote]:
        """Best prices of a composite at the ticks up to `until`."""
        found = self.quotes.get(instrument)
        if found is None:
            return []
        return found.up_to(until, self.definition.weights, EXTRA_DIGITS)

    def quoting(self, instrument: str) -> list[str]:
        """Members whose prices stand in the composite's bid and ask."""
        found = self.quotes.get(instrument)
        return sorted(found.current) if found is not None else []

    def forming(self, instrument: str, level: int) -> StoredCandle | None:
        """The candle that is forming, of the seconds that all members have closed."""
        market = self.markets.get(instrument)
        bar = market.candles.forming(level) if market is not None else None
        if market is None or bar is None:
            return None
        return self._stored(market, Closed(level, replace(bar)), ())

    def states(self) -> dict[str, bytes]:
        """State of each composite that changed since the last call."""
        states = {
            f"composite/{COMPOSITE}:{instrument}": dump_composite(self.markets[instrument])
            for instrument in sorted(self.touched)
            if instrument in self.markets
        }
        for instrument in sorted(self.touched & self.quotes.keys()):
            name = f"composite-quotes/{COMPOSITE}:{instrument}"
            states[name] = self.quotes[instrument].dump()
        self.touched.clear()
        return states

    def load(self, instrument: str, state: bytes) -> None:
        """Take what `states` gave; a composite of another definition version begins anew."""
        loaded = load_composite(state, self.definition)
        if loaded is not None:
            self.markets[instrument] = loaded

    def _of(self, candle: StoredCandle) -> CompositeMarket:
        self.touched.add(candle.instrument)
        market = self.markets.get(candle.instrument)
        if market is None:
            market = self.markets[candle.instrument] = CompositeMarket(
                self.definition,
                InstrumentCandles(
                    COMPOSITE,
                    candle.instrument,
                    candle.price_exponent - EXTRA_DIGITS,
                    candle.size_exponent,
                    contiguous=True,
                ),
                Composer(self.definition),
            )
        own = market.candles
        prices = min(own.price_exponent, candle.price_exponent - EXTRA_DIGITS)
        sizes = min(own.size_exponent, candle.size_exponent)
        if (prices, sizes) != (own.price_exponent, own.size_exponent):
            factors = 10 ** (own.price_exponent - prices), 10 ** (own.size_exponent - sizes)
            own.refine(prices, sizes)
            own.price_exponent, own.size_exponent = prices, sizes
            market.rescale(*factors)
        return market

    def _put(self, market: CompositeMarket, closed: Closed, parts: Iterable[Part]) -> StoredCandle:
        candle = self._stored(market, closed, parts)
        self.pending.put(candle)
        return candle

    def _stored(
        self, market: CompositeMarket, closed: Closed, parts: Iterable[Part]
    ) -> StoredCandle:
        own = market.candles
        return StoredCandle(
            COMPOSITE,
            own.instrument,
            closed.level,
            own.price_exponent,
            own.size_exponent,
            own.contiguous,
            own.watermark,
            closed.bar,
            self.definition.version,
            tuple((venue, own.instrument, trades, fresh) for venue, trades, fresh in parts),
        )

    async def _revise(self, market: CompositeMarket) -> list[StoredCandle]:
        """Compose late seconds again, with those behind them that stand on their prices, and roll
        them up through every level.
        """
        dirty, market.dirty = market.dirty, [set() for _ in INTERVALS]
        changed = await self._recompose(market, sorted(dirty[0]))
        seconds = {candle.bar.ts_open for candle in changed}
        for at, interval in enumerate(INTERVALS[1:], 1):
            begins = {interval.floor(ts) for ts in seconds}
            changed += await self._roll_up(market, at, begins, dirty[at])
        return changed

    async def _recompose(self, market: CompositeMarket, late: list[int]) -> list[StoredCandle]:
        changed: list[StoredCandle] = []
        span = self.definition.staleness_ns
        while late:
            cluster = [late.pop(0)]
            while late and late[0] <= cluster[-1] + 2 * span:
                cluster.append(late.pop(0))
            begin, end = cluster[0] - span, cluster[-1] + span + SECOND_NS
            members = {
                venue: await self._bars(market, (venue, market.candles.instrument), 0, begin, end)
                for venue in sorted(market.members)
            }
            known = await self._bars(market, (COMPOSITE, market.candles.instrument), 0, begin, end)
            changed += self._compose_cluster(market, cluster[0], members, known)
        return changed

    def _compose_cluster(
        self,
        market: CompositeMarket,
        first: int,
        members: dict[str, dict[int, Bar]],
        known: dict[int, Bar],
    ) -> list[StoredCandle]:
        composer = Composer(self.definition)
        frontier = market.candles.levels[0].frontier
        changed: list[StoredCandle] = []
        for ts_open in sorted({ts for bars in members.values() for ts in bars if ts < frontier}):
            at = {venue: bars[ts_open] for venue, bars in members.items() if ts_open in bars}
            bar, parts = composer.compose(ts_open, at)
            before = known.get(ts_open)
            if ts_open < first or (before is not None and _same(before, bar)):
                continue
            bar.revision = 0 if before is None else before.revision + 1
            changed.append(self._put(market, Closed(0, bar), parts))
        for venue, last in composer.last.items():
            if last[1] > market.composer.last.get(venue, (0, 0))[1]:
                market.composer.last[venue] = last
        return changed

    async def _roll_up(
        self, market: CompositeMarket, at: int, begins: set[int], late: set[int]
    ) -> list[StoredCandle]:
        level = market.candles.levels[at]
        length = level.interval.length_ns
        own: Market = (COMPOSITE, market.candles.instrument)
        for begin in sorted(ts for ts in begins if ts >= level.frontier):
            children = await self._bars(market, own, at - 1, begin, begin + length)
            merged = _merged(begin, children)
            if merged.trades:
                level.bars[begin] = merged
        closed = sorted(ts for ts in begins | late if ts < level.frontier)
        if not closed:
            return []
        behind = closed[-1] + (MAX_FLAT_RUN + 2) * length
        known = await self._bars(market, own, at, closed[0], min(level.frontier, behind))
        rewriting = Rewriting(market.candles, at, level, known)
        parts: dict[int, list[Part]] = {}
        for begin in closed:
            children = await self._bars(market, own, at - 1, begin, begin + length)
            bar = _merged(begin, children)
            parts[begin], missing = await self._parts(market, at, begin)
            if not bar.trades and begin in known:
                bar = replace(known[begin])
            if bar.trades or begin in known:
                bar.missing = missing
                rewriting.put(bar)
        for begin in closed:
            if begin in rewriting.touched and rewriting.bars[begin].trades:
                rewriting.carry_on(begin)
        return [
            self._put(
                market,
                Closed(at, rewriting.bars[ts]),
                parts[ts] if ts in parts else (await self._parts(market, at, ts))[0],
            )
            for ts in sorted(rewriting.touched)
        ]

    async def _parts(self, market: CompositeMarket, at: int, begin: int) -> tuple[list[Part], int]:
        length = INTERVALS[at].length_ns
        limit = begin + length - self.definition.staleness_ns
        parts: list[Part] = []
        missing = 0
        for venue in sorted(market.members):
            of = (venue, market.candles.instrument)
            bar = (await self._bars(market, of, at, begin, begin + 1)).get(begin)
            if bar is None:
                continue
            missing += bar.missing
            if bar.trades:
                parts.append((venue, bar.trades, bar.last_ts >= limit))
        return parts, missing

    async def _bars(
        self, market: CompositeMarket, of: Market, level: int, begin: int, end: int
    ) -> dict[int, Bar]:
        found = await load_candles_between(self.store, self.pending, of, level, begin, end)
        return {ts: rescaled(found[ts], market.candles) for ts in sorted(found)}


def _merged(begin: int, children: dict[int, Bar]) -> Bar:
    """The roll-up of the children that have trades."""
    merged = flat(begin, 0)
    for child in children.values():
        merged.merge(child)
    return merged


def _same(one: Bar, other: Bar) -> bool:
    return replace(one, revision=0, ts_ingest=0) == replace(other, revision=0, ts_ingest=0)
