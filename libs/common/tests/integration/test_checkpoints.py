from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import asyncpg
import pytest
import pytest_asyncio
from pydantic import SecretStr

from teleglas_common.bus.ports import FencedError
from teleglas_common.checkpoints import Checkpoints, Restored
from teleglas_common.postgres import Migration, create_pool, migrate
from teleglas_common.settings import PostgresSection

pytestmark = pytest.mark.integration

Pool: TypeAlias = "asyncpg.Pool[Any]"
TABLES = Migration(
    1,
    "checkpoints",
    """
    CREATE TABLE shard_checkpoints (shard integer PRIMARY KEY, generation bigint NOT NULL,
        offsets jsonb NOT NULL, updated_at timestamptz NOT NULL DEFAULT now());
    CREATE TABLE shard_states (shard integer NOT NULL, name text NOT NULL, state bytea NOT NULL,
        PRIMARY KEY (shard, name));
    CREATE TABLE things (name text PRIMARY KEY);
    """,
)
CHECKPOINTS = Checkpoints("example")


@dataclass(frozen=True, slots=True)
class Taken:
    """A checkpoint with one row of the store's own."""

    shard: int
    generation: int
    offsets: Mapping[str, int] = field(default_factory=dict)
    states: Mapping[str, bytes] = field(default_factory=dict)
    thing: str = "a"


@pytest_asyncio.fixture
async def pool(database_dsn: str) -> AsyncIterator[Pool]:
    made = await create_pool(PostgresSection(dsn=SecretStr(database_dsn)), "test")
    await migrate(made, "example", [TABLES])
    yield made
    await made.close()


async def restore(pool: Pool, shard: int) -> Restored:
    async with pool.acquire() as connection, connection.transaction():
        return await CHECKPOINTS.restore(connection, shard)


async def save(pool: Pool, taken: Taken) -> None:
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("INSERT INTO example.things VALUES ($1)", taken.thing)
        await CHECKPOINTS.save(connection, taken)


async def test_a_new_shard_begins_empty_with_its_first_generation(pool: Pool) -> None:
    """Nobody has owned it before, and its neighbour does not count."""
    assert await restore(pool, 3) == Restored(1)
    assert await restore(pool, 3) == Restored(2)
    assert await restore(pool, 4) == Restored(1)


async def test_a_checkpoint_comes_back_with_the_states_that_did_not_change(pool: Pool) -> None:
    """Offsets are replaced as a whole, states by name, each within its shard."""
    await restore(pool, 3)
    await restore(pool, 4)
    await save(pool, Taken(3, 1, {"trades": 7, "books": 2}, {"x": b"1", "y": b"1"}, "a"))
    await save(pool, Taken(4, 1, {"trades": 1}, {"x": b"other"}, "b"))
    await save(pool, Taken(3, 1, {"trades": 9}, {"y": b"2"}, "c"))
    await save(pool, Taken(3, 1, {"trades": 10}, {}, "d"))
    assert await restore(pool, 3) == Restored(2, {"trades": 10}, {"x": b"1", "y": b"2"})
    assert await restore(pool, 4) == Restored(2, {"trades": 1}, {"x": b"other"})


@pytest.mark.parametrize(("shard", "generation"), [(3, 1), (3, 3), (9, 1)])
async def test_a_checkpoint_of_another_generation_leaves_nothing_behind(
    pool: Pool, shard: int, generation: int
) -> None:
    """An owner that was fenced out, or one of a shard that nobody restored, writes no row."""
    await restore(pool, 3)
    await restore(pool, 3)
    await save(pool, Taken(3, 2, {"trades": 5}, {"x": b"1"}))
    with pytest.raises(FencedError, match=f"shard {shard} at generation {generation}"):
        await save(pool, Taken(shard, generation, {"trades": 6}, {"x": b"2"}, "late"))
    assert await restore(pool, 3) == Restored(3, {"trades": 5}, {"x": b"1"})
    assert await pool.fetch("SELECT name FROM example.things") == [("a",)]
