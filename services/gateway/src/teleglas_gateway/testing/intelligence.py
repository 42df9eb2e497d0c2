"""The intelligence services as the gateway sees them: real gRPC servers with one of everything."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio

from teleglas.market.v1 import types_pb2
from teleglas.notification.v1 import notification_pb2, notification_pb2_grpc
from teleglas.prediction.v1 import prediction_pb2, prediction_pb2_grpc
from teleglas.signal.v1 import signal_pb2, signal_pb2_grpc
from teleglas.whale.v1 import whale_pb2, whale_pb2_grpc
from teleglas_gateway.testing.records import T0_NS

__all__ = [
    "Asked",
    "alert",
    "delivery",
    "forecast",
    "score",
    "serve_intelligence",
]

NS_PER_S = 1_000_000_000


def alert(number: int = 1, *, instrument: str = "BTC-USDT") -> whale_pb2.WhaleAlert:
    return whale_pb2.WhaleAlert(
        id=f"binance:{instrument}:buy:{number}:1",
        revision=2,
        venue="binance",
        instrument=instrument,
        kind=whale_pb2.WHALE_KIND_SWEEP,
        side=types_pb2.SIDE_BUY,
        price_exponent=-2,
        size_exponent=-5,
        quote_exponent=-2,
        notional=225_000_000,
        size=5_000_000,
        vwap=4_500_000,
        ts_first_fill=T0_NS,
        ts_last_fill=T0_NS + 200_000_000,
        fills=2,
        levels_consumed=12,
        impacts=[whale_pb2.Impact(horizon_ns=NS_PER_S, basis_points=3.5)],
        threshold=150_000_000,
        percentile=0.9991,
        is_closed=True,
        definition_version=1,
        first_trade_id=str(number),
        last_trade_id=str(number + 1),
        depth_share=0.25,
        trade_ids=[str(number), str(number + 1)],
        ts_event=T0_NS + NS_PER_S,
    )


def score(instrument: str = "BTC-USDT", ts_event: int = T0_NS) -> signal_pb2.SignalScore:
    return signal_pb2.SignalScore(
        id=f"composite:{instrument}:{ts_event // NS_PER_S}:1",
        venue="composite",
        instrument=instrument,
        ts_event=ts_event,
        score=34.5,
        confidence=0.8,
        stance="buy",
        completeness=1.0,
        receipt=signal_pb2.Receipt(
            contributions=[
                signal_pb2.Contribution(
                    layer="technical",
                    points=30.0,
                    reading=0.6,
                    weight=50.0,
                    confidence=1.0,
                    inputs=[signal_pb2.Input(name="rsi_14_5m", value=61.5, ts_event=T0_NS)],
                ),
                signal_pb2.Contribution(
                    layer="order_flow", points=4.5, weight=30.0, reason="no whale seen yet"
                ),
            ],
            weights_version=1,
            positions=[signal_pb2.TopicPosition(topic="market.candles", partition=3, offset=7)],
            missing=["news"],
            confidence_cost=0.2,
        ),
    )


def forecast(
    instrument: str = "BTC-USDT", horizon_ns: int = 300 * NS_PER_S, model: str = "random-walk"
) -> prediction_pb2.Forecast:
    return prediction_pb2.Forecast(
        id=f"composite:{instrument}:{horizon_ns // NS_PER_S}:{T0_NS // NS_PER_S}:{model}-1",
        venue="composite",
        instrument=instrument,
        horizon_ns=horizon_ns,
        ts_event=T0_NS,
        ts_target=T0_NS + horizon_ns,
        reference_price=94_000.0,
        median=94_010.5,
        intervals=[
            prediction_pb2.Interval(coverage=0.5, lower=93_900.0, upper=94_100.0),
            prediction_pb2.Interval(coverage=0.9, lower=93_700.0, upper=94_310.0),
        ],
        direction=prediction_pb2.DIRECTION_ABSTAIN,
        abstain_reason="no skill over the random walk",
        model=model,
        model_version="1",
        completeness=1.0,
    )


def delivery(
    status: notification_pb2.DeliveryStatus.ValueType = notification_pb2.DELIVERY_STATUS_SENT,
) -> notification_pb2.Delivery:
    return notification_pb2.Delivery(
        id=f"default:chat-1:rule-1:{alert().id}",
        tenant_id="default",
        subscriber_id="chat-1",
        rule_id="rule-1",
        event_id=alert().id,
        channel="telegram",
        status=status,
        attempts=1,
        ts_event=T0_NS,
        ts_delivered=T0_NS + NS_PER_S,
    )


@dataclass
class Asked:
    """The last request, with whose principal it came; `failure` is what every call ends with."""

    request: Any = None
    metadata: dict[str, Any] = field(default_factory=dict)
    calls: int = 0
    failure: grpc.StatusCode | None = None
    fail_times: int | None = None

    async def note(self, request: Any, context: Any) -> None:
        self.request = request
        self.metadata = dict(context.invocation_metadata())
        self.calls += 1
        if self.failure is not None and (self.fail_times is None or self.fail_times > 0):
            if self.fail_times is not None:
                self.fail_times -= 1
            await context.abort(self.failure, "as the test wants it")


class _Whales(whale_pb2_grpc.WhalesServicer):
    def __init__(self, asked: Asked) -> None:
        self.asked = asked

    async def ListAlerts(self, request: Any, context: Any) -> Any:  # noqa: N802
        await self.asked.note(request, context)
        token = "" if request.page_token else "2"
        rows = [alert(2 if request.page_token else 1)]
        return whale_pb2.ListAlertsResponse(alerts=rows, next_page_token=token)

    async def GetAlert(self, request: Any, context: Any) -> Any:  # noqa: N802
        await self.asked.note(request, context)
        if request.id != alert().id:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"no alert {request.id}")
        return whale_pb2.GetAlertResponse(alert=alert())

    async def ListThresholds(self, request: Any, context: Any) -> Any:  # noqa: N802
        await self.asked.note(request, context)
        known = whale_pb2.Threshold(
            venue="binance",
            instrument="BTC-USDT",
            notional=1.5e6,
            quantile=0.999,
            warm_up=1.0,
            observations=9_000,
            definition_version=1,
            ts_event=T0_NS,
        )
        warming = whale_pb2.Threshold(venue="okx", instrument="BTC-USDT", warm_up=0.25)
        return whale_pb2.ListThresholdsResponse(thresholds=[known, warming])


class _Signals(signal_pb2_grpc.SignalsServicer):
    def __init__(self, asked: Asked) -> None:
        self.asked = asked

    async def GetScore(self, request: Any, context: Any) -> Any:  # noqa: N802
        await self.asked.note(request, context)
        if request.instrument != "BTC-USDT":
            await context.abort(grpc.StatusCode.NOT_FOUND, "no score yet")
        return signal_pb2.GetScoreResponse(score=score())

    async def ListScores(self, request: Any, context: Any) -> Any:  # noqa: N802
        await self.asked.note(request, context)
        return signal_pb2.ListScoresResponse(scores=[score()])

    async def Explain(self, request: Any, context: Any) -> Any:  # noqa: N802
        await self.asked.note(request, context)
        if request.id != score().id:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"no score {request.id}")
        return signal_pb2.ExplainResponse(
            score=score(), sentences=["technical adds 30.0: it reads 0.6 of 1, weight 50"]
        )

    async def GetWeights(self, request: Any, context: Any) -> Any:  # noqa: N802
        await self.asked.note(request, context)
        return signal_pb2.GetWeightsResponse(weights=_weights(request.version or 3))

    async def SetWeights(self, request: Any, context: Any) -> Any:  # noqa: N802
        await self.asked.note(request, context)
        return signal_pb2.SetWeightsResponse(weights=_weights(4))


def _weights(version: int) -> signal_pb2.Weights:
    return signal_pb2.Weights(
        version=version,
        layers=[signal_pb2.LayerWeight(layer="technical", weight=50.0)],
        ts_effective=T0_NS,
        changed_by="tester",
        reason="first",
    )


class _Predictions(prediction_pb2_grpc.PredictionsServicer):
    def __init__(self, asked: Asked) -> None:
        self.asked = asked

    async def Predict(self, request: Any, context: Any) -> Any:  # noqa: N802
        await self.asked.note(request, context)
        if request.model != "random-walk":
            await context.abort(grpc.StatusCode.NOT_FOUND, f"no model {request.model}")
        return prediction_pb2.PredictResponse(
            forecast=forecast(request.instrument, request.horizon_ns, request.model)
        )

    async def PredictBatch(self, request: Any, context: Any) -> Any:  # noqa: N802
        await self.asked.note(request, context)
        return prediction_pb2.PredictBatchResponse(
            forecasts=[
                forecast(instrument, horizon_ns)
                for instrument in request.instruments
                for horizon_ns in request.horizons_ns
            ]
        )

    async def ListLedger(self, request: Any, context: Any) -> Any:  # noqa: N802
        await self.asked.note(request, context)
        resolved = prediction_pb2.LedgerEntry(
            forecast=forecast(),
            outcome_price=94_020.0,
            ts_resolved=T0_NS + 300 * NS_PER_S,
            covered=[True, True],
            pinball_loss=1.5,
            baseline_pinball_loss=1.5,
        )
        waiting = prediction_pb2.LedgerEntry(forecast=forecast(horizon_ns=3600 * NS_PER_S))
        return prediction_pb2.ListLedgerResponse(entries=[waiting, resolved])

    async def ListModels(self, request: Any, context: Any) -> Any:  # noqa: N802
        await self.asked.note(request, context)
        model = prediction_pb2.Model(
            name="gradient-boosted",
            version="3",
            horizon_ns=300 * NS_PER_S,
            champion=True,
            features=["return_5m"],
            ts_data_from=T0_NS,
            ts_data_to=T0_NS,
            training_data_sha256="ab" * 32,
            metrics=[prediction_pb2.Metric(name="coverage_90", value=float("nan"))],
        )
        return prediction_pb2.ListModelsResponse(models=[model])


class _Notifications(notification_pb2_grpc.NotificationsServicer):
    def __init__(self, asked: Asked) -> None:
        self.asked = asked

    async def ListRules(self, request: Any, context: Any) -> Any:  # noqa: N802
        await self.asked.note(request, context)
        rule = notification_pb2.Rule(
            id="rule-1", subscriber_id="chat-1", kinds=["whale"], min_notional=1e6, enabled=True
        )
        return notification_pb2.ListRulesResponse(rules=[rule])

    async def PutRule(self, request: Any, context: Any) -> Any:  # noqa: N802
        await self.asked.note(request, context)
        return notification_pb2.PutRuleResponse(rule=request.rule)

    async def DeleteRule(self, request: Any, context: Any) -> Any:  # noqa: N802
        await self.asked.note(request, context)
        if request.id != "rule-1":
            await context.abort(grpc.StatusCode.NOT_FOUND, f"no rule {request.id}")
        return notification_pb2.DeleteRuleResponse()

    async def ListSubscribers(self, request: Any, context: Any) -> Any:  # noqa: N802
        await self.asked.note(request, context)
        found = notification_pb2.Subscriber(id="chat-1", channel="telegram", address="1")
        return notification_pb2.ListSubscribersResponse(subscribers=[found])

    async def PutSubscriber(self, request: Any, context: Any) -> Any:  # noqa: N802
        await self.asked.note(request, context)
        return notification_pb2.PutSubscriberResponse(subscriber=request.subscriber)

    async def ListDeliveries(self, request: Any, context: Any) -> Any:  # noqa: N802
        await self.asked.note(request, context)
        return notification_pb2.ListDeliveriesResponse(deliveries=[delivery()])

    async def Resend(self, request: Any, context: Any) -> Any:  # noqa: N802
        await self.asked.note(request, context)
        if request.delivery_id != delivery().id:
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "it was delivered")
        queued = delivery(notification_pb2.DELIVERY_STATUS_QUEUED)
        return notification_pb2.ResendResponse(delivery=queued)


@asynccontextmanager
async def serve_intelligence(asked: Asked) -> AsyncIterator[str]:
    """All four services on one loopback port; yields its target."""
    server = grpc.aio.server()
    whale_pb2_grpc.add_WhalesServicer_to_server(_Whales(asked), server)
    signal_pb2_grpc.add_SignalsServicer_to_server(_Signals(asked), server)  # type: ignore[abstract]
    prediction_pb2_grpc.add_PredictionsServicer_to_server(_Predictions(asked), server)
    notification_pb2_grpc.add_NotificationsServicer_to_server(_Notifications(asked), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)
