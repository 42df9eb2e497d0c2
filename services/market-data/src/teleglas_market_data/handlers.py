"""What happens to each message: decode, call a desk, publish what changed."""

from __future__ import annotations

from teleglas.market.v1.book_pb2 import BookUpdate
from teleglas.market.v1.gap_pb2 import GAP_RESOLUTION_LOST, Gap
from teleglas.market.v1.instrument_pb2 import Instrument
from teleglas.market.v1.liquidation_pb2 import Liquidation
from teleglas.market.v1.progress_pb2 import Progress
from teleglas.market.v1.ticker_pb2 import Ticker
from teleglas.market.v1.trade_pb2 import TradeBatch
from teleglas.market.v1.types_pb2 import CHANNEL_TRADES
from teleglas_common.bus.ports import Incoming, PoisonError
from teleglas_common.bus.tracing import is_sampled
from teleglas_market_data.adapters.messages import ENUM_BITS, are_names, stored_trades
from teleglas_market_data.adapters.quotes import check_ticker, quote_of
from teleglas_market_data.domain.candles import LostSpan
from teleglas_market_data.shard import MarketShard

__all__ = [
    "on_book",
    "on_books_progress",
    "on_gap",
    "on_instrument",
    "on_liquidation",
    "on_ticker",
    "on_tickers_progress",
    "on_trades",
    "on_trades_progress",
]


async def on_trades(shard: MarketShard, incoming: Incoming[TradeBatch]) -> None:
    """Count the new trades of an instrument; publish the closed candles that they revise."""
    batch = incoming.message
    if not shard.admits(incoming.record.topic, batch.source, batch.writer_epoch):
        return
    trades = stored_trades(batch)
    revised = await shard.candles.trade(trades, contiguous=batch.contiguous)
    if revised:
        await shard.publish(revised, late=True)
    market = (trades.venue, trades.instrument)
    if is_sampled(incoming.record):
        shard.traced.note(market)
    shard.tools.live.touched(market)


async def on_trades_progress(shard: MarketShard, incoming: Incoming[Progress]) -> None:
    """Publish the candles that are over once nothing up to the mark comes any more."""
    topic, mark = incoming.record.topic, incoming.message
    check_mark(mark)
    moved = shard.observe(topic, mark)
    for market in moved:
        await shard.advance(market, shard.watermark(topic, market))
    await shard.summarise(moved)


async def on_book(shard: MarketShard, incoming: Incoming[BookUpdate]) -> None:
    """Bring a book up to date; note its best prices when a tick of the summaries lies behind."""
    update, record = incoming.message, incoming.record
    market = (update.venue, update.instrument)
    if shard.admits(record.topic, update.source, update.writer_epoch):
        at = shard.marks.not_before(record.topic, market, update.ts_event)
        shard.note_top_before(market, at)
        if not shard.books.apply(update, record.offset):
            shard.tools.counts.resync(update.venue)
        shard.books.place(market, at)
    shard.book_read(record)


async def on_books_progress(shard: MarketShard, incoming: Incoming[Progress]) -> None:
    """Say the summaries that waited for the books."""
    check_mark(incoming.message)
    moved = shard.observe(incoming.record.topic, incoming.message)
    shard.book_read(incoming.record)
    await shard.summarise(moved)


async def on_ticker(shard: MarketShard, incoming: Incoming[Ticker]) -> None:
    """Keep what changed of a ticker, for queries and for the next summary."""
    ticker = incoming.message
    check_ticker(ticker)
    shard.marks.silences.heard(incoming.record.topic)
    if not shard.admits(incoming.record.topic, ticker.source, ticker.writer_epoch):
        return
    shard.keep_ticker(ticker)
    quote = quote_of(ticker)
    if quote is not None:
        market = (ticker.venue, ticker.instrument)
        at = shard.marks.not_before(incoming.record.topic, market, quote.ts_event)
        shard.summaries.quoted(market, quote, at)


async def on_tickers_progress(shard: MarketShard, incoming: Incoming[Progress]) -> None:
    """Say the summaries that waited for the tickers."""
    check_mark(incoming.message)
    await shard.summarise(shard.observe(incoming.record.topic, incoming.message))


async def on_liquidation(shard: MarketShard, incoming: Incoming[Liquidation]) -> None:
    """Store a liquidation."""
    one = incoming.message
    named = are_names(one.id, one.venue, one.instrument)
    if not named or one.price <= 0 or one.size <= 0 or one.side >> ENUM_BITS:
        raise PoisonError(
            "impossible_liquidation",
            "expected an id, a venue, an instrument, price and size above 0,"
            f" were {one.id!r}, {one.venue!r}, {one.instrument!r}, {one.price}, {one.size}",
        )
    if not shard.admits(incoming.record.topic, one.source, one.writer_epoch):
        return
    shard.pending.liquidations[one.id] = one.SerializeToString()


async def on_gap(shard: MarketShard, incoming: Incoming[Gap]) -> None:
    """Store a gap; where trades are lost, mark the candles that miss them."""
    gap = incoming.message
    if not are_names(gap.id, gap.venue, gap.instrument):
        raise PoisonError(
            "incomplete_gap",
            "expected an id, a venue and an instrument,"
            f" were {gap.id!r}, {gap.venue!r}, {gap.instrument!r}",
        )
    if (gap.channel | gap.resolution) >> ENUM_BITS:
        raise PoisonError(
            "impossible_gap",
            f"expected a known channel and resolution, were {gap.channel} and {gap.resolution}",
        )
    if not shard.admits(incoming.record.topic, gap.source, gap.writer_epoch):
        return
    shard.pending.gaps[gap.venue, gap.instrument, gap.id] = gap.SerializeToString()
    if gap.channel == CHANNEL_TRADES:
        lost = gap.resolution == GAP_RESOLUTION_LOST and 0 < gap.ts_from < gap.ts_to
        span = LostSpan(gap.ts_from, gap.ts_to) if lost else None
        market = (gap.venue, gap.instrument)
        await shard.publish(await shard.candles.lose(market, gap.id, span), late=True)


async def on_instrument(shard: MarketShard, incoming: Incoming[Instrument]) -> None:
    """Store reference data."""
    one = incoming.message
    if not are_names(one.venue, one.instrument, one.base):
        raise PoisonError(
            "incomplete_instrument",
            "expected a venue, an instrument and a base,"
            f" were {one.venue!r}, {one.instrument!r}, {one.base!r}",
        )
    shard.pending.instruments[one.venue, one.instrument] = one.SerializeToString()


def check_mark(mark: Progress) -> None:
    """Raises PoisonError when a mark says nothing that can be trusted."""
    named = are_names(mark.venue, mark.source, *mark.instruments)
    if not named or mark.ts_event <= 0 or mark.lease_ns < 0:
        raise PoisonError(
            "impossible_progress",
            "expected a venue, a source, a time above 0 and a lease of 0 or more,"
            f" were {mark.venue!r}, {mark.source!r}, {mark.ts_event}, {mark.lease_ns}",
        )
