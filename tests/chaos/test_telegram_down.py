"""The Bot API is away for minutes while alerts come."""

from __future__ import annotations

import asyncio
import os
import time

import aiohttp
import asyncpg
import pytest

from teleglas_cli.up.product import Product
from teleglas_common.testing import eventually
from tests.support.intelligence import all_said, assert_all_kept, chat_messages
from tests.support.product import connected, running_product, settled

DOWN_S = float(os.environ.get("TELEGLAS_DOWN_S", "0"))
pytestmark = [
    pytest.mark.chaos,
    pytest.mark.timeout(3_600),
    pytest.mark.skipif(not DOWN_S, reason="takes minutes; seconds to be away: TELEGLAS_DOWN_S"),
]
RATE = 100
SETTINGS = (
    ("TELEGLAS_DETECTOR__MIN_OBSERVATIONS", "100"),
    ("TELEGLAS_DETECTOR__QUANTILE", "0.999"),
    ("TELEGLAS_TELEGRAM__DEFAULT_BUDGET_PER_HOUR", "10000"),
)
"""So that some alerts come every minute, no more than a chat may be told, and none is held."""
DUE = "SELECT count(*) FROM notification.messages WHERE sent < wanted AND status <> 'failed'"
UNTOLD = f"{DUE} AND ref = ''"
"""Of those that are due, what nobody has seen in any revision."""
SENT = "SELECT ref FROM notification.messages WHERE kind = 'alert' AND ref <> '' ORDER BY seq"


async def put_down(product: Product, down: bool) -> None:
    url = f"{product.layout.chat_url}/control/down"
    async with aiohttp.ClientSession() as session, session.post(url, json={"down": down}) as answer:
        assert answer.status == 200


async def test_what_waits_for_telegram_is_sent_in_order(tmp_path):
    """Nothing is lost, the backlog drains, and each chat reads its alerts in their order."""
    async with running_product(tmp_path, rate=RATE, extra_env=SETTINGS) as product:

        async def assert_told() -> None:
            assert len(await chat_messages(product)) > 3

        await eventually(assert_told, timeout_s=240, every_s=0.5)
        async with connected(product) as database:
            await put_down(product, True)
            before = len(await chat_messages(product))
            await asyncio.sleep(DOWN_S)
            assert len(await chat_messages(product)) == before
            backlog = await database.fetchval(UNTOLD)
            assert backlog > 0, f"expected alerts within {DOWN_S} s, there was none"
            await put_down(product, False)
            took_s = await drains(database, UNTOLD)
            print(f"{DOWN_S:.0f} s down: {backlog} messages waited, sent after {took_s:.1f} s")  # noqa: T201
            await settled(product)
            await all_said(product)
            await drains(database, DUE)
            numbers = [int(row["ref"].rpartition(":")[2]) for row in await database.fetch(SENT)]
        print(await assert_all_kept(product, rescore=False))  # noqa: T201
        assert len(numbers) > backlog
        assert numbers == sorted(numbers)


async def drains(database: asyncpg.Connection[asyncpg.Record], left: str) -> float:
    """Seconds until none of them is left."""
    began = time.monotonic()

    async def assert_none_waits() -> None:
        assert not await database.fetchval(left)

    await eventually(assert_none_waits, timeout_s=300 + DOWN_S, every_s=0.5)
    return time.monotonic() - began
