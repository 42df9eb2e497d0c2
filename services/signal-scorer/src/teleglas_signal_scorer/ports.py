"""What the shards need from outside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from teleglas_signal_scorer.domain.weights import Weights

__all__ = ["SCHEMA", "Checkpoint", "Restored", "ScoreRow", "Store"]

SCHEMA = "signal_scorer"
"""The database schema of this service's tables."""


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """A score as it is stored: the message as it was sent, and what is asked by."""

    instrument: str
    tick: int
    weights_version: int
    score: float
    price: float
    message: bytes


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Everything that a shard stores in one transaction; only what changed since the last one."""

    shard: int
    generation: int
    offsets: Mapping[str, int]
    states: Mapping[str, bytes]
    scores: Sequence[ScoreRow]


@dataclass(frozen=True, slots=True)
class Restored:
    """The last checkpoint of a shard; its `generation` fences out an owner that came before. Ticks
    up to `licensed_until` may be scored with `weights`, all versions that there are.
    """

    generation: int
    offsets: Mapping[str, int] = field(default_factory=dict)
    states: Mapping[str, bytes] = field(default_factory=dict)
    licensed_until: int = 0
    weights: Sequence[Weights] = ()


class Store(Protocol):
    """The database, as a shard uses it."""

    async def restore(self, shard: int) -> Restored: ...

    async def save(self, checkpoint: Checkpoint) -> None:
        """Store all of it or nothing. Raises FencedError when another owner has moved on."""

    async def license(self, shard: int, generation: int, until: int) -> Sequence[Weights]:
        """Promise that no weights will be made that change a tick at or before `until`, and return
        all versions that there are. Raises FencedError as `save` does.
        """
