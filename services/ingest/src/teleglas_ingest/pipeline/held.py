"""What of the records that a reserve held its predecessor has not written."""

from __future__ import annotations

from collections.abc import Mapping

from teleglas_ingest.domain.events import Channel, Gap
from teleglas_ingest.pipeline.outbox import GapOut, LiquidationOut, Out, TradesOut
from teleglas_ingest.pipeline.tail import Tail

__all__ = ["is_news"]


def is_news(item: Out, tails: Mapping[str, Tail], since_ns: int) -> bool:
    """Trades after the tail, of which the others are dropped here; liquidations that are neither in
    the tail nor so old that the last owner still held its lease; gaps that end after the tail.
    """
    if isinstance(item, TradesOut):
        last = tails.get(item.market.key, Tail()).trade_sequence or -1
        item.trades = [trade for trade in item.trades if trade.sequence > last]
        return bool(item.trades)
    if isinstance(item, LiquidationOut):
        one = item.liquidation
        key = (int(one.side), one.price, one.size, one.ts_event)
        tail = tails.get(one.market.key, Tail())
        return one.ts_ingest >= since_ns and key not in tail.liquidations
    if isinstance(item, GapOut):
        return _is_new_gap(item.gap, tails.get(item.gap.market.key, Tail()))
    return True


def _is_new_gap(gap: Gap, tail: Tail) -> bool:
    if gap.channel == Channel.TRADES:
        return max(gap.first_missing, gap.last_missing) > (tail.trade_sequence or -1)
    return not gap.ts_to or gap.ts_to > tail.ts_event
