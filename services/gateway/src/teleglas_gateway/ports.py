"""What the gateway needs from outside, and from the parts that decide."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from typing import Protocol

from teleglas.market.v1 import candle_pb2, service_pb2
from teleglas.notification.v1 import notification_pb2
from teleglas.prediction.v1 import prediction_pb2
from teleglas.signal.v1 import signal_pb2
from teleglas.whale.v1 import whale_pb2
from teleglas_gateway.domain.keys import Grant, KeyRecord
from teleglas_gateway.domain.limits import Quota, Verdict

__all__ = [
    "Authorizer",
    "Backends",
    "Claims",
    "Forming",
    "FormingLostError",
    "Keys",
    "Limiter",
    "MarketData",
    "Notifications",
    "Predictions",
    "Signals",
    "Tickets",
    "Whales",
]


class Claims(Protocol):
    """Lets one pod do what all of them see. Without its store every pod does it."""

    async def take(self, name: str) -> bool:
        """Whether this pod has the claim, also from before."""

    async def keep(self, name: str) -> None:
        """What was claimed is done: nobody need do it again."""


class FormingLostError(ConnectionError):
    """The stream of forming candles broke off."""


class Forming(Protocol):
    """Candles that are still forming."""

    def candles(
        self, venue: str, instruments: Collection[str], intervals: Collection[str]
    ) -> AsyncIterator[candle_pb2.Candle]:
        """Until cancelled; raises FormingLostError when the source breaks off."""


class Keys(Protocol):
    """API keys as they are stored: by prefix, never in plain."""

    async def find(self, prefix: str) -> KeyRecord | None: ...

    async def add(self, record: KeyRecord) -> None: ...

    async def list(self, tenant_id: str) -> list[KeyRecord]: ...

    async def revoke(self, tenant_id: str, prefix: str) -> bool:
        """False if the tenant has no such key that still works."""

    async def dead(self, key_ids: Collection[str]) -> set[str]:
        """Which of these keys are revoked, expired or gone."""


class Tickets(Protocol):
    """One-use tickets for streams."""

    async def issue(self, grant: Grant, ttl_s: int) -> str: ...

    async def redeem(self, ticket: str) -> Grant | None:
        """Whom the ticket stands for; None if it is unknown, used or too old."""


class Limiter(Protocol):
    """Counts requests of one client against a quota, over all pods where it can."""

    async def take(self, client: str, quota: Quota) -> Verdict: ...


class Authorizer(Protocol):
    """The one place that says who may do what. Raises Problem where the answer is no."""

    def check(self, grant: Grant, scope: str, resource: str) -> None: ...


class MarketData(Protocol):
    """Queries on market-data. Raises Problem when it does not answer in time."""

    async def markets(
        self, request: service_pb2.ListMarketsRequest, grant: Grant
    ) -> service_pb2.ListMarketsResponse: ...

    async def ticker(
        self, request: service_pb2.GetTickerRequest, grant: Grant
    ) -> service_pb2.GetTickerResponse: ...

    async def tickers(
        self, request: service_pb2.ListTickersRequest, grant: Grant
    ) -> service_pb2.ListTickersResponse: ...

    async def candles(
        self, request: service_pb2.ListCandlesRequest, grant: Grant
    ) -> service_pb2.ListCandlesResponse: ...

    async def trades(
        self, request: service_pb2.ListTradesRequest, grant: Grant
    ) -> service_pb2.ListTradesResponse: ...

    async def book(
        self, request: service_pb2.GetBookRequest, grant: Grant
    ) -> service_pb2.GetBookResponse: ...


class Whales(Protocol):
    """Questions to whale-detector. Raises Problem when it does not answer in time."""

    async def alerts(
        self, request: whale_pb2.ListAlertsRequest, grant: Grant
    ) -> whale_pb2.ListAlertsResponse: ...

    async def alert(
        self, request: whale_pb2.GetAlertRequest, grant: Grant
    ) -> whale_pb2.GetAlertResponse: ...

    async def thresholds(
        self, request: whale_pb2.ListThresholdsRequest, grant: Grant
    ) -> whale_pb2.ListThresholdsResponse: ...


class Signals(Protocol):
    """Questions to signal-scorer. Raises Problem when it does not answer in time."""

    async def score(
        self, request: signal_pb2.GetScoreRequest, grant: Grant
    ) -> signal_pb2.GetScoreResponse: ...

    async def scores(
        self, request: signal_pb2.ListScoresRequest, grant: Grant
    ) -> signal_pb2.ListScoresResponse: ...

    async def explain(
        self, request: signal_pb2.ExplainRequest, grant: Grant
    ) -> signal_pb2.ExplainResponse: ...

    async def weights(
        self, request: signal_pb2.GetWeightsRequest, grant: Grant
    ) -> signal_pb2.GetWeightsResponse: ...

    async def set_weights(
        self, request: signal_pb2.SetWeightsRequest, grant: Grant
    ) -> signal_pb2.SetWeightsResponse: ...


class Predictions(Protocol):
    """Questions to prediction. Raises Problem when it does not answer in time."""

    async def predict(
        self, request: prediction_pb2.PredictRequest, grant: Grant
    ) -> prediction_pb2.PredictResponse: ...

    async def batch(
        self, request: prediction_pb2.PredictBatchRequest, grant: Grant
    ) -> prediction_pb2.PredictBatchResponse: ...

    async def ledger(
        self, request: prediction_pb2.ListLedgerRequest, grant: Grant
    ) -> prediction_pb2.ListLedgerResponse: ...

    async def models(
        self, request: prediction_pb2.ListModelsRequest, grant: Grant
    ) -> prediction_pb2.ListModelsResponse: ...


class Notifications(Protocol):
    """Questions to notification. Raises Problem when it does not answer in time."""

    async def rules(
        self, request: notification_pb2.ListRulesRequest, grant: Grant
    ) -> notification_pb2.ListRulesResponse: ...

    async def put_rule(
        self, request: notification_pb2.PutRuleRequest, grant: Grant
    ) -> notification_pb2.PutRuleResponse: ...

    async def delete_rule(
        self, request: notification_pb2.DeleteRuleRequest, grant: Grant
    ) -> notification_pb2.DeleteRuleResponse: ...

    async def subscribers(
        self, request: notification_pb2.ListSubscribersRequest, grant: Grant
    ) -> notification_pb2.ListSubscribersResponse: ...

    async def put_subscriber(
        self, request: notification_pb2.PutSubscriberRequest, grant: Grant
    ) -> notification_pb2.PutSubscriberResponse: ...

    async def deliveries(
        self, request: notification_pb2.ListDeliveriesRequest, grant: Grant
    ) -> notification_pb2.ListDeliveriesResponse: ...

    async def resend(
        self, request: notification_pb2.ResendRequest, grant: Grant
    ) -> notification_pb2.ResendResponse: ...


@dataclass(frozen=True, slots=True)
class Backends:
    """Services that need not run beside a gateway; None where one does not."""

    whales: Whales | None = None
    signals: Signals | None = None
    predictions: Predictions | None = None
    notifications: Notifications | None = None
