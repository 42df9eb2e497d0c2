"""One partition number of market-data: everything about some base assets, in one checkpoint."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from teleglas.market.v1.candle_pb2 import Component, Summary
from teleglas.market.v1.progress_pb2 import Progress
from teleglas.market.v1.ticker_pb2 import Ticker
from teleglas_common.bus.encode import outgoing
from teleglas_common.bus.ports import Publisher, Record
from teleglas_common.bus.shards import Fence
from teleglas_common.clock import Clock
from teleglas_common.progress import ProgressTracker
from teleglas_common.topic_marks import TopicMarks
from teleglas_contracts import topics
from teleglas_market_data.adapters.messages import candle_id, candle_key, candle_message
from teleglas_market_data.adapters.quotes import best_of, merge_ticker, summary_message
from teleglas_market_data.book_desk import BookDesk
from teleglas_market_data.candle_desk import CandleDesk
from teleglas_market_data.composite_desk import CompositeDesk
from teleglas_market_data.counts import Counts
from teleglas_market_data.domain.candles import InstrumentCandles
from teleglas_market_data.domain.composite import COMPOSITE, Definition
from teleglas_market_data.domain.composite_quotes import CompositeQuotes
from teleglas_market_data.domain.intervals import INTERVALS, SECOND_NS
from teleglas_market_data.domain.state import dump_candles, load_candles
from teleglas_market_data.domain.summary import SummaryView
from teleglas_market_data.live import Live, LiveBook
from teleglas_market_data.pending import Pending
from teleglas_market_data.ports import (
    Checkpoint,
    Latest,
    LatestRow,
    Market,
    Store,
    StoredCandle,
)
from teleglas_market_data.summary_desk import SummaryDesk
from teleglas_market_data.traced import TracedTrades

__all__ = ["MarketShard", "Tools"]

JOINED = (
    topics.MARKET_TRADES_V1.name,
    topics.MARKET_TICKERS_V1.name,
    topics.MARKET_BOOKS_V1.name,
)


@dataclass(frozen=True, slots=True)
class Tools:
    """What all shards of a process share."""

    store: Store
    publisher: Publisher
    latest: Latest
    live: Live
    clock: Clock
    counts: Counts
    late_bound_ns: int
    composite: Definition
    summary_every_ns: int = SECOND_NS


class MarketShard:
    """Handlers call it; the worker restores, checkpoints and closes it."""

    def __init__(self, number: int, tools: Tools) -> None:
        self.number = number
        self.tools = tools
        self.pending = Pending()
        self.candles = CandleDesk(tools.store, self.pending, tools.late_bound_ns, tools.counts)
        self.composites = CompositeDesk(tools.store, self.pending, tools.composite)
        self.books = BookDesk()
        self.summaries = SummaryDesk(tools.summary_every_ns)
        self.tickers: dict[Market, Ticker] = {}
        self.said: dict[Market, Summary] = {}
        self.fresh_tickers: set[Market] = set()
        self.marks = TopicMarks(tools.clock)
        self.fence = Fence()
        self.traced = TracedTrades()
        self._generation = 0

    async def restore(self) -> Mapping[str, int]:
        restored = await self.tools.store.restore(self.number)
        self._generation = restored.generation
        for name, state in sorted(restored.states.items()):
            self._load(name, state)
        frontiers = {m: self.open_candles(m).levels[1].frontier for m in self.markets()}
        await self.summaries.refill(self.tools.store, frontiers)
        self.tools.live.shards[self.number] = self
        offsets = self.books.rewound(restored.offsets)
        if self.books.is_rewinding:
            self.marks.held.add(topics.MARKET_BOOKS_V1.name)
        return offsets

    @property
    def may_wait(self) -> bool:
        return self.pending.is_latest_only

    async def checkpoint(self, offsets: Mapping[str, int]) -> None:
        pending = self.pending
        self._keep_tickers()
        checkpoint = Checkpoint(
            self.number,
            self._generation,
            self.books.covered(offsets),
            self._states(pending),
            pending.trades,
            pending.all_candles(),
            pending.summaries.values(),
            pending.tickers.values(),
            pending.liquidations.values(),
            pending.instruments.values(),
            pending.gaps.values(),
        )
        await self.tools.store.save(checkpoint)
        self.tools.counts.saved(checkpoint)
        self._count_standing()
        self.pending = self.candles.pending = self.composites.pending = Pending()

    async def close(self) -> None:
        if self.tools.live.shards.get(self.number) is self:
            del self.tools.live.shards[self.number]
            self.tools.counts.left(self.number)

    def admits(self, topic: str, source: str, writer_epoch: int) -> bool:
        """Whether a batch counts: not where a newer owner of its source wrote before it.

        Each topic has its own order: after a restart one of them may be read ahead of the others,
        and what a new owner wrote there says nothing about the order here.
        """
        admitted = self.fence.admits(f"{topic}/{source}", writer_epoch)
        if not admitted:
            self.tools.counts.fenced(topic)
        return admitted

    def observe(self, topic: str, mark: Progress) -> Sequence[Market]:
        """Take a progress mark of one topic; return the markets whose watermark moved."""
        self.marks.silences.heard(topic)
        return self.marks.observe(topic, mark)

    def watermark(self, topic: str, market: Market) -> int:
        """Nothing up to this time comes any more; -1 before the first mark."""
        return self.marks.watermark(topic, market)

    def book_read(self, record: Record) -> None:
        """A record of the books' topic was handled: the rewind may be over."""
        self.marks.silences.heard(record.topic)
        if self.books.read(record.offset):
            self.marks.held.discard(record.topic)

    async def publish(self, candles: Sequence[StoredCandle], *, late: bool) -> None:
        """Send closed and revised candles, and show them to streams and the cache; `late` are those
        that no mark has closed just now.
        """
        if not candles:
            return
        tools = self.tools
        for candle in candles:
            message = candle_message(candle)
            record = outgoing(
                topics.MARKET_CANDLES_V1,
                message,
                key=candle_key(candle),
                subject=candle.instrument,
                now_ns=tools.clock.now_ns(),
                event_id=candle_id(candle),
            )
            await tools.publisher.send(record)
            tools.live.closed(candle)
            tools.counts.candle(candle)
            if record.value is not None:
                kind = f"candle:{INTERVALS[candle.level].name}"
                tools.latest.put(kind, candle.venue, candle.instrument, record.value)
        self.summaries.close(candles, late=late)
        revised = await self.composites.take(candles)
        if revised:
            await self.publish(revised, late=True)

    async def advance(self, market: Market, watermark: int) -> None:
        """Publish the candles that are over, and those of the composite with them."""
        closed = self.candles.advance(market, watermark)
        if not closed:
            await self._compose(market)
            return
        with self.traced.publishing(market):
            await self.publish(closed, late=False)
            await self._compose(market)

    async def _compose(self, market: Market) -> None:
        composed = self.composites.advance(self.candles.books[market])
        if composed:
            await self.publish(composed, late=False)
            self.tools.live.touched((COMPOSITE, market[1]))

    async def summarise(self, markets: Sequence[Market]) -> None:
        """Say the ticks that all topics have passed."""
        for market in markets:
            candles = self.candles.books.get(market)
            if candles is None:
                continue
            passed = self._passed(market, candles.watermark) + 1
            until = passed - passed % self.tools.summary_every_ns
            self._note_top(market, until)
            for view in self.summaries.release(market, until):
                await self._say(market, view)
                self.composites.said(*market, view.tick, best_of(view))
        for instrument in sorted({market[1] for market in markets}):
            await self._summarise_composite(instrument)

    def _passed(self, market: Market, ts: int) -> int:
        """The time up to which all that a summary joins has come, at most `ts`."""
        return min(ts, *(self.marks.reached(topic, market, ts) for topic in JOINED))

    def markets(self) -> Collection[Market]:
        composites = [(COMPOSITE, instrument) for instrument in self.composites.markets]
        return [*self.candles.books, *composites]

    def open_candles(self, market: Market) -> InstrumentCandles:
        """The candles of one of `markets` that may still change."""
        if market[0] == COMPOSITE:
            return self.composites.markets[market[1]].candles
        return self.candles.books[market]

    def forming(self, market: Market, level: int) -> StoredCandle | None:
        if market[0] == COMPOSITE:
            return self.composites.forming(market[1], level)
        return self.candles.forming(market, level)

    def frontier(self, market: Market) -> int:
        if market not in self.markets():
            return 0
        return self.open_candles(market).levels[0].frontier

    def book(self, market: Market) -> LiveBook | None:
        return self.books.live(market)

    def ticker(self, market: Market) -> Ticker | None:
        return self.tickers.get(market)

    def summary(self, market: Market) -> Summary | None:
        return self.said.get(market)

    def keep_ticker(self, update: Ticker) -> None:
        """Merge what changed into the market's ticker."""
        market = (update.venue, update.instrument)
        known = self.tickers.get(market)
        self.tickers[market] = update if known is None else merge_ticker(known, update)
        self.fresh_tickers.add(market)

    def note_top_before(self, market: Market, ts: int) -> None:
        """Note the best prices if the next update, at `ts`, lies behind another tick."""
        at = self.books.holds_from(market)
        if at is None or self.books.is_rewinding:
            return
        if self.summaries.tick_after(at) < self.summaries.tick_after(ts):
            self._note_top(market, ts)

    def _note_top(self, market: Market, until: int) -> None:
        """The book has not moved since: its best prices hold at every tick up to `until`."""
        found = self.books.live(market)
        at = self.books.holds_from(market)
        if found is None or at is None or at >= until:
            return
        top = found.book.top()
        if top is not None:
            self.summaries.topped(market, top, found.price_exponent, at)

    async def _summarise_composite(self, instrument: str) -> None:
        own = self.composites.markets.get(instrument)
        if own is None:
            return
        market = (COMPOSITE, instrument)
        known = self.summaries.summaries
        ticks = [
            known[venue, instrument].released
            for venue in own.members
            if (venue, instrument) in known
        ]
        alive = max(ticks, default=0) - self.tools.composite.drop_out_ns
        passed = own.candles.watermark + 1
        passed -= passed % self.tools.summary_every_ns
        until = min([passed, *(tick for tick in ticks if tick >= alive)])
        for quote in self.composites.quotes_up_to(instrument, until):
            self.summaries.topped_by(market, quote)
        for view in self.summaries.release(market, until):
            await self._say(market, view)

    async def _say(self, market: Market, view: SummaryView) -> None:
        exponents = self.summaries.exponents[market]
        message = summary_message(*market, view, exponents)
        if market[0] == COMPOSITE:
            message.definition_version = self.tools.composite.version
            message.components.extend(
                Component(venue=venue, instrument=market[1], fresh=True)
                for venue in self.composites.quoting(market[1])
            )
        record = outgoing(
            topics.MARKET_SUMMARIES_V1,
            message,
            key=":".join(market),
            subject=market[1],
            now_ns=self.tools.clock.now_ns(),
            event_id=f"{market[0]}:{market[1]}:{view.tick}",
        )
        await self.tools.publisher.send(record)
        self.said[market] = message
        self.tools.live.summarised(message)
        if record.value is not None:
            self.tools.latest.put("summary", *market, record.value)
            self.pending.summaries[market] = LatestRow(*market, message.ts_event, record.value)

    def _count_standing(self) -> None:
        levels = [level for m in self.markets() for level in self.open_candles(m).levels]
        oldest: dict[str, int] = {}
        for (venue, _), candles in self.candles.books.items():
            if candles.watermark >= 0:
                oldest[venue] = min(oldest.get(venue, candles.watermark), candles.watermark)
        forming = sum(len(level.bars) for level in levels)
        self.tools.counts.stands(self.number, forming, oldest, self.tools.clock.now_ns())

    def _keep_tickers(self) -> None:
        for market in self.fresh_tickers:
            ticker = self.tickers[market]
            message = ticker.SerializeToString()
            self.pending.tickers[market] = LatestRow(*market, ticker.ts_event, message)
            self.tools.latest.put("ticker", *market, message)
        self.fresh_tickers.clear()

    def _load(self, name: str, state: bytes) -> None:
        kind, _, rest = name.partition("/")
        venue, _, instrument = rest.partition(":")
        if kind == "candles":
            self.candles.books[venue, instrument] = load_candles(state)
        elif kind == "progress":
            self.marks.trackers[rest] = ProgressTracker.restore(state)
        elif kind == "fence":
            self.fence = Fence(msgspec.msgpack.decode(state, type=dict[str, int]))
        elif kind == "books":
            self.books.load(state)
        elif kind == "tops":
            self.books.placed = msgspec.msgpack.decode(state, type=dict[str, int])
        elif kind == "summary":
            self.summaries.load((venue, instrument), state)
        elif kind == "composite":
            self.composites.load(instrument, state)
        elif kind == "composite-quotes":
            self.composites.quotes[instrument] = CompositeQuotes.load(state)
        elif kind == "ticker":
            self.tickers[venue, instrument] = Ticker.FromString(state)

    def _states(self, pending: Pending) -> dict[str, bytes]:
        states = {
            f"candles/{venue}:{instrument}": dump_candles(self.candles.books[venue, instrument])
            for venue, instrument in sorted(pending.touched)
        }
        for market, row in sorted(pending.tickers.items()):
            states[f"ticker/{':'.join(market)}"] = row.message
        for topic, tracker in self.marks.trackers.items():
            states[f"progress/{topic}"] = tracker.snapshot()
        states |= self.summaries.states()
        states |= self.composites.states()
        states["fence/"] = msgspec.msgpack.encode(self.fence.snapshot())
        states["books/"] = self.books.dump()
        states["tops/"] = msgspec.msgpack.encode(self.books.placed)
        return states
