"""Versions of the weights in PostgreSQL, and who made them."""

from __future__ import annotations

import json
from typing import Any, TypeAlias

import asyncpg

from teleglas_common.principal import Principal
from teleglas_signal_scorer.domain.intervals import SECOND_NS
from teleglas_signal_scorer.domain.weights import FIRST, Weights
from teleglas_signal_scorer.ports import SCHEMA

__all__ = ["LICENSE_LOCK", "MAX_VERSIONS", "TooManyVersionsError", "WeightsTable", "read_weights"]

Connection: TypeAlias = "asyncpg.Connection[Any] | asyncpg.pool.PoolConnectionProxy[Any]"

LICENSE_LOCK = 0x7E1E5C0E
"""Advisory lock: shared by shards that extend their licence, held alone by a change of weights."""
MAX_VERSIONS = 10_000
COLUMNS = "version, layers, ts_effective, changed_by, reason"


class TooManyVersionsError(RuntimeError):
    """Weights were changed more often than a shard can hold in memory."""


async def read_weights(connection: Connection | asyncpg.Pool[Any]) -> list[Weights]:
    """All versions, oldest first."""
    rows = await connection.fetch(
        f"SELECT {COLUMNS} FROM {SCHEMA}.weights ORDER BY version"  # noqa: S608
    )
    return [_weights(row) for row in rows]


class WeightsTable:
    """Reads and makes versions."""

    def __init__(self, pool: asyncpg.Pool[Any]) -> None:
        self._pool = pool

    async def ensure(self) -> None:
        """Store the first version where there is none."""
        await self._pool.execute(
            f"INSERT INTO {SCHEMA}.weights VALUES ($1, $2, $3, $4, $5)"  # noqa: S608
            " ON CONFLICT DO NOTHING",
            *_values(FIRST),
        )

    async def get(self, version: int) -> Weights | None:
        """A version; 0: the one in force at the newest score."""
        row = await self._pool.fetchrow(
            f"SELECT {COLUMNS} FROM {SCHEMA}.weights WHERE version = $1"  # noqa: S608
            if version
            else f"SELECT {COLUMNS} FROM {SCHEMA}.weights WHERE ts_effective <= greatest($1,"  # noqa: S608
            f" (SELECT max(ts_event) FROM {SCHEMA}.scores)) ORDER BY version DESC LIMIT 1",
            version,
        )
        return None if row is None else _weights(row)

    async def change(
        self, layers: tuple[tuple[str, float], ...], reason: str, by: Principal
    ) -> Weights:
        """Make the next version, in force from the first second that no shard may have scored."""
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", LICENSE_LOCK)
            before = (await read_weights(connection))[-1]
            if before.version >= MAX_VERSIONS:
                raise TooManyVersionsError(f"expected at most {MAX_VERSIONS} versions of weights")
            licensed = await connection.fetchval(
                f"SELECT coalesce(max(licensed_until), 0) FROM {SCHEMA}.shard_checkpoints"  # noqa: S608
            )
            behind = max(licensed, before.ts_effective)
            made = Weights(
                before.version + 1,
                layers,
                (behind // SECOND_NS + 1) * SECOND_NS,
                by.principal_id,
                reason,
            )
            await connection.execute(
                f"INSERT INTO {SCHEMA}.weights VALUES ($1, $2, $3, $4, $5)",  # noqa: S608
                *_values(made),
            )
            await connection.execute(
                f"INSERT INTO {SCHEMA}.audit"  # noqa: S608
                " (tenant_id, principal_id, action, version, before, after, reason)"
                " VALUES ($1, $2, 'set_weights', $3, $4, $5, $6)",
                by.tenant_id,
                by.principal_id,
                made.version,
                json.dumps(dict(before.layers)),
                json.dumps(dict(made.layers)),
                reason,
            )
            return made


def _values(weights: Weights) -> tuple[Any, ...]:
    return (
        weights.version,
        json.dumps(weights.layers),
        weights.ts_effective,
        weights.changed_by,
        weights.reason,
    )


def _weights(row: Any) -> Weights:
    layers = tuple((str(name), float(weight)) for name, weight in json.loads(row["layers"]))
    return Weights(row["version"], layers, row["ts_effective"], row["changed_by"], row["reason"])
