import asyncio
from pathlib import Path

import pytest
from pydantic import SecretStr

from teleglas_common.postgres import (
    Migration,
    MigrationError,
    copy_upsert,
    create_pool,
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
