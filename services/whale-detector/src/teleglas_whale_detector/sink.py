"""From the alerts' topic into the database: a second worker in the same process.

Rows and offsets change in one transaction, so that no alert is lost, also where the database is an
older one that was restored; rows are kept by id and revision, so that none counts twice.
"""

from __future__ import annotations

from collections.abc import Mapping

from teleglas.whale.v1.whale_pb2 import WhaleAlert
from teleglas_common.bus.ports import Incoming, PoisonError, Route
from teleglas_contracts import topics
from teleglas_whale_detector.ports import AlertSink, Checkpoint

__all__ = ["SINK_GROUP", "SINK_ROUTES", "AlertShard"]

SINK_GROUP = "whale-detector-history"
MAX_ID = 256


class AlertShard:
    """Collects the newest revision of each alert until the next checkpoint."""

    def __init__(self, number: int, store: AlertSink) -> None:
        self._number = number
        self._store = store
        self._generation = 0
        self.pending: dict[str, WhaleAlert] = {}

    @property
    def may_wait(self) -> bool:
        return not self.pending

    async def restore(self) -> Mapping[str, int]:
        restored = await self._store.restore(self._number)
        self._generation = restored.generation
        return restored.offsets

    async def checkpoint(self, offsets: Mapping[str, int]) -> None:
        alerts = list(self.pending.values())
        await self._store.save(Checkpoint(self._number, self._generation, offsets, alerts))
        self.pending = {}

    async def close(self) -> None: ...


async def on_alert(shard: AlertShard, incoming: Incoming[WhaleAlert]) -> None:
    """Keep the newest revision for the next checkpoint."""
    alert = incoming.message
    if not 0 < len(alert.id) <= MAX_ID or "\0" in alert.id + alert.venue + alert.instrument:
        raise PoisonError("impossible_alert", f"expected an alert's id, was {alert.id[:64]!r}")
    known = shard.pending.get(alert.id)
    if known is None or known.revision <= alert.revision:
        shard.pending[alert.id] = alert


SINK_ROUTES = (Route(topics.WHALE_ALERTS_V1, WhaleAlert, on_alert),)
