"""The process on Apache Kafka and PostgreSQL, killed in the middle of clusters."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio
from google.protobuf.message import Message
from whale_detector_rig import (
    FakeClock,
    Log,
    alerts_of,
    batches,
    books,
    last_revisions,
    made_up_fills,
)

from teleglas.whale.v1.whale_pb2 import WhaleAlert
from teleglas_cli.stack.local import StackAddresses
from teleglas_cli.testing import forget_members
from teleglas_common.bus.encode import decode, outgoing
from teleglas_common.bus.ports import Bus, Publisher
from teleglas_common.bus.testing import read_all
from teleglas_common.kafka import create_bus
from teleglas_common.settings import KafkaSection
from teleglas_common.telemetry import Metrics
from teleglas_common.testing import eventually
from teleglas_contracts import topics
from teleglas_contracts.topic import Topic
from teleglas_whale_detector.adapters.faust_topics import APP_ID
from teleglas_whale_detector.counts import Counts
from teleglas_whale_detector.domain.sketch import Definition
from teleglas_whale_detector.engine import handle
from teleglas_whale_detector.shard import Tools, WhaleShard
from teleglas_whale_detector.sink import SINK_GROUP

pytestmark = pytest.mark.integration

MIN_OBSERVATIONS = 500


def started(stack: StackAddresses, dsn: str, log: Path) -> subprocess.Popen[bytes]:
    environment = {
        **os.environ,
        "TELEGLAS_KAFKA__BOOTSTRAP": stack.kafka_bootstrap,
        "TELEGLAS_POSTGRES__DSN": dsn,
        "TELEGLAS_DETECTOR__FLUSH_EVERY_S": "0.3",
        "TELEGLAS_DETECTOR__MIN_OBSERVATIONS": str(MIN_OBSERVATIONS),
    }
    with log.open("ab") as out:
        return subprocess.Popen(
            [sys.executable, "-m", "teleglas_whale_detector"],
            env=environment,
            stdout=out,
            stderr=out,
        )


async def send(
    publisher: Publisher, topic: Topic, messages: Sequence[Message], instrument: str
) -> None:
    """Write messages in small pieces with a pause between them, so that kills fall in between."""
    for at, message in enumerate(messages):
        key = f"binance:{instrument}"
        await publisher.send(outgoing(topic, message, key=key, subject=instrument, now_ns=0))
        if at % 40 == 39:
            await publisher.flush()
            await asyncio.sleep(0.05)
    await publisher.flush()


async def written_of(bus: Bus, instrument: str) -> list[WhaleAlert]:
    """What was written about an instrument, in order."""
    found: list[WhaleAlert] = []
    for records in (await read_all(bus, topics.WHALE_ALERTS_V1.name)).values():
        for record in records:
            message = decode(record)
            if isinstance(message, WhaleAlert) and message.instrument == instrument:
                found.append(message)
    return found


def expected_of(
    trades: Sequence[Message], quotes: Sequence[Message], instrument: str
) -> set[bytes]:
    """What the same messages give without Faust, in one go."""
    log = Log()
    log.add(topics.MARKET_TRADES_V1, trades, instrument)
    log.add(topics.MARKET_BOOKS_V1, quotes, instrument)
    tools = Tools(FakeClock(), Counts(Metrics()), Definition(min_observations=MIN_OBSERVATIONS))
    shard = WhaleShard(0, tools)
    found: list[WhaleAlert] = []
    for record in log.side_by_side():
        assert handle(shard, record) is None
        found += alerts_of(shard.take_outbox())
    return set(last_revisions(found).values())


@dataclass
class Feed:
    """One made-up instrument on Kafka, and what must be said of it in the end."""

    instrument: str
    bus: Bus
    publisher: Publisher
    trades: list[Message]
    quotes: list[Message]
    expected: set[bytes]

    async def send(self, begin: float = 0.0, end: float = 1.0) -> None:
        """Write what lies between two shares of the feed."""

        def part(messages: list[Message]) -> list[Message]:
            return messages[int(len(messages) * begin) : int(len(messages) * end)]

        await asyncio.gather(
            send(self.publisher, topics.MARKET_TRADES_V1, part(self.trades), self.instrument),
            send(self.publisher, topics.MARKET_BOOKS_V1, part(self.quotes), self.instrument),
        )

    async def has_written(self, least: int) -> None:
        """Wait for so many revisions."""

        async def has_some() -> bool:
            return len(await written_of(self.bus, self.instrument)) >= least

        await eventually(has_some, timeout_s=120.0, every_s=0.2)

    async def is_complete(self) -> None:
        """Wait until the last revisions are the expected ones."""

        async def is_so() -> bool:
            found = await written_of(self.bus, self.instrument)
            return set(last_revisions(found).values()) == self.expected

        await eventually(is_so, timeout_s=240.0, every_s=0.5)

    async def is_stored(self, dsn: str) -> None:
        """Wait until the database holds each alert once, in its last revision."""
        connection = await asyncpg.connect(dsn)

        async def is_so() -> bool:
            rows = await connection.fetch(
                "SELECT message FROM whale_detector.alerts WHERE instrument = $1", self.instrument
            )
            stored = [WhaleAlert.FromString(row["message"]) for row in rows]
            return set(last_revisions(stored).values()) == self.expected

        try:
            await eventually(is_so, timeout_s=60.0, every_s=0.2)
        finally:
            await connection.close()


@pytest_asyncio.fixture
async def feed(stack: StackAddresses, unique_name: Callable[[str], str]) -> AsyncIterator[Feed]:
    instrument = f"{unique_name('WHALE').replace('-', '').upper()}-USDT"
    fills = made_up_fills(seed=5, orders=2_400)
    trades = list(batches(fills, 4, instrument=instrument))
    quotes = list(books(fills[-1].ts_ms, instrument))
    expected = expected_of(trades, quotes, instrument)
    assert len(expected) > 3
    bus = create_bus(KafkaSection(bootstrap=stack.kafka_bootstrap), "tests")
    await bus.create(topics.ALL)
    publisher = bus.publisher()
    await publisher.start()
    yield Feed(instrument, bus, publisher, trades, quotes, expected)
    await publisher.stop()


async def is_ready(log: Path) -> None:
    """Wait until a process has said that it owns what is its own."""

    async def has_said() -> bool:
        return b'"event": "ready"' in await asyncio.to_thread(log.read_bytes)

    await eventually(has_said, timeout_s=120.0, every_s=0.2)


@pytest.mark.timeout(600)
async def test_killed_process_loses_no_alert_and_repeats_none(
    stack: StackAddresses, database_dsn: str, tmp_path: Path, feed: Feed
) -> None:
    """kill -9 in mid-stream, again and again: the last revisions equal those of one clean run, and
    the database holds each alert once.
    """
    log = tmp_path / "0.log"
    process = started(stack, database_dsn, log)
    try:
        feeding = asyncio.create_task(feed.send())
        for least in (1, 6):
            await feed.has_written(least)
            process.kill()
            process.wait()
            await forget_members(stack.kafka_bootstrap, APP_ID, SINK_GROUP)
            log = tmp_path / f"{least}.log"
            process = started(stack, database_dsn, log)
        await feeding
        await feed.is_complete()
        await feed.is_stored(database_dsn)
        await is_ready(log)
        process.terminate()
        assert await asyncio.to_thread(process.wait, 30) == 0
    finally:
        process.kill()
        process.wait()


@pytest.mark.timeout(600)
async def test_rebalance_in_mid_cluster_loses_no_alert_and_repeats_none(
    stack: StackAddresses, database_dsn: str, tmp_path: Path, feed: Feed
) -> None:
    """A second process joins and the first one leaves: the partitions move twice, the alerts stay
    the same.
    """
    logs = tmp_path / "first.log", tmp_path / "second.log"
    running = [started(stack, database_dsn, logs[0])]
    try:
        await feed.send(0.0, 0.6)
        await feed.has_written(1)
        running.append(started(stack, database_dsn, logs[1]))
        await is_ready(logs[1])
        before = len(await written_of(feed.bus, feed.instrument))
        await feed.send(0.6, 0.8)
        await feed.has_written(before + 1)
        running[0].terminate()
        assert await asyncio.to_thread(running[0].wait, 60) == 0
        await feed.send(0.8, 1.0)
        await feed.is_complete()
        await feed.is_stored(database_dsn)
    finally:
        for process in running:
            process.kill()
            process.wait()
