import asyncio
from pathlib import Path

import asyncpg
import pytest
from pydantic import SecretStr

from teleglas_common.parts import Database
from teleglas_common.postgres import (
    Migration,
    MigrationError,
    copy_upsert,
    create_pool,
    in_transaction,
    migrate,
    migrations_in,
)
from teleglas_common.settings import PostgresSection

pytestmark = pytest.mark.integration

STEPS = [
    Migration(1, "first", "CREATE TABLE things (id bigint PRIMARY KEY, name text, seen int)"),
    Migration(2, "second", "ALTER TABLE things ADD COLUMN note text"),
]


@pytest.fixture
async def pool(database_dsn: str):
    pool = await create_pool(PostgresSection(dsn=SecretStr(database_dsn)), "test")
    yield pool
    await pool.close()


async def test_migrations_run_once_even_from_many(pool) -> None:
    """Several processes may start at once: each step is applied by one of them."""
    done = await asyncio.gather(*(migrate(pool, "example", STEPS) for _ in range(3)))
    assert sorted(number for numbers in done for number in numbers) == [1, 2]


async def test_an_edited_migration_is_refused(pool) -> None:
    """What was applied is history."""
    await migrate(pool, "example", STEPS)
    with pytest.raises(MigrationError, match="another content"):
        await migrate(pool, "example", [Migration(1, "first", "SELECT 1"), STEPS[1]])


def test_migrations_are_numbered_without_holes(tmp_path: Path) -> None:
    """A missing or misnamed file is found before anything is applied."""
    (tmp_path / "0001_a.sql").write_text("SELECT 1")
    (tmp_path / "0003_c.sql").write_text("SELECT 3")
    with pytest.raises(MigrationError, match="1 to 2"):
        migrations_in(tmp_path)


async def test_copy_upsert_writes_new_rows_and_updates_known_ones(pool) -> None:
    """The same rows twice change nothing; a changed row takes over."""
    await migrate(pool, "example", STEPS)
    columns, key = ("id", "name", "seen"), ("id",)
    async with pool.acquire() as connection:
        for rows in ([(1, "a", 1), (2, "b", 1)], [(2, "c", 2), (3, "d", 1)]):
            async with connection.transaction():
                await copy_upsert(connection, "things", columns, key, rows, schema="example")
        async with connection.transaction():
            rows = [(1, "x", 9)]
            await copy_upsert(connection, "things", columns, key, rows, schema="example", update=())
        found = await connection.fetch("SELECT id, name, seen FROM example.things ORDER BY id")
    assert [tuple(row) for row in found] == [(1, "a", 1), (2, "c", 2), (3, "d", 1)]


async def test_a_failed_migration_leaves_nothing_behind(pool) -> None:
    """A step is applied whole or not at all, and can be mended and run again."""
    broken = Migration(1, "first", "CREATE TABLE halves (id int); SELECT 1 / 0")
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate(pool, "halfway", [broken])
    assert await pool.fetchval("SELECT to_regclass('halfway.halves')") is None
    mended = Migration(1, "first", "CREATE TABLE halves (id int)")
    assert await migrate(pool, "halfway", [mended]) == [1]
    assert await migrate(pool, "halfway", [mended]) == []


async def test_a_conflict_is_tried_again(pool) -> None:
    """Two serializable transactions that cross both take effect, one after the other."""
    await pool.execute("CREATE TABLE counters (id int PRIMARY KEY, n int)")
    await pool.execute("INSERT INTO counters VALUES (1, 0)")
    tries = []
    both = asyncio.Barrier(2)

    async def add_one(connection) -> None:
        tries.append(1)
        n = await connection.fetchval("SELECT n FROM counters WHERE id = 1")
        if len(tries) <= 2:
            await both.wait()
        await connection.execute("UPDATE counters SET n = $1 WHERE id = 1", n + 1)

    twice = (in_transaction(pool, add_one, isolation="serializable") for _ in range(2))
    await asyncio.gather(*twice)
    assert await pool.fetchval("SELECT n FROM counters") == 2
    assert len(tries) == 3


async def test_a_lost_connection_is_replaced(pool) -> None:
    """A connection that the server ends costs one more try."""
    tries = []

    async def work(connection) -> int:
        tries.append(1)
        if len(tries) == 1:
            await connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        return int(await connection.fetchval("SELECT 7"))

    assert await in_transaction(pool, work) == 7
    assert len(tries) == 2


async def test_a_statement_that_takes_too_long_ends(database_dsn: str) -> None:
    """Nothing runs on in the database for a client that gave up."""
    section = PostgresSection(dsn=SecretStr(database_dsn), statement_timeout_s=0.2)
    pool = await create_pool(section, "impatient")
    try:
        with pytest.raises((TimeoutError, asyncpg.QueryCanceledError)):
            await pool.execute("SELECT pg_sleep(30)")
        assert await migrate(pool, "patient", [Migration(1, "a", "SELECT pg_sleep(0.5)")]) == [1]
        running = "SELECT count(*) FROM pg_stat_activity WHERE query = $1 AND state = 'active'"
        assert await pool.fetchval(running, "SELECT pg_sleep(30)") == 0
    finally:
        await pool.close()


async def test_a_started_database_has_its_schema_and_answers(
    database_dsn: str, tmp_path: Path
) -> None:
    """The part brings the schema up to date, and its connections say whose they are."""
    (tmp_path / "0001_things.sql").write_text("CREATE TABLE things (id int)")
    section = PostgresSection(dsn=SecretStr(database_dsn))
    database = Database(section, "tests", "example", tmp_path)
    await database.start()
    try:
        assert await database.check() is None
        assert await database.pool.fetchval("SELECT to_regclass('example.things')") is not None
        application = await database.pool.fetchval("SHOW application_name")
        assert application == "teleglas-tests"
    finally:
        await database.stop()
    with pytest.raises(asyncpg.InterfaceError):
        await database.check()
