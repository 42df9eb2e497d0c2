"""Backup and restore on a real server: what comes back, what is refused, where readers go on."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from pydantic import SecretStr

from teleglas.whale.v1.whale_pb2 import WhaleAlert
from teleglas_cli.backup.archive import BackupError, backup, restore
from teleglas_cli.backup.fingerprint import fingerprint
from teleglas_cli.schemas import migrate_all
from teleglas_common.bus.encode import outgoing
from teleglas_common.bus.memory import MemoryBus
from teleglas_common.bus.worker import Worker
from teleglas_common.bus.worker_settings import WorkerSettings
from teleglas_common.postgres import create_pool
from teleglas_common.settings import PostgresSection
from teleglas_common.testing import eventually
from teleglas_contracts import topics
from teleglas_whale_detector.adapters.alert_store import PostgresAlerts
from teleglas_whale_detector.ports import SCHEMA
from teleglas_whale_detector.sink import SINK_GROUP, SINK_ROUTES, AlertShard

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

COUNT = "SELECT count(*) FROM whale_detector.alerts"
LEDGER = (
    "INSERT INTO prediction.ledger (id, instrument, horizon_ns, ts_event, model, is_champion,"
    " forecast) VALUES ($1, 'BTC-USDT', 1, $2, 'walk', true, $3)"
)


@asynccontextmanager
async def connected(dsn: str, name: str = "tests") -> AsyncIterator[asyncpg.Pool[Any]]:
    pool = await create_pool(PostgresSection(dsn=SecretStr(dsn), pool_size=3), name)
    try:
        yield pool
    finally:
        await pool.close()


async def write_forever(pool: asyncpg.Pool[Any]) -> None:
    number = 0
    while True:
        await pool.execute(LEDGER, f"later-{number}", number, b"\0later")
        number += 1


async def test_all_rows_come_back_as_they_were_in_the_snapshot(
    database_dsn: str, tmp_path: Path
) -> None:
    """Taken while somebody writes; partitions, identities and time zones included."""
    archive = tmp_path / "one.backup"
    async with connected(database_dsn) as pool:
        await migrate_all(pool)
        rows = [(f"id-{number}", number, bytes([number % 256])) for number in range(5_000)]
        await pool.executemany(LEDGER, rows)
        for number in range(20):
            await pool.execute(
                "INSERT INTO gateway.audit (tenant_id, principal_id, action, subject)"
                " VALUES ('acme', 'ann', 'key.created', $1)",
                str(number),
            )
        writing = asyncio.create_task(write_forever(pool))
        manifest = await backup(database_dsn, archive)
        writing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await writing
        async with pool.acquire() as connection:
            assert await fingerprint(connection) != manifest.tables
        with pytest.raises(BackupError, match="--replace"):
            await restore(database_dsn, archive)
    await restore(database_dsn, archive, replace=True)
    async with connected(database_dsn) as pool, pool.acquire() as connection:
        assert await fingerprint(connection) == manifest.tables
        assert manifest.tables["gateway.audit"].rows == 20
        assert manifest.tables["prediction.ledger"].rows >= 5_000
        assert [one.steps for one in await migrate_all(pool)] == [[]] * 7
    print(f"{manifest.rows} rows of {len(manifest.tables)} tables, {manifest.archive_bytes} bytes")  # noqa: T201


async def test_what_must_not_be_restored_is_refused(database_dsn: str, tmp_path: Path) -> None:
    """A damaged archive, one without its manifest, and a database that a service is on."""
    archive = tmp_path / "one.backup"
    async with connected(database_dsn) as pool:
        await migrate_all(pool)
    await backup(database_dsn, archive)
    async with connected(database_dsn, "teleglas-market-data"):
        with pytest.raises(BackupError, match="teleglas-market-data"):
            await restore(database_dsn, archive, replace=True)
    archive.write_bytes(archive.read_bytes() + b"x")
    with pytest.raises(BackupError, match="another file"):
        await restore(database_dsn, archive, replace=True)
    (tmp_path / "one.backup.json").unlink()
    with pytest.raises(BackupError, match="manifest"):
        await restore(database_dsn, archive, replace=True)


async def publish(bus: MemoryBus, alerts: Sequence[WhaleAlert]) -> None:
    publisher = bus.publisher()
    await publisher.start()
    for alert in alerts:
        await publisher.send(
            outgoing(
                topics.WHALE_ALERTS_V1,
                alert,
                key=alert.id,
                subject=alert.instrument,
                now_ns=1,
                event_id=alert.id,
            )
        )
    await publisher.flush()
    await publisher.stop()


@asynccontextmanager
async def history(bus: MemoryBus, pool: asyncpg.Pool[Any]) -> AsyncIterator[None]:
    """The detector's own worker that keeps alerts."""
    publisher = bus.publisher()
    await publisher.start()
    worker = Worker(
        bus,
        SINK_ROUTES,
        group=SINK_GROUP,
        shard_factory=lambda number: AlertShard(number, PostgresAlerts(pool)),
        publisher=publisher,
        service="tests",
        settings=WorkerSettings(checkpoint_interval_s=0.1, poll_timeout_s=0.05),
    )
    running = asyncio.create_task(worker.run())
    try:
        yield
    finally:
        worker.stop()
        await running
        await publisher.stop()


def alert(number: int) -> WhaleAlert:
    return WhaleAlert(
        id=f"a{number}", venue="binance", instrument=("BTC-USDT", "ETH-USDT")[number % 2],
        ts_first_fill=number,
    )  # fmt: skip


async def test_readers_rewind_with_the_database_and_lose_nothing(
    database_dsn: str, tmp_path: Path
) -> None:
    """The log's own committed offsets are past the backup; the restored history reads from its
    own, and holds every alert once.
    """
    archive, bus = tmp_path / "one.backup", MemoryBus()
    await bus.create([topics.WHALE_ALERTS_V1])
    async with connected(database_dsn) as pool:
        await migrate_all(pool)

        async def holds(count: int) -> bool:
            return bool(await pool.fetchval(COUNT) == count)

        async with history(bus, pool):
            await publish(bus, [alert(number) for number in range(50)])
            await eventually(lambda: holds(50), timeout_s=30)
            manifest = await backup(database_dsn, archive)
            await publish(bus, [alert(number) for number in range(50, 80)])
            await eventually(lambda: holds(80), timeout_s=30)
    await restore(database_dsn, archive, replace=True)
    async with connected(database_dsn) as pool:
        assert await pool.fetchval(COUNT) == manifest.tables[f"{SCHEMA}.alerts"].rows == 50
        async with history(bus, pool):

            async def all_back() -> bool:
                return bool(await pool.fetchval(COUNT) == 80)

            await eventually(all_back, timeout_s=30)
        ids = [
            row["alert_id"]
            for row in await pool.fetch("SELECT alert_id FROM whale_detector.alerts")
        ]
        assert sorted(ids) == sorted(f"a{number}" for number in range(80))
