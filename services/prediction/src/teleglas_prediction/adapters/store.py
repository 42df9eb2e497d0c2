"""A shard's state, offsets and ledger in PostgreSQL: one transaction a checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import asyncpg

from teleglas_common.checkpoints import Checkpoints
from teleglas_common.postgres import copy_upsert
from teleglas_prediction.ports import SCHEMA, Checkpoint, Issued, Resolved, Restored

__all__ = ["PostgresStore"]

Connection: TypeAlias = "asyncpg.Connection[Any] | asyncpg.pool.PoolConnectionProxy[Any]"

COLUMNS = ("id", "instrument", "horizon_ns", "ts_event", "model", "is_champion", "forecast")


class PostgresStore:
    """The store of all shards of a process."""

    def __init__(self, pool: asyncpg.Pool[Any]) -> None:
        self._pool = pool
        self._checkpoints = Checkpoints(SCHEMA)

    async def restore(self, shard: int) -> Restored:
        """Load the last checkpoint and fence out whoever owned the shard before."""
        async with self._pool.acquire() as connection, connection.transaction():
            return await self._checkpoints.restore(connection, shard)

    async def save(self, checkpoint: Checkpoint) -> None:
        """Forecasts, outcomes, states and offsets, or nothing of it."""
        async with self._pool.acquire() as connection, connection.transaction():
            await self._checkpoints.save(connection, checkpoint)
            if checkpoint.issued:
                await _write_issued(connection, checkpoint.issued)
            if checkpoint.resolved:
                await _write_resolved(connection, checkpoint.resolved)


async def _write_issued(connection: Connection, issued: Sequence[Issued]) -> None:
    """A forecast of a replay stands already: it says the same, and its outcome is kept."""
    rows = [
        (
            one.forecast.id,
            one.forecast.instrument,
            one.forecast.horizon_ns,
            one.forecast.ts_event,
            one.forecast.model,
            one.is_champion,
            one.forecast.SerializeToString(deterministic=True),
        )
        for one in issued
    ]
    await copy_upsert(connection, "ledger", COLUMNS, ("id",), rows, schema=SCHEMA, update=())


async def _write_resolved(connection: Connection, resolved: Sequence[Resolved]) -> None:
    outcomes = [(one.forecast_id, one.outcome) for one in resolved]
    await connection.execute(
        "UPDATE prediction.ledger AS l SET ts_resolved = r.ts, outcome_price = r.price,"
        " covered = r.covered, pinball_loss = r.loss, baseline_pinball_loss = r.walk_loss FROM"
        " unnest($1::text[], $2::bigint[], $3::float8[], $4::smallint[], $5::float8[],"
        " $6::float8[]) AS r (id, ts, price, covered, loss, walk_loss) WHERE l.id = r.id",
        [forecast_id for forecast_id, _ in outcomes],
        [outcome.ts_resolved for _, outcome in outcomes],
        [outcome.price for _, outcome in outcomes],
        [_bits(outcome.covered) for _, outcome in outcomes],
        [outcome.loss for _, outcome in outcomes],
        [outcome.walk_loss for _, outcome in outcomes],
    )


def _bits(covered: Sequence[bool]) -> int | None:
    if not covered:
        return None
    return sum(1 << at for at, inside in enumerate(covered) if inside)
