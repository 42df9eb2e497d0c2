"""Candles for pictures come over a real channel."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

from teleglas.market.v1.candle_pb2 import Candle
from teleglas.market.v1.service_pb2 import ListCandlesRequest, ListCandlesResponse
from teleglas_common.telemetry import Metrics
from teleglas_notification.adapters.candles import MarketDataCandles

CANDLE = Candle(ts_open=1, open=10, high=12, low=9, close=11, price_exponent=-1)
LIST_CANDLES = grpc.unary_unary_rpc_method_handler(
    lambda *_: ListCandlesResponse(candles=[CANDLE]),
    request_deserializer=ListCandlesRequest.FromString,
    response_serializer=ListCandlesResponse.SerializeToString,
)


def test_what_is_built_before_the_loop_asks_in_the_loop_that_runs() -> None:
    """A service is put together before its event loop exists."""
    server = grpc.server(ThreadPoolExecutor(1))
    handler = grpc.method_handlers_generic_handler(
        "teleglas.market.v1.MarketData", {"ListCandles": LIST_CANDLES}
    )
    server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    candles = MarketDataCandles(f"127.0.0.1:{port}", None, Metrics.of("notification"))

    async def ask() -> Any:
        await candles.start()
        try:
            return await candles.recent("binance", "BTC-USDT", 1)
        finally:
            await candles.stop()

    try:
        assert asyncio.run(ask()) == [(1, 1.0, 1.2000000000000002, 0.9, 1.1)]
    finally:
        server.stop(None)
