"""What the shards need from outside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from teleglas.prediction.v1.prediction_pb2 import Forecast
from teleglas_common.checkpoints import Restored
from teleglas_prediction.domain.series import Outcome

__all__ = ["SCHEMA", "Checkpoint", "Issued", "Resolved", "Restored", "Store"]

SCHEMA = "prediction"
"""The database schema of this service's tables."""


@dataclass(frozen=True, slots=True)
class Issued:
    """A forecast on its way into the ledger."""

    forecast: Forecast
    is_champion: bool


@dataclass(frozen=True, slots=True)
class Resolved:
    """What became of a forecast of the ledger."""

    forecast_id: str
    outcome: Outcome


@dataclass(slots=True)
class Checkpoint:
    """Everything that a shard stores in one transaction; only what changed since the last one."""

    shard: int
    generation: int
    offsets: Mapping[str, int]
    states: Mapping[str, bytes]
    issued: Sequence[Issued] = ()
    resolved: Sequence[Resolved] = ()


class Store(Protocol):
    """The database, as a shard uses it."""

    async def restore(self, shard: int) -> Restored: ...

    async def save(self, checkpoint: Checkpoint) -> None:
        """Store all of it or nothing. Raises FencedError when another owner has moved on."""
