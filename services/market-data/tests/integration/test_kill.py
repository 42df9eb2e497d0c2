"""The process on Apache Kafka, PostgreSQL and Valkey, killed while trades flow."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from google.protobuf.message import Message
from market_data_captures import batches, counted_candles, progress
from market_data_frames import MS, generated

from teleglas_cli.stack.local import StackAddresses
from teleglas_cli.testing import forget_members
from teleglas_common.bus.encode import outgoing
from teleglas_common.bus.ports import Publisher
from teleglas_common.kafka import create_bus
from teleglas_common.settings import KafkaSection
from teleglas_common.testing import eventually
from teleglas_contracts import topics
from teleglas_market_data.routes import GROUP

pytestmark = pytest.mark.integration

SOURCE = "binance/0/kill"


def started(stack: StackAddresses, dsn: str, log: Path) -> subprocess.Popen[bytes]:
    environment = {
        **os.environ,
        "TELEGLAS_KAFKA__BOOTSTRAP": stack.kafka_bootstrap,
        "TELEGLAS_POSTGRES__DSN": dsn,
        "TELEGLAS_REDIS__URL": stack.redis_url,
        "TELEGLAS_CANDLES__CHECKPOINT_EVERY_S": "0.2",
    }
    with log.open("ab") as out:
        return subprocess.Popen(
            [sys.executable, "-m", "teleglas_market_data"],
            env=environment,
            stdout=out,
            stderr=out,
        )


@dataclass
class Market:
    """One instrument's feed on Kafka and its rows in the database."""

    instrument: str
    publisher: Publisher
    connection: asyncpg.Connection[Any]

    async def send(self, message: Message) -> None:
        key = f"binance:{self.instrument}"
        await self.publisher.send(
            outgoing(topics.MARKET_TRADES_V1, message, key=key, subject=self.instrument, now_ns=0)
        )

    async def feed(self, frames: Sequence[dict[str, Any]]) -> None:
        """Send frames in small batches, with a pause and a mark now and then."""
        for at, batch in enumerate(batches(frames, self.instrument, 4)):
            batch.source = SOURCE
            await self.send(batch)
            if at % 20 == 19:
                await self.mark(batch.trades[-1].ts_event - 1)
                await asyncio.sleep(0.05)
        await self.publisher.flush()

    async def mark(self, ts_event: int) -> None:
        await self.send(progress(ts_event, [self.instrument], source=SOURCE))

    async def stored(self) -> int:
        """Trades in the database."""
        try:
            count = await self.connection.fetchval(
                "SELECT count(*) FROM market_data.trades WHERE instrument = $1", self.instrument
            )
        except asyncpg.UndefinedTableError:
            return 0
        return int(count)

    async def candles(self, interval: str) -> dict[int, tuple[int, ...]]:
        """Open, high, low, close, volume, taker buy volume, count and missing, by begin."""
        rows = await self.connection.fetch(
            "SELECT ts_open, open, high, low, close, volume, buy_volume, trades, missing"
            " FROM market_data.candles"
            " WHERE venue = 'binance' AND instrument = $1 AND label = $2 AND trades > 0",
            self.instrument,
            interval,
        )
        return {row[0]: tuple(row)[1:] for row in rows}


def expected_candles(frames: Sequence[dict[str, Any]], interval: str) -> dict[int, tuple[int, ...]]:
    return {
        ts: (
            *(int(price * 100) for price in prices), int(volume * 10**8), int(bought * 10**8),
            int(trades), 0,
        )
        for ts, (*prices, volume, _, bought, trades) in counted_candles(frames, interval).items()
    }  # fmt: skip


@pytest.mark.timeout(300)
async def test_killed_process_loses_nothing_and_counts_nothing_twice(
    stack: StackAddresses,
    database_dsn: str,
    tmp_path: Path,
    unique_name: Callable[[str], str],
) -> None:
    """kill -9 in mid-stream, again and again: rows and candles equal those of the frames."""
    instrument = f"{unique_name('KILL').replace('-', '').upper()}-USDT"
    frames = generated(2_400)
    parts = [frames[at : at + 800] for at in range(0, len(frames), 800)]
    bus = create_bus(KafkaSection(bootstrap=stack.kafka_bootstrap), "tests")
    await bus.create(topics.ALL)
    publisher = bus.publisher()
    await publisher.start()
    connection = await asyncpg.connect(database_dsn)
    market = Market(instrument, publisher, connection)
    process = started(stack, database_dsn, tmp_path / "market-data.log")
    try:
        for number, part in enumerate(parts):
            feeding = asyncio.create_task(market.feed(part))
            await eventually(_more_than(market, number * 800), timeout_s=120.0)
            process.kill()
            process.wait()
            await forget_members(stack.kafka_bootstrap, GROUP)
            process = started(stack, database_dsn, tmp_path / "market-data.log")
            await feeding
        await market.mark(frames[-1]["T"] * MS + 86_400 * 10**9)
        await publisher.flush()

        async def is_over() -> bool:
            return len(await market.candles("1d")) == 2

        await eventually(is_over, timeout_s=120.0)
        assert await market.stored() == len(frames)
        for interval in ("1s", "1m", "5m", "1h", "1d"):
            assert await market.candles(interval) == expected_candles(frames, interval)
    finally:
        process.kill()
        process.wait()
        await connection.close()
        await publisher.stop()


def _more_than(market: Market, count: int) -> Callable[[], Awaitable[bool]]:
    async def probe() -> bool:
        return await market.stored() > count

    return probe
