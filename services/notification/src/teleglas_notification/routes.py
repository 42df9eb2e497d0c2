"""Which messages notification reads, and what handles them."""

from __future__ import annotations

from typing import Any

from teleglas.prediction.v1.prediction_pb2 import Forecast
from teleglas.signal.v1.signal_pb2 import SignalScore
from teleglas.whale.v1.whale_pb2 import WhaleAlert
from teleglas_common.bus.ports import Route
from teleglas_contracts import topics
from teleglas_notification.handlers import on_alert, on_forecast, on_score
from teleglas_notification.shard import NotificationShard

__all__ = ["GROUP", "READS", "ROUTES", "WRITES"]

GROUP = "notification"

ROUTES: tuple[Route[NotificationShard, Any], ...] = (
    Route(topics.WHALE_ALERTS_V1, WhaleAlert, on_alert),
    Route(topics.SIGNAL_SCORES_V1, SignalScore, on_score),
    Route(topics.PREDICTION_FORECASTS_V1, Forecast, on_forecast),
)

READS = tuple(dict.fromkeys(route.topic for route in ROUTES))
WRITES = (topics.NOTIFICATION_DELIVERIES_V1,)
