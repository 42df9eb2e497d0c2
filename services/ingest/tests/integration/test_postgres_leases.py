"""The leases of the real database."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator

import asyncpg
import pytest
from pydantic import SecretStr

from teleglas_cli.stack.local import StackAddresses
from teleglas_common.postgres import create_pool, migrate, migrations_in
from teleglas_common.settings import PostgresSection
from teleglas_ingest.adapters.leases import SCHEMA, PostgresLeases
from teleglas_ingest.app import MIGRATIONS
from teleglas_ingest.ports import Lease
from teleglas_ingest.testing import comes_true

pytestmark = pytest.mark.integration


@pytest.fixture
async def pool(stack: StackAddresses) -> AsyncIterator[asyncpg.Pool[asyncpg.Record]]:
    made = await create_pool(PostgresSection(dsn=SecretStr(stack.postgres_dsn)), "tests")
    await migrate(made, SCHEMA, migrations_in(MIGRATIONS))
    yield made
    await made.close()


@pytest.fixture
def venue() -> str:
    return f"venue-{secrets.token_hex(4)}"


async def test_a_shard_has_one_owner_and_a_growing_epoch(
    pool: asyncpg.Pool[asyncpg.Record], venue: str
) -> None:
    """Another is refused while the lease holds and fences the first when it takes over."""
    leases = PostgresLeases(pool, ttl_s=30)
    first = await leases.acquire(venue, 0, "a")
    assert first == Lease(venue, 0, "a", 1)
    assert await leases.acquire(venue, 0, "b") is None
    assert await leases.acquire(venue, 1, "b") == Lease(venue, 1, "b", 1)
    assert await leases.renew(first)
    await leases.release(first)
    second = await leases.acquire(venue, 0, "b")
    assert second == Lease(venue, 0, "b", 2)
    assert not await leases.renew(first)


async def test_an_expired_lease_is_free_and_cannot_be_renewed(
    pool: asyncpg.Pool[asyncpg.Record], venue: str
) -> None:
    """The database's clock decides."""
    leases = PostgresLeases(pool, ttl_s=0.2)
    first = await leases.acquire(venue, 0, "a")
    assert first is not None
    taken: list[Lease] = []

    async def others_turn() -> bool:
        lease = await leases.acquire(venue, 0, "b")
        taken.extend([lease] if lease is not None else [])
        return bool(taken)

    await comes_true(others_turn)
    assert taken[0].epoch == 2
    assert not await leases.renew(first)


async def test_a_database_that_is_away_is_an_os_error(
    pool: asyncpg.Pool[asyncpg.Record], venue: str
) -> None:
    """The owner knows only that it could not be reached."""
    leases = PostgresLeases(pool, ttl_s=1)
    await pool.close()
    with pytest.raises(OSError, match="lease store"):
        await leases.acquire(venue, 0, "a")
