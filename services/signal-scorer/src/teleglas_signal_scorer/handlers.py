"""What happens to each message: decode, hand to the shard, which publishes what is due."""

from __future__ import annotations

from teleglas.market.v1.candle_pb2 import Candle
from teleglas.market.v1.progress_pb2 import Progress
from teleglas.whale.v1.whale_pb2 import WhaleAlert
from teleglas_common.bus.ports import Incoming, PoisonError
from teleglas_common.bus.tracing import is_sampled
from teleglas_signal_scorer.adapters.messages import (
    COMPOSITE,
    MAX_TS,
    bar_of,
    check_name,
    whale_of,
)
from teleglas_signal_scorer.domain.intervals import LIVE
from teleglas_signal_scorer.shard import ScorerShard

__all__ = ["on_alert", "on_alerts_progress", "on_candle"]

MAX_INSTRUMENTS = 4_096


async def on_candle(shard: ScorerShard, incoming: Incoming[Candle]) -> None:
    """Take a closed candle of the composite, of an interval that scores read."""
    candle = incoming.message
    shard.read(incoming.record)
    interval = LIVE.find(candle.interval)
    if candle.venue != COMPOSITE or interval is None or not candle.is_closed:
        return
    bar = bar_of(candle, interval)
    if is_sampled(incoming.record):
        shard.traced.note(candle.instrument)
    await shard.take_candle(candle.instrument, interval.name, bar)


async def on_alert(shard: ScorerShard, incoming: Incoming[WhaleAlert]) -> None:
    """Take a revision of an alert; it counts at ticks from the time it became known."""
    shard.read(incoming.record)
    whale = whale_of(incoming.message)
    if is_sampled(incoming.record):
        shard.traced.note(incoming.message.instrument)
    await shard.take_whale(incoming.message.instrument, whale)


async def on_alerts_progress(shard: ScorerShard, incoming: Incoming[Progress]) -> None:
    """Make the scores that waited for the alerts."""
    mark = incoming.message
    shard.read(incoming.record)
    check_name(mark.venue, *mark.instruments)
    if not 0 < mark.ts_event < MAX_TS or not 0 <= mark.lease_ns < MAX_TS:
        raise PoisonError("impossible_time", f"was {mark.ts_event} ({mark.source[:64]})")
    if not mark.source or len(mark.instruments) > MAX_INSTRUMENTS:
        raise PoisonError("incomplete_mark", f"expected a source and instruments, was {mark}"[:300])
    await shard.take_mark(mark)
