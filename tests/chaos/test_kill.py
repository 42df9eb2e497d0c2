"""Each service dies without warning, in turn, under load."""

from __future__ import annotations

import asyncio
import os
import time
from functools import partial

import pytest

from teleglas_cli.up.product import Product
from teleglas_cli.up.services import answers
from teleglas_common.testing import eventually
from teleglas_contracts import topics
from tests.support.product import held, kill, running_product, settled
from tests.support.stream import following
from tests.support.truth import assert_nothing_lost, repaired

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(3_600)]

ROUNDS = int(os.environ.get("TELEGLAS_CHAOS_ROUNDS", "2"))
RATE = int(os.environ.get("TELEGLAS_CHAOS_RATE", "1000"))
READY_S = 120.0
"""A gateway that reads back its lookback on two cores that 5,000 trades/s keep busy."""
VICTIMS = ("ingest", "market-data", "gateway")


async def flows(product: Product, records: int = 200) -> None:
    """New trades and new candles arrive."""
    before = {
        topic: await held(product, topic)
        for topic in (topics.MARKET_TRADES_V1, topics.MARKET_CANDLES_V1)
    }

    async def assert_more() -> None:
        assert await held(product, topics.MARKET_TRADES_V1) > (
            before[topics.MARKET_TRADES_V1] + records
        )
        assert await held(product, topics.MARKET_CANDLES_V1) > before[topics.MARKET_CANDLES_V1]

    await eventually(assert_more, timeout_s=60, every_s=0.2)


async def are_ready(product: Product) -> bool:
    urls = [f"{product.layout.http[name]}/ready" for name in VICTIMS]
    return all(await asyncio.gather(*map(answers, urls)))


async def test_killed_services_lose_nothing_and_do_nothing_twice(tmp_path):
    """Topic, database and candles agree after each was killed in turn, then all at once."""
    async with running_product(tmp_path, rate=RATE, only_spine=True) as product:
        await flows(product)
        for _ in range(ROUNDS):
            for name in VICTIMS:
                began = time.monotonic()
                await kill(product, name)
                await flows(product)
                took_s = time.monotonic() - began
                print(f"{name} killed, all flows again after {took_s:.1f} s")  # noqa: T201
        for _ in range(ROUNDS):
            began = time.monotonic()
            await asyncio.gather(*(product.processes[name].kill9() for name in VICTIMS))
            await eventually(partial(are_ready, product), timeout_s=READY_S, every_s=0.2)
            await flows(product)
            took_s = time.monotonic() - began
            print(f"all killed, all flows again after {took_s:.1f} s")  # noqa: T201
        async with following(product, ["BTC-USDT"]) as client:
            await eventually(lambda: client.taken > 20, timeout_s=30)
        assert not client.faults
        await repaired(product)
        await settled(product)
        verdict = await assert_nothing_lost(product)
        print(verdict)  # noqa: T201
