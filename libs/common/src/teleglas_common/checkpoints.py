"""A shard's state and offsets in PostgreSQL: a service's store adds its own rows to the same
transaction.

The tables are each service's own, made by its first migration: `shard_checkpoints` (shard,
generation, offsets, updated_at, …) and `shard_states` (shard, name, state).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from teleglas_common.bus.ports import FencedError

__all__ = ["Checkpoint", "Checkpoints", "Restored", "must_own"]


class Checkpoint(Protocol):
    """What every checkpoint holds: `states` are those that changed since the last one."""

    @property
    def shard(self) -> int: ...

    @property
    def generation(self) -> int: ...

    @property
    def offsets(self) -> Mapping[str, int]: ...

    @property
    def states(self) -> Mapping[str, bytes]: ...


@dataclass(frozen=True, slots=True)
class Restored:
    """The last checkpoint of a shard; its `generation` fences out an owner that came before."""

    generation: int
    offsets: Mapping[str, int] = field(default_factory=dict)
    states: Mapping[str, bytes] = field(default_factory=dict)


class Checkpoints:
    """The two tables of one schema. Every call stands within a transaction of the caller's."""

    def __init__(self, schema: str) -> None:
        self._own = (
            f"INSERT INTO {schema}.shard_checkpoints AS c (shard, generation, offsets)"  # noqa: S608
            " VALUES ($1, 1, '{}') ON CONFLICT (shard) DO UPDATE SET generation = c.generation + 1"
            " RETURNING generation, offsets"
        )
        self._states = f"SELECT name, state FROM {schema}.shard_states WHERE shard = $1"  # noqa: S608
        self._claim = (
            f"UPDATE {schema}.shard_checkpoints SET offsets = $3, updated_at = now()"  # noqa: S608
            " WHERE shard = $1 AND generation = $2"
        )
        self._put = (
            f"INSERT INTO {schema}.shard_states (shard, name, state) VALUES ($1, $2, $3)"  # noqa: S608
            " ON CONFLICT (shard, name) DO UPDATE SET state = excluded.state"
        )

    async def restore(self, connection: Any, shard: int) -> Restored:
        """Load the last checkpoint and fence out whoever owned the shard before."""
        row = await connection.fetchrow(self._own, shard)
        if row is None:
            raise RuntimeError(f"expected a checkpoint row of shard {shard}, none came back")
        states = await connection.fetch(self._states, shard)
        return Restored(
            row["generation"],
            json.loads(row["offsets"]),
            {state["name"]: state["state"] for state in states},
        )

    async def save(self, connection: Any, checkpoint: Checkpoint) -> None:
        """Store offsets and states; FencedError when another owner has moved on. Called before
        rows are written, it holds the shard for the rest of the transaction.
        """
        shard, generation = checkpoint.shard, checkpoint.generation
        offsets = json.dumps(dict(checkpoint.offsets), sort_keys=True)
        done = await connection.execute(self._claim, shard, generation, offsets)
        must_own(done, shard, generation)
        if checkpoint.states:
            states = [(shard, name, state) for name, state in checkpoint.states.items()]
            await connection.executemany(self._put, states)


def must_own(done: str, shard: int, generation: int) -> None:
    """Raise FencedError unless the statement changed the shard's one row of this generation."""
    if done != "UPDATE 1":
        raise FencedError(
            f"expected shard {shard} at generation {generation}, another owner has restored it"
        )
