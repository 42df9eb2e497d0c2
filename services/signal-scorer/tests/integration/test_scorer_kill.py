"""The process on Apache Kafka and PostgreSQL, killed while candles and alerts flow."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from signal_feeds import Market, record

from teleglas.signal.v1.signal_pb2 import SignalScore
from teleglas_cli.digest import Digest
from teleglas_cli.stack.local import StackAddresses
from teleglas_cli.testing import forget_members, running_stack
from teleglas_common.bus.encode import decode
from teleglas_common.bus.ports import Bus
from teleglas_common.bus.testing import read_all
from teleglas_common.kafka import create_bus
from teleglas_common.settings import KafkaSection
from teleglas_common.telemetry import Metrics
from teleglas_common.testing import eventually
from teleglas_contracts import topics
from teleglas_contracts.messages import without_volatile
from teleglas_signal_scorer.replay import read_receipts, replay
from teleglas_signal_scorer.routes import GROUP
from teleglas_signal_scorer.settings import ScoresSection

pytestmark = pytest.mark.integration

MINUTES = 16
KILLS = 3


def started(stack: StackAddresses, dsn: str, log: Path) -> subprocess.Popen[bytes]:
    environment = {
        **os.environ,
        "TELEGLAS_KAFKA__BOOTSTRAP": stack.kafka_bootstrap,
        "TELEGLAS_POSTGRES__DSN": dsn,
        "TELEGLAS_SCORES__CHECKPOINT_EVERY_S": "0.2",
        "TELEGLAS_SCORES__ABSENT_AFTER_S": "300",
    }
    with log.open("ab") as out:
        return subprocess.Popen(
            [sys.executable, "-m", "teleglas_signal_scorer"],
            env=environment,
            stdout=out,
            stderr=out,
        )


async def feed(bus: Bus, messages: list[Any]) -> None:
    """Send in portions, with a pause now and then."""
    publisher = bus.publisher()
    await publisher.start()
    for at, message in enumerate(messages):
        await publisher.send(record(message))
        if at % 50 == 49:
            await asyncio.sleep(0.05)
    await publisher.stop()


def parts(candles: list[Any], alerts: list[Any]) -> Iterator[list[Any]]:
    """Portions of both topics, each in its order, by event time."""
    share, begin = len(candles) // KILLS, 0
    for number in range(1, KILLS + 1):
        some = candles[(number - 1) * share : number * share if number < KILLS else None]
        until = max(one.ts_close for one in some)
        yield some + [one for one in alerts if begin < one.ts_event <= until]
        begin = until


async def scores_of(bus: Bus, instrument: str) -> list[SignalScore]:
    """Every score of the topic, also those that were written twice."""
    found = []
    for records in (await read_all(bus, topics.SIGNAL_SCORES_V1.name)).values():
        for one in records:
            score = decode(one)
            if isinstance(score, SignalScore) and score.instrument == instrument:
                found.append(score)
    return found


@pytest.fixture
def own_stack(tmp_path: Path) -> Iterator[StackAddresses]:
    """Topics that nobody else writes to: digests and replays are of all that they hold."""
    with running_stack(tmp_path / "stack") as addresses:
        yield addresses


@pytest.mark.timeout(300)
async def test_killed_process_loses_no_score_and_changes_none(
    own_stack: StackAddresses, tmp_path: Path, unique_name: Callable[[str], str]
) -> None:
    """kill -9 in mid-stream, again and again: every id says one thing, the database has each once,
    and a replay with and without the receipts says the same.
    """
    instrument = f"{unique_name('KILL').replace('-', '').upper()}-USDT"
    market = Market(7, instrument)
    candles, alerts = market.candles(MINUTES), market.alerts(MINUTES)
    stack, database_dsn = own_stack, own_stack.postgres_dsn
    bus = create_bus(KafkaSection(bootstrap=stack.kafka_bootstrap), "tests")
    await bus.create(topics.ALL)
    connection = await asyncpg.connect(database_dsn)
    process = started(stack, database_dsn, tmp_path / "scorer.log")
    try:
        for part in parts(candles, alerts):
            before = len(await scores_of(bus, instrument))
            feeding = asyncio.create_task(feed(bus, part))
            await eventually(_more_scores(bus, instrument, before), timeout_s=120.0)
            process.kill()
            process.wait()
            await forget_members(stack.kafka_bootstrap, GROUP)
            process = started(stack, database_dsn, tmp_path / "scorer.log")
            await feeding

        end = max(one.ts_close for one in candles)

        async def is_over() -> bool:
            newest = await connection.fetchval("SELECT max(ts_event) FROM signal_scorer.scores")
            return bool(newest == end)

        await eventually(is_over, timeout_s=120.0)
        by_id: dict[str, set[bytes]] = {}
        for score in await scores_of(bus, instrument):
            payload = without_volatile(score).SerializeToString(deterministic=True)
            by_id.setdefault(score.id, set()).add(payload)
        assert all(len(payloads) == 1 for payloads in by_id.values())
        rows = await connection.fetch("SELECT message FROM signal_scorer.scores")
        stored = [SignalScore.FromString(row["message"]) for row in rows]
        assert {score.id for score in stored} == set(by_id)
        cadence = ScoresSection().cadence()
        for receipts in (None, await read_receipts(bus)):
            again = await replay(bus, registry=Metrics(), cadence=cadence, receipts=receipts)
            said_again = {
                score.id: {without_volatile(score).SerializeToString(deterministic=True)}
                for row in again.rows[instrument].values()
                for score in [SignalScore.FromString(row.message)]
            }
            assert said_again == by_id
        assert await printed_digest(stack) == await topic_digest(bus)
    finally:
        process.kill()
        process.wait()
        await connection.close()


async def printed_digest(stack: StackAddresses) -> str:
    """What the backtest command says of the topics."""
    command = ("-m", "teleglas_signal_scorer.backtest", "--kafka", stack.kafka_bootstrap)
    done = await asyncio.create_subprocess_exec(
        sys.executable, *command, "--receipts", "--digest", stdout=subprocess.PIPE
    )
    said, _ = await done.communicate()
    assert done.returncode == 0
    return said.decode().split()[0]


async def topic_digest(bus: Bus) -> str:
    """What `teleglas digest signal.scores` says."""
    digest = Digest()
    for records in (await read_all(bus, topics.SIGNAL_SCORES_V1.name)).values():
        digest.add(records)
    return digest.hexdigest()


def _more_scores(bus: Bus, instrument: str, count: int) -> Callable[[], Any]:
    async def probe() -> bool:
        return len(await scores_of(bus, instrument)) > count

    return probe
