"""One trade's trace, over every process that it passes."""

from __future__ import annotations

import itertools

import pytest

from teleglas_cli.streaming import open_stream, subscribe
from teleglas_common.testing import eventually
from tests.support.product import rest, running_product
from tests.support.stream import Follower
from tests.support.traces import SpanSeen, Traces, receiving

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

FRAME_TO_TRADE = (
    "ingest: receive trades",
    "ingest: publish TradesOut",
    "gateway: stream teleglas.market.trades.v1",
)
FRAME_TO_CANDLE = (
    "ingest: receive trades",
    "ingest: publish TradesOut",
    "market-data: process teleglas.market.trades.v1",
    "market-data: publish candles",
    "gateway: stream teleglas.market.candles.v1",
)
REST_TO_MARKET_DATA = (
    "gateway: GET /v1/tickers",
    "gateway: fastapi.endpoint",
    "gateway: /teleglas.market.v1.MarketData/ListTickers",
    "market-data: /teleglas.market.v1.MarketData/ListTickers",
)


def way_of(traces: Traces, *names: str) -> tuple[SpanSeen, ...]:
    """A chain of spans with these names, each the parent or a link of the next."""
    ends = [seen for seen in traces.spans.values() if str(seen) == names[-1]]
    for end in ends:
        for way in traces.ways_back(end):
            if tuple(str(seen) for seen in way) == names:
                return way
    seen = sorted({str(span) for span in traces.spans.values()})
    found = [str(one) for way in map(traces.ways_back, ends[:1]) for one in next(way)]
    raise AssertionError(f"expected {names}; nearest {found}; all spans: {seen}")


async def test_a_trade_is_traced_from_its_frame_to_the_stream(tmp_path):
    """Every edge from frame to stream message is there, over Kafka headers and gRPC."""
    async with receiving() as traces:
        every = (("TELEGLAS_TELEMETRY__SAMPLE_RATIO", "1"),)
        async with running_product(
            tmp_path, rate=50, otlp_endpoint=traces.endpoint, extra_env=every
        ) as product:
            client = Follower()
            running = product.running
            async with open_stream(running.gateway_url, running.demo_key) as connection:
                for channel, extra in (("trades", {}), ("candles", {"interval": "1s"})):
                    await subscribe(connection, channel, ["BTC-USDT"], venue=["binance"], **extra)
                await client.follow(connection, most=10)
                trade = await eventually(
                    lambda: way_of(traces, *FRAME_TO_TRADE), timeout_s=60, every_s=0.5
                )
                candle = await eventually(
                    lambda: way_of(traces, *FRAME_TO_CANDLE), timeout_s=60, every_s=0.5
                )
            async with rest(product) as http, http.get("/v1/tickers") as response:
                assert response.status == 200
            asked = await eventually(
                lambda: way_of(traces, *REST_TO_MARKET_DATA), timeout_s=30, every_s=0.5
            )
    for way in (trade, candle, asked):
        for before, after in itertools.pairwise(way):
            assert before.id in after.origins
    stamps = [seen.span.start_time_unix_nano for seen in candle]
    assert stamps == sorted(stamps), "expected every span to begin after the one before it"
    topic = {a.key: a.value.string_value for a in trade[-1].span.attributes}
    assert topic["messaging.destination.name"] == "teleglas.market.trades.v1"
