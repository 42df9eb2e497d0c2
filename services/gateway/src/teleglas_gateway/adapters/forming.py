"""Candles that are still forming, from market-data's gRPC stream."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection

import grpc
import grpc.aio

from teleglas.market.v1 import candle_pb2, service_pb2, service_pb2_grpc
from teleglas_gateway.adapters.calls import Metadata
from teleglas_gateway.domain.keys import Grant, Scope
from teleglas_gateway.ports import FormingLostError

__all__ = ["GrpcForming"]

GATEWAY = Grant("default", "gateway", "", frozenset({Scope.MARKET_READ.value}))


class GrpcForming:
    """One call a venue, made on the gateway's own behalf: its clients share what comes."""

    def __init__(self, channel: grpc.aio.Channel, metadata: Metadata) -> None:
        self._stub = service_pb2_grpc.MarketDataStub(channel)
        self._metadata = metadata

    async def candles(
        self, venue: str, instruments: Collection[str], intervals: Collection[str]
    ) -> AsyncIterator[candle_pb2.Candle]:
        request = service_pb2.StreamCandlesRequest(
            venue=venue, instruments=sorted(instruments), intervals=sorted(intervals)
        )
        call = self._stub.StreamCandles(request, metadata=self._metadata(GATEWAY))
        try:
            async for answer in call:
                yield answer.candle
        except grpc.aio.AioRpcError as error:
            raise FormingLostError(f"{error.code().name}: {error.details()}") from error
        finally:
            call.cancel()
