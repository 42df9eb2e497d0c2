"""Every service's migrations in order, with data in place, while the old version still writes."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest
from pydantic import SecretStr

from teleglas_cli.schemas import migrations_of
from teleglas_cli.up.services import STARTED
from teleglas_common.postgres import Migration, create_pool, migrate
from teleglas_common.settings import PostgresSection
from teleglas_common.testing import eventually

pytestmark = pytest.mark.integration

FIRST_VERSION = {
    "ingest": "INSERT INTO ingest.leases VALUES ($1, 0, 'me', 1, now())",
    "market-data": "INSERT INTO market_data.summaries VALUES ('binance', $1, 1, '\\x00')",
    "whale-detector": (
        "INSERT INTO whale_detector.alerts AS a VALUES ($1, 1, 'binance', 'BTC-USDT', 1, 1, 1.0, 1,"
        " '\\x00') ON CONFLICT (alert_id) DO UPDATE SET revision = excluded.revision"
        " WHERE a.revision <= excluded.revision"
    ),
    "signal-scorer": "INSERT INTO signal_scorer.scores VALUES ($1, 1, 1, 0.5, 1.0, '\\x00')",
    "prediction": (
        "INSERT INTO prediction.ledger (id, instrument, horizon_ns, ts_event, model, is_champion,"
        " forecast) VALUES ($1, 'BTC-USDT', 1, 1, 'walk', true, '\\x00')"
    ),
    "notification": (
        "INSERT INTO notification.cards AS c VALUES ($1, 1, 1, '\\x00', '', 1)"
        " ON CONFLICT (event_id) DO UPDATE SET version = c.version + 1"
    ),
    "gateway": (
        "INSERT INTO gateway.audit (tenant_id, principal_id, action, subject)"
        " VALUES ('default', 'me', 'key.created', $1)"
    ),
}
"""What the first version of each service writes; a later one may not break it while both run."""
SHRINKS = re.compile(
    r"\bDROP\s+(TABLE|COLUMN|VIEW|INDEX)|\bRENAME\b|\bALTER\s+(COLUMN\s+)?\w+\s+(SET\s+DATA\s+)?TYPE\b"
    r"|\bSET\s+NOT\s+NULL\b",
    re.IGNORECASE,
)
MAY_SHRINK = "-- contract:"


def steps_of(service: str) -> list[Migration]:
    return migrations_of(service)[1]


@asynccontextmanager
async def connected(dsn: str) -> AsyncIterator[asyncpg.Pool[asyncpg.Record]]:
    pool = await create_pool(PostgresSection(dsn=SecretStr(dsn)), "tests")
    try:
        yield pool
    finally:
        await pool.close()


class OldVersion:
    """Writes rows one after the other, and remembers the slowest."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record], statement: str) -> None:
        self._pool = pool
        self._statement = statement
        self.written = 0
        self.slowest_s = 0.0

    async def run(self) -> None:
        while True:
            began = time.monotonic()
            await self._pool.execute(self._statement, f"row-{self.written}")
            self.slowest_s = max(self.slowest_s, time.monotonic() - began)
            self.written += 1
            await asyncio.sleep(0.002)


@asynccontextmanager
async def writing(old: OldVersion, rows: int = 20) -> AsyncIterator[None]:
    """While the old version writes, before and after; an error of its own fails the test."""
    task = asyncio.create_task(old.run())

    def wrote_more(than: int) -> bool:
        if task.done():
            task.result()
        return old.written > than

    try:
        await eventually(lambda: wrote_more(rows), timeout_s=60)
        yield
        before = old.written
        await eventually(lambda: wrote_more(before + rows), timeout_s=60)
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@pytest.mark.parametrize("service", STARTED)
async def test_old_version_writes_on_while_the_schema_grows(
    database_dsn: str, service: str
) -> None:
    """From the first migration to the last, each under the load of the first version's statements:
    none fails, no row is lost, and both versions find the schema in order when they start again.
    """
    schema, steps = service.replace("-", "_"), steps_of(service)
    async with connected(database_dsn) as pool:
        await migrate(pool, schema, steps[:1])
        old = OldVersion(pool, FIRST_VERSION[service])
        async with writing(old):
            for number in range(1, len(steps)):
                assert await migrate(pool, schema, steps[: number + 1]) == [number + 1]
        table = re.search(r"INTO ([a-z_.]+)", FIRST_VERSION[service])
        assert table is not None
        assert await pool.fetchval(f"SELECT count(*) FROM {table[1]}") >= old.written  # noqa: S608
        assert await migrate(pool, schema, steps[:1]) == []
        assert await migrate(pool, schema, steps) == []
        print(f"{service}: {len(steps)} migrations, slowest write {old.slowest_s * 1e3:.0f} ms")  # noqa: T201


@pytest.mark.parametrize("service", STARTED)
def test_later_migrations_only_add(service: str) -> None:
    """What the version before reads and writes stays, unless a step says that nothing does."""
    for step in steps_of(service)[1:]:
        shrinks = SHRINKS.search(step.sql)
        assert shrinks is None or MAY_SHRINK in step.sql, f"{service} {step.number}: {shrinks}"


async def test_all_schemas_migrate_from_many_processes_at_once(database_dsn: str) -> None:
    """Each step is applied by one of them; all find everything done when they return."""

    async def everything() -> list[tuple[str, int]]:
        async with connected(database_dsn) as pool:
            return [
                (service, number)
                for service in STARTED
                for number in await migrate(pool, service.replace("-", "_"), steps_of(service))
            ]

    done = [
        step for steps in await asyncio.gather(*(everything() for _ in range(3))) for step in steps
    ]
    assert sorted(done) == sorted(
        (service, step.number) for service in STARTED for step in steps_of(service)
    )
    assert await everything() == []


async def test_a_long_reader_does_not_make_writers_wait_behind_a_migration(
    database_dsn: str,
) -> None:
    """A step that cannot have the table gives way and comes again."""
    first = Migration(1, "things", "CREATE TABLE things (id text)")
    second = Migration(2, "note", "ALTER TABLE things ADD COLUMN note text")
    async with connected(database_dsn) as pool:
        await migrate(pool, "example", [first])
        old = OldVersion(pool, "INSERT INTO example.things VALUES ($1)")
        reading = await asyncpg.connect(database_dsn)
        async with writing(old):
            transaction = reading.transaction()
            await transaction.start()
            await reading.fetch("SELECT * FROM example.things")
            migrating = asyncio.create_task(migrate(pool, "example", [first, second]))
            await asyncio.sleep(2.5)
            assert not migrating.done()
            await transaction.rollback()
            assert await migrating == [2]
        await reading.close()
        assert old.slowest_s < 2.0
