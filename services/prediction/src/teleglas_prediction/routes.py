"""Which messages prediction reads, and what handles them."""

from __future__ import annotations

from typing import Any

from teleglas.market.v1.candle_pb2 import Candle
from teleglas_common.bus.ports import Route
from teleglas_contracts import topics
from teleglas_prediction.handlers import on_candle
from teleglas_prediction.shard import PredictionShard

__all__ = ["GROUP", "READS", "ROUTES", "WRITES"]

GROUP = "prediction"

ROUTES: tuple[Route[PredictionShard, Any], ...] = (
    Route(topics.MARKET_CANDLES_V1, Candle, on_candle),
)

READS = tuple(dict.fromkeys(route.topic for route in ROUTES))
WRITES = (topics.PREDICTION_FORECASTS_V1,)
