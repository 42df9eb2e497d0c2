"""Which messages signal-scorer reads, and what handles them."""

from __future__ import annotations

from typing import Any

from teleglas.market.v1.candle_pb2 import Candle
from teleglas.market.v1.progress_pb2 import Progress
from teleglas.whale.v1.whale_pb2 import WhaleAlert
from teleglas_common.bus.ports import Route
from teleglas_contracts import topics
from teleglas_signal_scorer.handlers import on_alert, on_alerts_progress, on_candle
from teleglas_signal_scorer.shard import ScorerShard

__all__ = ["GROUP", "READS", "ROUTES", "WRITES"]

GROUP = "signal-scorer"

ROUTES: tuple[Route[ScorerShard, Any], ...] = (
    Route(topics.MARKET_CANDLES_V1, Candle, on_candle),
    Route(topics.WHALE_ALERTS_V1, WhaleAlert, on_alert),
    Route(topics.WHALE_ALERTS_V1, Progress, on_alerts_progress),
)

READS = tuple(dict.fromkeys(route.topic for route in ROUTES))
WRITES = (topics.SIGNAL_SCORES_V1,)
