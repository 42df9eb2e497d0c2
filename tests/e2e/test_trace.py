"""One trade's trace, over every process that it passes."""

from __future__ import annotations

import asyncio
import itertools
from functools import partial

import pytest

from teleglas_cli.streaming import open_stream, subscribe
from teleglas_cli.up.options import Source
from teleglas_cli.up.services import TABLE
from teleglas_common.testing import eventually
from teleglas_common.testing.realdata import realdata
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
    for end in list(traces.spans.values()):
        if str(end) == names[-1] and (way := traces.way_back(end, names)):
            return way
    seen = sorted({str(span) for span in traces.spans.values()})
    raise AssertionError(f"expected {names}; all spans: {seen}")


@pytest.mark.asyncio(loop_scope="session")
async def test_a_trade_is_traced_from_its_frame_to_the_stream(standing):
    """Every edge from frame to stream message is there, over Kafka headers and gRPC."""
    traces, running = standing.traces, standing.product.running
    traces.spans.clear()
    client = Follower()
    async with (
        open_stream(running.gateway_url, running.demo_key) as connection,
        rest(standing.product) as http,
    ):

        async def ask() -> tuple[SpanSeen, ...]:
            """Again and again, as not every request is traced."""
            async with http.get("/v1/tickers") as response:
                assert response.status == 200
            return way_of(traces, *REST_TO_MARKET_DATA)

        for channel, extra in (("trades", {}), ("candles", {"interval": "1s"})):
            await subscribe(connection, channel, ["BTC-USDT"], venue=["binance"], **extra)
        await client.follow(connection, most=10)
        following = asyncio.create_task(client.follow(connection))
        trade = await eventually(
            partial(way_of, traces, *FRAME_TO_TRADE), timeout_s=60, every_s=0.5
        )
        candle = await eventually(
            partial(way_of, traces, *FRAME_TO_CANDLE), timeout_s=60, every_s=0.5
        )
        asked = await eventually(ask, timeout_s=60, every_s=0.5)
        following.cancel()
    for way in (trade, candle, asked):
        for before, after in itertools.pairwise(way):
            assert before.id in after.origins
    stamps = [seen.span.start_time_unix_nano for seen in candle]
    assert stamps == sorted(stamps), "expected every span to begin after the one before it"
    topic = {a.key: a.value.string_value for a in trade[-1].span.attributes}
    assert topic["messaging.destination.name"] == "teleglas.market.trades.v1"


TO_CANDLE = FRAME_TO_CANDLE[:-1]
TO_CHAT = (
    *FRAME_TO_CANDLE[:2],
    "whale-detector: process teleglas.market.trades.v1",
    "whale-detector: publish alert",
    "notification: process teleglas.whale.alerts.v1",
    "notification: send telegram",
)
TO_SCORES = (
    *TO_CANDLE,
    "signal-scorer: process teleglas.market.candles.v1",
    "signal-scorer: publish score",
    "gateway: stream teleglas.signal.scores.v1",
)
TO_FORECASTS = (
    *TO_CANDLE,
    "prediction: process teleglas.market.candles.v1",
    "prediction: publish forecasts",
    "gateway: stream teleglas.prediction.forecasts.v1",
)
TO_ALERTS = (*TO_CHAT[:-2], "gateway: stream teleglas.whale.alerts.v1")


@pytest.mark.realdata
async def test_a_trade_is_traced_to_the_chat_and_to_every_stream(tmp_path):
    """From a frame over all seven services: to a message, a score, a forecast and an alert."""
    path = realdata("captures", "binance", "spot_btcusdt_20240808.gz")
    async with receiving() as traces:
        sampled = (
            ("TELEGLAS_TELEMETRY__SAMPLE_RATIO", "0.2"),
            ("TELEGLAS_DETECTOR__MIN_OBSERVATIONS", "200"),
            ("TELEGLAS_DETECTOR__QUANTILE", "0.95"),
        )
        async with running_product(
            tmp_path,
            source=Source.CAPTURE,
            captures=(path,),
            speed="20",
            otlp_endpoint=traces.endpoint,
            extra_env=sampled,
        ) as product:
            running = product.running
            async with open_stream(running.gateway_url, running.demo_key) as connection:
                for channel in ("whales", "signals", "predictions"):
                    venue = {"venue": ["binance"]} if channel == "whales" else {}
                    await subscribe(connection, channel, ["BTC-USDT"], **venue)
                ways = [
                    await eventually(partial(way_of, traces, *names), timeout_s=120, every_s=1.0)
                    for names in (TO_CHAT, TO_ALERTS, TO_SCORES, TO_FORECASTS)
                ]
    for way in ways:
        for before, after in itertools.pairwise(way):
            assert before.id in after.origins
    assert {seen.service for way in ways for seen in way} == {row.name for row in TABLE}
