"""What the detector needs from outside, and what it is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from teleglas.whale.v1.whale_pb2 import Threshold, WhaleAlert
from teleglas_common.checkpoints import Restored

__all__ = [
    "SCHEMA",
    "AlertFilter",
    "AlertSink",
    "AlertStore",
    "Checkpoint",
    "Market",
    "Restored",
    "States",
    "Thresholds",
]

SCHEMA = "whale_detector"
"""The database schema of this service's tables."""

Market = tuple[str, str]
"""Venue and instrument."""

States = Mapping[bytes, bytes]
"""Table values of one partition number by key."""


@dataclass(frozen=True, slots=True)
class AlertFilter:
    """Which alerts are asked for; what is empty or 0 does not matter. `[ts_from, ts_to)` is the
    time of the first fill, `after` the (time, id) behind which a page begins.
    """

    venue: str = ""
    instrument: str = ""
    kind: int = 0
    side: int = 0
    min_notional: float = 0.0
    ts_from: int = 0
    ts_to: int = 0
    after: tuple[int, str] | None = None


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a shard of the history has read since the last one; it has no other state."""

    shard: int
    generation: int
    offsets: Mapping[str, int]
    alerts: Sequence[WhaleAlert] = ()
    states: Mapping[str, bytes] = field(default_factory=dict)


class AlertSink(Protocol):
    """Where the history is written."""

    async def restore(self, shard: int) -> Restored:
        """The last checkpoint; whoever owned the shard before is fenced out."""

    async def save(self, checkpoint: Checkpoint) -> None:
        """Store offsets and alerts, or nothing; an older revision of an alert changes nothing."""


class AlertStore(Protocol):
    """The history of alerts as it is asked, and thresholds."""

    async def alerts(self, wanted: AlertFilter, size: int) -> list[WhaleAlert]:
        """Newest first."""

    async def alert(self, alert_id: str) -> WhaleAlert | None: ...

    async def save_thresholds(self, thresholds: Sequence[Threshold]) -> None: ...

    async def thresholds(self, venue: str, instrument: str) -> list[Threshold]: ...


class Thresholds(Protocol):
    """What is in force now in the instruments that this process owns."""

    def thresholds(self) -> list[Threshold]: ...
