"""What happens to each message: decode, keep what is known, tell who asked."""

from __future__ import annotations

from teleglas.prediction.v1.prediction_pb2 import Forecast
from teleglas.signal.v1.signal_pb2 import SignalScore
from teleglas.whale.v1.whale_pb2 import WHALE_KIND_LIQUIDATION_CASCADE, WhaleAlert
from teleglas_common.bus.ports import Incoming
from teleglas_notification.adapters.messages import forecast_of, score_of, whale_of
from teleglas_notification.domain.cards import Card
from teleglas_notification.shard import NotificationShard, completed

__all__ = ["on_alert", "on_forecast", "on_score"]

MS_NS = 1_000_000
ABSTAIN = "abstain"


async def on_alert(shard: NotificationShard, incoming: Incoming[WhaleAlert]) -> None:
    """Tell of a new alert; bring the messages of a known one up to date."""
    alert = incoming.message
    whale = whale_of(alert)
    known = shard.open.get(alert.id)
    if known is not None and known.whale is not None and whale.revision < known.whale.revision:
        return
    is_cascade = alert.kind == WHALE_KIND_LIQUIDATION_CASCADE
    kind = "liquidation" if is_cascade else "whale"
    card = Card(alert.id, kind, alert.venue, alert.instrument, whale.ts_known, whale)
    await shard.show(completed(known, card), incoming.record.timestamp_ms * MS_NS)


async def on_score(shard: NotificationShard, incoming: Incoming[SignalScore]) -> None:
    """Complete what is told with a newer score; tell of a change of the stance."""
    message = incoming.message
    score = score_of(message)
    appended_ns = incoming.record.timestamp_ms * MS_NS
    before = await shard.score(message.instrument, score, appended_ns)
    if before is None or before.stance == score.stance:
        return
    card = Card(score.id, "signal", message.venue, message.instrument, score.ts_event)
    await shard.show(card, appended_ns)


async def on_forecast(shard: NotificationShard, incoming: Incoming[Forecast]) -> None:
    """Complete what is told with a newer forecast; tell of a new direction."""
    message = incoming.message
    one = forecast_of(message)
    appended_ns = incoming.record.timestamp_ms * MS_NS
    before = await shard.forecast(message.instrument, one, appended_ns)
    if before is None or one.direction in (before.direction, ABSTAIN):
        return
    venue, instrument = message.venue, message.instrument
    card = Card(one.id, "forecast", venue, instrument, one.ts_event, forecasts=(one,))
    await shard.show(card, appended_ns)
