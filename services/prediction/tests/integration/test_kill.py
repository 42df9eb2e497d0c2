"""The process on Apache Kafka and PostgreSQL, killed while candles flow."""

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
from prediction_rig import FakeStore, Rig, candles, digest, raw

from teleglas.market.v1.candle_pb2 import Candle
from teleglas.prediction.v1.prediction_pb2 import Forecast
from teleglas_cli.stack.local import StackAddresses
from teleglas_cli.testing import forget_members
from teleglas_common.bus.ports import Publisher
from teleglas_common.kafka import create_bus
from teleglas_common.settings import KafkaSection
from teleglas_common.testing import eventually
from teleglas_contracts import topics
from teleglas_prediction.routes import GROUP

pytestmark = pytest.mark.integration

COUNT, WARM_UP = 600, 3


def started(stack: StackAddresses, dsn: str, log: Path) -> subprocess.Popen[bytes]:
    environment = {
        **os.environ,
        "TELEGLAS_KAFKA__BOOTSTRAP": stack.kafka_bootstrap,
        "TELEGLAS_POSTGRES__DSN": dsn,
        "TELEGLAS_FORECASTS__CHECKPOINT_EVERY_S": "0.2",
    }
    with log.open("ab") as out:
        return subprocess.Popen(
            [sys.executable, "-m", "teleglas_prediction"], env=environment, stdout=out, stderr=out
        )


@dataclass
class Feed:
    """Candles of one instrument on Kafka and its ledger in the database."""

    instrument: str
    publisher: Publisher
    connection: asyncpg.Connection[Any]

    async def send(self, bars: Sequence[Candle]) -> None:
        for at, one in enumerate(bars):
            await self.publisher.send(raw(one))
            if at % 10 == 9:
                await asyncio.sleep(0.02)
        await self.publisher.flush()

    async def ledger(self) -> list[asyncpg.Record]:
        try:
            rows: list[asyncpg.Record] = await self.connection.fetch(
                "SELECT * FROM prediction.ledger WHERE instrument = $1 ORDER BY id",
                self.instrument,
            )
        except asyncpg.UndefinedTableError:
            return []
        return rows

    def more_than(self, count: int) -> Callable[[], Awaitable[bool]]:
        async def probe() -> bool:
            return len(await self.ledger()) > count

        return probe


@pytest.mark.timeout(300)
async def test_killed_process_loses_no_forecast_and_makes_none_twice(
    stack: StackAddresses,
    database_dsn: str,
    tmp_path: Path,
    unique_name: Callable[[str], str],
) -> None:
    """kill -9 in mid-stream, again and again: topic and ledger equal those of a quiet run."""
    instrument = f"{unique_name('KILL').replace('-', '').upper()}-USDT"
    bars = candles(COUNT, instrument=instrument)
    bus = create_bus(KafkaSection(bootstrap=stack.kafka_bootstrap), "tests")
    await bus.create(topics.ALL)
    publisher = bus.publisher()
    await publisher.start()
    connection = await asyncpg.connect(database_dsn)
    feed = Feed(instrument, publisher, connection)
    log = tmp_path / "prediction.log"
    process = started(stack, database_dsn, log)
    third = COUNT // 3
    try:
        for number in range(3):
            part = asyncio.create_task(feed.send(bars[number * third : (number + 1) * third]))
            await eventually(feed.more_than(number * third), timeout_s=120.0)
            process.kill()
            process.wait()
            await forget_members(stack.kafka_bootstrap, GROUP)
            process = started(stack, database_dsn, log)
            await part
        expected = COUNT - WARM_UP + 1
        await eventually(feed.more_than(expected - 1), timeout_s=120.0)
        quiet = Rig()
        await quiet.create()
        await quiet.send([raw(one) for one in bars])
        await quiet.drain()
        rows = await feed.ledger()
        assert_ledger(rows, quiet.fake)
        found = await digest(bus)
        mine = {name: one for name, one in found.items() if instrument in name}
        assert mine == await digest(quiet.bus)
        assert len(mine) == expected
    finally:
        process.kill()
        process.wait()
        await connection.close()
        await publisher.stop()


def assert_ledger(rows: Sequence[Any], quiet: FakeStore) -> None:
    """The same forecasts, byte for byte, with the same outcomes."""
    assert {row["id"]: row["forecast"] for row in rows} == quiet.issued
    outcomes = {row["id"]: row for row in rows if row["ts_resolved"] is not None}
    assert set(outcomes) == set(quiet.resolved)
    for name, (ts_resolved, price, covered, loss, walk_loss) in quiet.resolved.items():
        row = outcomes[name]
        assert row["ts_resolved"] == ts_resolved
        assert row["outcome_price"] == price
        assert row["covered"] == sum(1 << at for at, inside in enumerate(covered) if inside)
        assert (row["pinball_loss"], row["baseline_pinball_loss"]) == (loss, walk_loss)
    assert all(Forecast.FromString(row["forecast"]).id == row["id"] for row in rows)
