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
    assert first is not None
    assert await leases.acquire(venue, 0, "b") is None
    other = await leases.acquire(venue, 1, "b")
    assert other is not None
    assert (other.shard, other.owner) == (1, "b")
    assert await leases.renew(first)
    await leases.release(first)
    second = await leases.acquire(venue, 0, "b")
    assert second is not None
    assert second.epoch > first.epoch
    assert not await leases.renew(first)


async def test_an_older_database_that_was_restored_gives_no_older_epoch(
    pool: asyncpg.Pool[asyncpg.Record], venue: str
) -> None:
    """Readers of the log would ignore everything that is written under it."""
    leases = PostgresLeases(pool, ttl_s=30)
    backed_up = await leases.acquire(venue, 0, "a")
    assert backed_up is not None
    later = backed_up
    for _ in range(3):
        again = await leases.acquire(venue, 0, "a")
        assert again is not None
        assert again.epoch > later.epoch
        later = again
    await pool.execute(
        "UPDATE ingest.leases SET epoch = $2 - 1000, expires_at = '-infinity' WHERE venue = $1",
        venue,
        backed_up.epoch,
    )
    restored = await leases.acquire(venue, 0, "b")
    assert restored is not None
    assert restored.epoch >= backed_up.epoch


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
    assert taken[0].epoch > first.epoch
    assert not await leases.renew(first)


async def test_a_database_that_is_away_is_an_os_error(
    pool: asyncpg.Pool[asyncpg.Record], venue: str
) -> None:
    """The owner knows only that it could not be reached."""
    leases = PostgresLeases(pool, ttl_s=1)
    await pool.close()
    with pytest.raises(OSError, match="lease store"):
        await leases.acquire(venue, 0, "a")
