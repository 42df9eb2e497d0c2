"""What happens to each message: check it, hand it to the shard."""

from __future__ import annotations

from teleglas.market.v1.book_pb2 import BookUpdate
from teleglas.market.v1.liquidation_pb2 import COVERAGE_COMPLETE, Liquidation
from teleglas.market.v1.progress_pb2 import Progress
from teleglas.market.v1.trade_pb2 import TradeBatch
from teleglas_common.bus.ports import Incoming
from teleglas_common.bus.tracing import is_sampled
from teleglas_whale_detector.adapters.messages import (
    check_header,
    check_liquidation,
    check_mark,
)
from teleglas_whale_detector.domain.parents import FillRow
from teleglas_whale_detector.shard import BOOKS, LIQUIDATIONS, TRADES, WhaleShard

__all__ = [
    "on_book",
    "on_books_progress",
    "on_liquidation",
    "on_liquidations_progress",
    "on_trades",
    "on_trades_progress",
]


def on_trades(shard: WhaleShard, incoming: Incoming[TradeBatch]) -> None:
    """Cluster fills into parent orders; a crossing is announced at once."""
    batch = incoming.message
    check_header(batch)
    if not shard.admits(TRADES, batch.source, batch.writer_epoch):
        return
    if is_sampled(incoming.record):
        shard.traced.note((batch.venue, batch.instrument))
    shard.trade(batch)


def on_trades_progress(shard: WhaleShard, incoming: Incoming[Progress]) -> None:
    """End the parents that are over once no fill up to the mark comes any more."""
    check_mark(incoming.message)
    shard.advance(shard.marks.observe(TRADES, incoming.message))


def on_book(shard: WhaleShard, incoming: Incoming[BookUpdate]) -> None:
    """Note best prices and depth over time."""
    update, offset = incoming.message, incoming.record.offset
    try:
        if shard.admits(BOOKS, update.source, update.writer_epoch) and not shard.books.apply(
            update, offset
        ):
            shard.tools.counts.resync(update.venue)
    finally:
        shard.book_read(offset)


def on_books_progress(shard: WhaleShard, incoming: Incoming[Progress]) -> None:
    """Say the closes and impacts that waited for the books."""
    check_mark(incoming.message)
    moved = shard.marks.observe(BOOKS, incoming.message)
    shard.book_read(incoming.record.offset)
    shard.advance_books(moved)


def on_liquidation(shard: WhaleShard, incoming: Incoming[Liquidation]) -> None:
    """Cluster forced orders into cascades."""
    one = incoming.message
    check_liquidation(one)
    if not shard.admits(LIQUIDATIONS, one.source, one.writer_epoch):
        return
    market = (one.venue, one.instrument)
    desk, ignored = shard.desk(market), shard.tools.counts.ignored
    if one.ts_event <= shard.marks.watermark(LIQUIDATIONS, market):
        ignored("late", 1)
        return
    if not desk.seen_forced.is_new_id(one.id):
        ignored("repeated", 1)
        return
    price_factor, size_factor = desk.forced.rescale(one.price_exponent, one.size_exponent)
    price = one.average_price if one.average_price > 0 else one.price
    size = one.filled_size if one.filled_size > 0 else one.size
    order = FillRow(
        one.id, one.side, price * price_factor, size * size_factor,
        max(one.ts_event, desk.forced.clock),
    )  # fmt: skip
    desk.forced.force(order, sampled=one.coverage != COVERAGE_COMPLETE)
    shard.collect(market, desk)


def on_liquidations_progress(shard: WhaleShard, incoming: Incoming[Progress]) -> None:
    """End the cascades that are over."""
    check_mark(incoming.message)
    shard.advance_forced(shard.marks.observe(LIQUIDATIONS, incoming.message))
