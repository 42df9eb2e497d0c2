"""What the services stand on goes away and comes back, under load."""

from __future__ import annotations

import os
import time

import asyncpg
import pytest

from teleglas_cli.up.product import Product
from teleglas_common.bus.ports import BusError
from teleglas_common.testing import eventually
from teleglas_contracts import topics
from tests.support.product import connected, held, rest, running_product, settled
from tests.support.stream import following
from tests.support.truth import assert_nothing_lost

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(3_600)]

ROUNDS = int(os.environ.get("TELEGLAS_CHAOS_ROUNDS", "2"))
RATE = int(os.environ.get("TELEGLAS_CHAOS_RATE", "1000"))
SERVERS = ("kafka", "postgres", "valkey")
RESUME_S = 30.0
"""From the moment that the part is back."""


async def stored(product: Product) -> int:
    async with connected(product) as database:
        return int(await database.fetchval("SELECT count(*) FROM market_data.trades"))


async def works(product: Product) -> None:
    """Trades reach topic, database, candles and a new client of the stream; REST answers."""
    before = (
        await held(product, topics.MARKET_TRADES_V1),
        await held(product, topics.MARKET_CANDLES_V1),
        await stored(product),
    )

    async def assert_more() -> None:
        assert await held(product, topics.MARKET_TRADES_V1) > before[0]
        assert await held(product, topics.MARKET_CANDLES_V1) > before[1]
        assert await stored(product) > before[2]
        async with rest(product) as http, http.get("/v1/tickers") as response:
            assert response.status == 200

    await eventually(assert_more, timeout_s=RESUME_S, every_s=0.2)
    async with following(product, ["BTC-USDT"]) as client:
        await eventually(lambda: client.taken > 5, timeout_s=RESUME_S)


async def assert_answers(product: Product) -> None:
    """Kafka and the database take calls."""
    try:
        await held(product, topics.MARKET_TRADES_V1)
        await stored(product)
    except (BusError, OSError, asyncpg.PostgresError) as error:
        raise AssertionError(f"expected the servers to answer: {error}") from error


async def restart(product: Product, name: str, *, gently: bool) -> float:
    """End a server, let its supervisor start it, and wait until all works; seconds since back."""
    server = next(one for one in product.stack.servers if one.name == name)
    process = server.process
    assert process is not None
    before = process.pid
    if gently:
        await process.stop(20)
    else:
        await process.kill9()

    async def assert_back() -> None:
        assert server.process is not None
        assert server.process.running
        assert server.process.pid != before
        await assert_answers(product)

    await eventually(assert_back, timeout_s=60, every_s=0.1)
    began = time.monotonic()
    await works(product)
    return time.monotonic() - began


async def test_servers_restarted_under_load_lose_nothing(tmp_path):
    """All resume by themselves within 30 s; nothing that was acknowledged is lost."""
    async with running_product(tmp_path, rate=RATE, only_spine=True) as product:
        services = {one: product.processes[one].pid for one in ("ingest", "market-data", "gateway")}
        await works(product)
        for number in range(ROUNDS):
            for name in SERVERS:
                took_s = await restart(product, name, gently=number % 2 == 0)
                print(f"{name} restarted, all works after {took_s:.1f} s")  # noqa: T201
        same = {one: product.processes[one].pid for one in services} == services
        print(f"services lived through it: {same}")  # noqa: T201
        await settled(product)
        print(await assert_nothing_lost(product))  # noqa: T201
