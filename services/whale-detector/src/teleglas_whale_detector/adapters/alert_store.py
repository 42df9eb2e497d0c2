"""Alerts and thresholds in PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import asyncpg

from teleglas.whale.v1.whale_pb2 import Threshold, WhaleAlert
from teleglas_common.checkpoints import Checkpoints
from teleglas_whale_detector.ports import SCHEMA, AlertFilter, Checkpoint, Restored

__all__ = ["PostgresAlerts"]

MAX_TS = (1 << 63) - 1
MAX_THRESHOLDS = 5_000


class PostgresAlerts:
    """The history; every write may be repeated."""

    def __init__(self, pool: asyncpg.Pool[Any]) -> None:
        self._pool = pool
        self._checkpoints = Checkpoints(SCHEMA)

    async def restore(self, shard: int) -> Restored:
        """The last checkpoint; whoever owned the shard before is fenced out."""
        async with self._pool.acquire() as connection, connection.transaction():
            return await self._checkpoints.restore(connection, shard)

    async def save(self, checkpoint: Checkpoint) -> None:
        async with self._pool.acquire() as connection, connection.transaction():
            await self._checkpoints.save(connection, checkpoint)
            await connection.executemany(
                "INSERT INTO whale_detector.alerts AS a"
                " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"
                " ON CONFLICT (alert_id) DO UPDATE SET revision = excluded.revision,"
                " kind = excluded.kind, notional = excluded.notional,"
                " ts_first_fill = excluded.ts_first_fill, message = excluded.message"
                " WHERE a.revision <= excluded.revision",
                [_row(alert) for alert in checkpoint.alerts],
            )

    async def alerts(self, wanted: AlertFilter, size: int) -> list[WhaleAlert]:
        ts, name = wanted.after or (MAX_TS, "")
        rows = await self._pool.fetch(
            "SELECT message FROM whale_detector.alerts"
            " WHERE ($1 = '' OR venue = $1) AND ($2 = '' OR instrument = $2)"
            " AND ($3 = 0 OR kind = $3) AND ($4 = 0 OR side = $4) AND notional >= $5"
            " AND ts_first_fill >= $6 AND ts_first_fill < $7"
            " AND (ts_first_fill, alert_id) < ($8, $9)"
            " ORDER BY ts_first_fill DESC, alert_id DESC LIMIT $10",
            wanted.venue,
            wanted.instrument,
            wanted.kind,
            wanted.side,
            wanted.min_notional,
            wanted.ts_from,
            wanted.ts_to or MAX_TS,
            ts,
            name,
            size,
        )
        return [WhaleAlert.FromString(row["message"]) for row in rows]

    async def alert(self, alert_id: str) -> WhaleAlert | None:
        message = await self._pool.fetchval(
            "SELECT message FROM whale_detector.alerts WHERE alert_id = $1", alert_id
        )
        return None if message is None else WhaleAlert.FromString(message)

    async def save_thresholds(self, thresholds: Sequence[Threshold]) -> None:
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.executemany(
                "INSERT INTO whale_detector.thresholds AS t VALUES ($1, $2, $3, $4)"
                " ON CONFLICT (venue, instrument) DO UPDATE SET ts_event = excluded.ts_event,"
                " message = excluded.message WHERE t.ts_event <= excluded.ts_event",
                [
                    (one.venue, one.instrument, one.ts_event, one.SerializeToString())
                    for one in thresholds
                ],
            )

    async def thresholds(self, venue: str, instrument: str) -> list[Threshold]:
        rows = await self._pool.fetch(
            "SELECT message FROM whale_detector.thresholds"
            " WHERE ($1 = '' OR venue = $1) AND ($2 = '' OR instrument = $2)"
            " ORDER BY venue, instrument LIMIT $3",
            venue,
            instrument,
            MAX_THRESHOLDS,
        )
        return [Threshold.FromString(row["message"]) for row in rows]


def _row(alert: WhaleAlert) -> tuple[Any, ...]:
    notional = alert.notional * 10.0**alert.quote_exponent
    return (
        alert.id, alert.revision, alert.venue, alert.instrument, alert.kind, alert.side, notional,
        alert.ts_first_fill, alert.SerializeToString(),
    )  # fmt: skip
