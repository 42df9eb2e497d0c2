"""A shard's state, offsets and scores in PostgreSQL: one transaction a checkpoint."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, TypeAlias

import asyncpg

from teleglas_common.bus.ports import FencedError
from teleglas_common.postgres import copy_upsert
from teleglas_signal_scorer.adapters.weights_table import LICENSE_LOCK, read_weights
from teleglas_signal_scorer.domain.weights import Weights
from teleglas_signal_scorer.ports import SCHEMA, Checkpoint, Restored, ScoreRow

__all__ = ["PostgresStore"]

Connection: TypeAlias = "asyncpg.Connection[Any] | asyncpg.pool.PoolConnectionProxy[Any]"

SCORE_COLUMNS = ("instrument", "ts_event", "weights_version", "score", "price", "message")
SCORE_KEY = SCORE_COLUMNS[:3]


class PostgresStore:
    """The tables of `migrations/`."""

    def __init__(self, pool: asyncpg.Pool[Any]) -> None:
        self._pool = pool

    async def restore(self, shard: int) -> Restored:
        """Load the last checkpoint and fence out whoever owned the shard before."""
        async with self._pool.acquire() as connection, connection.transaction():
            row = await connection.fetchrow(
                f"INSERT INTO {SCHEMA}.shard_checkpoints AS c VALUES ($1, 1, '{{}}')"  # noqa: S608
                " ON CONFLICT (shard) DO UPDATE SET generation = c.generation + 1"
                " RETURNING generation, offsets, licensed_until",
                shard,
            )
            states = await connection.fetch(
                f"SELECT name, state FROM {SCHEMA}.shard_states WHERE shard = $1",  # noqa: S608
                shard,
            )
            weights = await read_weights(connection)
        if row is None:
            raise RuntimeError(f"expected a checkpoint row of shard {shard}, none came back")
        return Restored(
            row["generation"],
            json.loads(row["offsets"]),
            {state["name"]: state["state"] for state in states},
            row["licensed_until"],
            weights,
        )

    async def save(self, checkpoint: Checkpoint) -> None:
        """Scores, states and offsets, or nothing of it."""
        async with self._pool.acquire() as connection, connection.transaction():
            await self._claim(connection, checkpoint)
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
            await connection.executemany(
                f"INSERT INTO {SCHEMA}.shard_states VALUES ($1, $2, $3)"  # noqa: S608
                " ON CONFLICT (shard, name) DO UPDATE SET state = excluded.state",
                [(checkpoint.shard, name, state) for name, state in checkpoint.states.items()],
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
            _must_own(done, shard, generation)
            return await read_weights(connection)

    async def _claim(self, connection: Connection, checkpoint: Checkpoint) -> None:
        done = await connection.execute(
            f"UPDATE {SCHEMA}.shard_checkpoints"  # noqa: S608
            " SET offsets = $3, updated_at = now() WHERE shard = $1 AND generation = $2",
            checkpoint.shard,
            checkpoint.generation,
            json.dumps(dict(checkpoint.offsets), sort_keys=True),
        )
        _must_own(done, checkpoint.shard, checkpoint.generation)


def _must_own(done: str, shard: int, generation: int) -> None:
    if done != "UPDATE 1":
        raise FencedError(
            f"expected shard {shard} at generation {generation}, another owner has restored it"
        )


def _row(score: ScoreRow) -> tuple[Any, ...]:
    return (
        score.instrument, score.tick, score.weights_version, score.score, score.price,
        score.message,
    )  # fmt: skip
