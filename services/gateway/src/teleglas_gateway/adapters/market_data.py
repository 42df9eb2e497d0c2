"""market-data over gRPC."""

from __future__ import annotations

import grpc.aio

from teleglas.market.v1 import service_pb2, service_pb2_grpc
from teleglas_gateway.adapters.calls import Calls
from teleglas_gateway.domain.keys import Grant

__all__ = ["SAFE_METHODS", "GrpcMarketData"]

SAFE_METHODS = tuple(
    ("teleglas.market.v1.MarketData", method)
    for method in (
        *("ListMarkets", "GetTicker", "ListTickers", "ListCandles", "ListTrades", "ListGaps"),
        "GetBook",
    )
)
"""Reads: they may be repeated."""


class GrpcMarketData:
    """Raises Problem for whatever goes wrong behind it."""

    def __init__(self, channel: grpc.aio.Channel, calls: Calls) -> None:
        self._stub = service_pb2_grpc.MarketDataStub(channel)
        self._call = calls.make

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
