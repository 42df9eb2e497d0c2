"""Leases of shards. PostgreSQL's clock decides alone, so the pods' clocks need not agree.

An epoch is at least the clock's seconds: also a database that was restored to an earlier state
gives none that is below those in the log, whose readers would ignore all of its records.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from teleglas_ingest.ports import Lease

__all__ = ["SCHEMA", "LocalLeases", "PostgresLeases"]

SCHEMA = "ingest"

_ACQUIRE = """
INSERT INTO ingest.leases AS held (venue, shard, owner, epoch, expires_at)
VALUES ($1, $2, $3, extract(epoch FROM clock_timestamp())::bigint,
        clock_timestamp() + make_interval(secs => $4))
ON CONFLICT (venue, shard) DO UPDATE
   SET owner = excluded.owner, epoch = greatest(held.epoch + 1, excluded.epoch),
       expires_at = excluded.expires_at
 WHERE held.expires_at < clock_timestamp() OR held.owner = excluded.owner
RETURNING epoch
"""
_RENEW = """
UPDATE ingest.leases SET expires_at = clock_timestamp() + make_interval(secs => $5)
 WHERE venue = $1 AND shard = $2 AND owner = $3 AND epoch = $4
   AND expires_at >= clock_timestamp()
"""
_RELEASE = """
UPDATE ingest.leases SET expires_at = '-infinity'
 WHERE venue = $1 AND shard = $2 AND owner = $3 AND epoch = $4
"""


@contextmanager
def _reachable() -> Iterator[None]:
    """What the driver raises when the database is away, as the port's OSError."""
    try:
        yield
    except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise OSError(f"expected an answer of the lease store, was: {error!r}") from error


class PostgresLeases:
    """`ttl_s` after its last renewal a shard is free for others."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record], *, ttl_s: float) -> None:
        self._pool = pool
        self._ttl_s = ttl_s

    async def acquire(self, venue: str, shard: int, owner: str) -> Lease | None:
        with _reachable():
            epoch = await self._pool.fetchval(_ACQUIRE, venue, shard, owner, self._ttl_s)
        return Lease(venue, shard, owner, epoch) if epoch is not None else None

    async def renew(self, lease: Lease) -> bool:
        with _reachable():
            done: str = await self._pool.execute(
                _RENEW, lease.venue, lease.shard, lease.owner, lease.epoch, self._ttl_s
            )
        return done == "UPDATE 1"

    async def release(self, lease: Lease) -> None:
        with _reachable():
            await self._pool.execute(_RELEASE, lease.venue, lease.shard, lease.owner, lease.epoch)


class LocalLeases:
    """For one process alone: every shard is free, and epochs grow with the clock's seconds."""

    async def acquire(self, venue: str, shard: int, owner: str) -> Lease | None:
        return Lease(venue, shard, owner, time.time_ns() // 1_000_000_000)

    async def renew(self, lease: Lease) -> bool:  # noqa: ARG002
        return True

    async def release(self, lease: Lease) -> None: ...
