"""What happens to each message: decode, take the bar, publish what follows from it."""

from __future__ import annotations

from teleglas.market.v1.candle_pb2 import Candle
from teleglas_common.bus.ports import Incoming
from teleglas_prediction.adapters.messages import COMPOSITE, bar_of
from teleglas_prediction.domain.horizons import INTERVALS_NS
from teleglas_prediction.shard import PredictionShard

__all__ = ["on_candle"]


async def on_candle(shard: PredictionShard, incoming: Incoming[Candle]) -> None:
    """Take a closed candle of the composite at an interval that a horizon stands on."""
    candle = incoming.message
    if candle.venue == COMPOSITE and candle.interval in INTERVALS_NS:
        await shard.take(candle.instrument, candle.interval, bar_of(candle))
