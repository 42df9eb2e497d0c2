"""The gateway process against the real broker, database and cache."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import grpc.aio
import httpx
import pytest
from websockets.asyncio.client import connect

from teleglas.market.v1 import service_pb2, service_pb2_grpc
from teleglas_common.kafka import create_bus
from teleglas_common.lifecycle import serve
from teleglas_common.testing import eventually
from teleglas_contracts.topics import (
    MARKET_INSTRUMENTS_V1,
    MARKET_TRADES_V1,
    SIGNAL_SCORES_V1,
    WHALE_ALERTS_V1,
)
from teleglas_gateway.app import GatewayApp
from teleglas_gateway.channels import CHANNELS
from teleglas_gateway.keys import create_key, key_store, revoke_key
from teleglas_gateway.settings import GatewaySettings
from teleglas_gateway.testing import candle, instrument, list_instruments, publish, trade_batch
from teleglas_gateway.testing.intelligence import Asked, alert, score, serve_intelligence

pytestmark = pytest.mark.integration


class MarketData(service_pb2_grpc.MarketDataServicer):
    """Answers candles, one of them forming; nothing else."""

    async def ListCandles(self, _request, _context):  # noqa: N802
        return service_pb2.ListCandlesResponse(candles=[candle(0)], next_page_token="more")

    async def StreamCandles(self, _request, _context):  # noqa: N802
        forming = candle(1)
        forming.is_closed = False
        yield service_pb2.StreamCandlesResponse(candle=forming)
        await asyncio.sleep(30)


@pytest.fixture
async def market_data():
    server = grpc.aio.server()
    service_pb2_grpc.add_MarketDataServicer_to_server(MarketData(), server)  # type: ignore[abstract]
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield f"127.0.0.1:{port}"
    await server.stop(None)


@pytest.fixture
async def intelligence():
    async with serve_intelligence(Asked()) as target:
        yield target


@pytest.fixture
async def gateway(stack, database_dsn, market_data, intelligence):
    settings = GatewaySettings(
        kafka={"bootstrap": stack.kafka_bootstrap},
        postgres={"dsn": database_dsn},
        redis={"url": stack.redis_url},
        market_data={"target": market_data},
        whales={"target": intelligence},
        signals={"target": intelligence},
        principal_secret="0123456789abcdef",
        stream={"recheck_keys_s": 0.2},
    )
    bus = create_bus(settings.kafka, "test")
    await bus.create([MARKET_INSTRUMENTS_V1, *(c.topic for c in CHANNELS)])
    await list_instruments(bus, instrument("binance", "BTC-USDT"))
    app = GatewayApp(settings)
    stop = asyncio.Event()
    serving = asyncio.create_task(serve(app, stop))
    await eventually(lambda: app.health.state == "ready" or serving.done(), timeout_s=30)
    assert not serving.done()
    async with key_store(database_dsn) as keys:
        made = await create_key(keys, name="demo")
    yield app, made, bus, database_dsn
    stop.set()
    assert await serving == 0


async def test_a_key_a_ticket_a_trade_and_a_revocation(gateway):
    """From the key over REST and a ticket to a trade out of Kafka, until the key is revoked."""
    app, made, bus, dsn = gateway
    base = f"127.0.0.1:{app.gateway.port}"
    headers = {"Authorization": f"Bearer {made.key}"}
    async with httpx.AsyncClient(base_url=f"http://{base}", headers=headers) as http:
        assert (await http.get("/ready")).json()["ok"]
        page = await http.get("/v1/candles", params={"symbol": "BTC"})
        assert page.status_code == 200, page.text
        assert page.json()["data"][0]["close"] == "60000.50"
        assert page.headers["RateLimit"].startswith('"default";r=599')
        ticket = (await http.post("/v1/stream/tickets")).json()["ticket"]
    async with connect(f"ws://{base}/v1/stream") as socket:
        await socket.send(json.dumps({"method": "auth", "params": {"ticket": ticket}}))
        assert json.loads(await socket.recv())["type"] == "authenticated"
        for channel in ("trades", "candles"):
            params = {"channel": channel, "symbol": "BTC-USDT", "snapshot": True}
            await socket.send(json.dumps({"method": "subscribe", "params": params}))
        await publish(bus, MARKET_TRADES_V1, trade_batch(1, 2))
        heard: dict[str, dict[str, Any]] = {}
        while not {"trade", "candle"} <= set(heard):
            message = json.loads(await asyncio.wait_for(socket.recv(), 10))
            heard[message["type"]] = message
        assert heard["trade"]["venue"] == "binance"
        assert heard["candle"]["seq"] is None
        assert heard["candle"]["data"]["is_closed"] is False
        async with key_store(dsn) as keys:
            assert await revoke_key(keys, made.record.prefix)
        while message["type"] != "closing":
            message = json.loads(await asyncio.wait_for(socket.recv(), 10))
        assert message["code"] == "key_revoked"
        assert message["resume"]


async def test_an_alert_and_a_score_over_the_log_and_over_grpc(gateway):
    """The stream has them out of Kafka, REST from their services; who does not run is named."""
    app, made, bus, _ = gateway
    base = f"127.0.0.1:{app.gateway.port}"
    headers = {"Authorization": f"Bearer {made.key}"}
    async with connect(f"ws://{base}/v1/stream", additional_headers=headers) as socket:
        for channel in ("whales", "signals"):
            params = {"channel": channel, "symbol": "BTC"}
            await socket.send(json.dumps({"method": "subscribe", "params": params}))
        heard: dict[str, dict[str, Any]] = {}
        while "subscribed" not in heard or heard["subscribed"]["channel"] != "signals":
            message = json.loads(await asyncio.wait_for(socket.recv(), 10))
            heard[message["type"]] = message
        await publish(bus, WHALE_ALERTS_V1, alert(), alert())
        await publish(bus, SIGNAL_SCORES_V1, score())
        while not {"whale_alert", "signal"} <= set(heard):
            message = json.loads(await asyncio.wait_for(socket.recv(), 10))
            heard[message["type"]] = message
    assert heard["whale_alert"]["data"]["notional"] == "2250000.00"
    async with httpx.AsyncClient(base_url=f"http://{base}", headers=headers) as http:
        (row,) = (await http.get("/v1/signals")).json()["data"]
        assert row["id"] == heard["signal"]["data"]["id"]
        assert (await http.get(f"/v1/whales/{alert().id}")).json()["trade_ids"] == ["1", "2"]
        refused = await http.get("/v1/predictions?symbol=BTC")
        assert (refused.status_code, refused.json()["code"]) == (503, "not_deployed")
