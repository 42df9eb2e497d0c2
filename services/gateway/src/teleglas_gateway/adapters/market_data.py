"""market-data over gRPC: a deadline on every call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import grpc
import grpc.aio

from teleglas.market.v1 import service_pb2, service_pb2_grpc
from teleglas_gateway.domain.keys import Grant
from teleglas_gateway.domain.problems import Code, Problem

__all__ = ["SAFE_METHODS", "GrpcMarketData", "Metadata", "problem_of"]

SAFE_METHODS = tuple(
    ("teleglas.market.v1.MarketData", method)
    for method in (
        *("ListMarkets", "GetTicker", "ListTickers", "ListCandles", "ListTrades", "ListGaps"),
        "GetBook",
    )
)
"""Reads: they may be repeated."""
Request = TypeVar("Request")
Answer = TypeVar("Answer")
Metadata = Callable[[Grant], tuple[tuple[str, str], ...]]
"""Signs whom a call is made for."""

_CODES = {
    grpc.StatusCode.DEADLINE_EXCEEDED: Code.UPSTREAM_TIMEOUT,
    grpc.StatusCode.NOT_FOUND: Code.NO_DATA,
    grpc.StatusCode.INVALID_ARGUMENT: Code.VALIDATION_FAILED,
    grpc.StatusCode.OUT_OF_RANGE: Code.VALIDATION_FAILED,
    grpc.StatusCode.PERMISSION_DENIED: Code.FORBIDDEN,
}


def problem_of(error: grpc.aio.AioRpcError) -> Problem:
    code = _CODES.get(error.code(), Code.UPSTREAM_UNAVAILABLE)
    return Problem(code, f"market-data: {error.details() or error.code().name}"[:300])


class GrpcMarketData:
    """Raises Problem for whatever goes wrong behind it."""

    def __init__(self, channel: grpc.aio.Channel, metadata: Metadata, *, deadline_s: float) -> None:
        self._stub = service_pb2_grpc.MarketDataStub(channel)
        self._metadata = metadata
        self._deadline_s = deadline_s

    async def markets(
        self, request: service_pb2.ListMarketsRequest, grant: Grant
    ) -> service_pb2.ListMarketsResponse:
        return await self._call(self._stub.ListMarkets, request, grant)

    async def ticker(
        self, request: service_pb2.GetTickerRequest, grant: Grant
    ) -> service_pb2.GetTickerResponse:
        return await self._call(self._stub.GetTicker, request, grant)

    async def tickers(
        self, request: service_pb2.ListTickersRequest, grant: Grant
    ) -> service_pb2.ListTickersResponse:
        return await self._call(self._stub.ListTickers, request, grant)

    async def candles(
        self, request: service_pb2.ListCandlesRequest, grant: Grant
    ) -> service_pb2.ListCandlesResponse:
        return await self._call(self._stub.ListCandles, request, grant)

    async def trades(
        self, request: service_pb2.ListTradesRequest, grant: Grant
    ) -> service_pb2.ListTradesResponse:
        return await self._call(self._stub.ListTrades, request, grant)

    async def book(
        self, request: service_pb2.GetBookRequest, grant: Grant
    ) -> service_pb2.GetBookResponse:
        return await self._call(self._stub.GetBook, request, grant)

    async def _call(
        self,
        method: Callable[..., Awaitable[Answer]],
        request: Request,
        grant: Grant,
    ) -> Answer:
        try:
            return await method(request, timeout=self._deadline_s, metadata=self._metadata(grant))
        except grpc.aio.AioRpcError as error:
            raise problem_of(error) from error
