"""What the gateway needs from outside, and from the parts that decide."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from typing import Protocol

from teleglas.market.v1 import candle_pb2, service_pb2
from teleglas_gateway.domain.keys import Grant, KeyRecord
from teleglas_gateway.domain.limits import Quota, Verdict

__all__ = [
    "Authorizer",
    "Claims",
    "Forming",
    "FormingLostError",
    "Keys",
    "Limiter",
    "MarketData",
    "Tickets",
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
