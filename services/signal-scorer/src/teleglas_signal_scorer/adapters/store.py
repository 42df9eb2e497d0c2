"""A shard's state, offsets and scores in PostgreSQL: one transaction a checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import asyncpg

from teleglas_common.checkpoints import Checkpoints, must_own
from teleglas_common.postgres import copy_upsert
from teleglas_signal_scorer.adapters.weights_table import LICENSE_LOCK, read_weights
from teleglas_signal_scorer.domain.weights import Weights
from teleglas_signal_scorer.ports import SCHEMA, Checkpoint, Restored, ScoreRow

__all__ = ["PostgresStore"]

SCORE_COLUMNS = ("instrument", "ts_event", "weights_version", "score", "price", "message")
SCORE_KEY = SCORE_COLUMNS[:3]


class PostgresStore:
    """The tables of `migrations/`."""

    def __init__(self, pool: asyncpg.Pool[Any]) -> None:
        self._pool = pool
        self._checkpoints = Checkpoints(SCHEMA)

    async def restore(self, shard: int) -> Restored:
        """Load the last checkpoint and fence out whoever owned the shard before."""
        async with self._pool.acquire() as connection, connection.transaction():
            last = await self._checkpoints.restore(connection, shard)
            licensed_until = await connection.fetchval(
                f"SELECT licensed_until FROM {SCHEMA}.shard_checkpoints"  # noqa: S608
                " WHERE shard = $1",
                shard,
            )
            weights = await read_weights(connection)
        return Restored(last.generation, last.offsets, last.states, licensed_until, weights)

    async def save(self, checkpoint: Checkpoint) -> None:
        """Scores, states and offsets, or nothing of it."""
        async with self._pool.acquire() as connection, connection.transaction():
            await self._checkpoints.save(connection, checkpoint)
            if checkpoint.scores:
                rows = {(r.instrument, r.tick, r.weights_version): r for r in checkpoint.scores}
                await copy_upsert(
                    connection,
                    "scores",
                    SCORE_COLUMNS,
                    SCORE_KEY,
                    [_row(score) for score in rows.values()],
                    schema=SCHEMA,
                )

    async def license(self, shard: int, generation: int, until: int) -> Sequence[Weights]:
        """Once this is committed, new weights take effect behind `until` only: whoever makes them
        holds the lock alone, so that each sees what the other has done.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock_shared($1)", LICENSE_LOCK)
            done = await connection.execute(
                f"UPDATE {SCHEMA}.shard_checkpoints"  # noqa: S608
                " SET licensed_until = greatest(licensed_until, $3)"
                " WHERE shard = $1 AND generation = $2",
                shard,
                generation,
                until,
            )
            must_own(done, shard, generation)
            return await read_weights(connection)


def _row(score: ScoreRow) -> tuple[Any, ...]:
    return (
        score.instrument, score.tick, score.weights_version, score.score, score.price,
        score.message,
    )  # fmt: skip
