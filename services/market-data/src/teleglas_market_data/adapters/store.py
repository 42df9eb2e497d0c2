"""A shard's state, offsets and rows in PostgreSQL: one transaction a checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import asyncpg

from teleglas_common.checkpoints import Checkpoints
from teleglas_market_data.adapters.candle_rows import candle_of
from teleglas_market_data.adapters.pieces import TimePieces
from teleglas_market_data.adapters.writes import RowWriter
from teleglas_market_data.domain.intervals import INTERVALS
from teleglas_market_data.domain.trades import TradeRow
from teleglas_market_data.ports import SCHEMA, Checkpoint, Market, Restored, StoredCandle

__all__ = ["PostgresStore"]


class PostgresStore:
    """`pieces` must be loaded before the first save."""

    def __init__(self, pool: asyncpg.Pool[Any], pieces: TimePieces) -> None:
        self._pool = pool
        self._checkpoints = Checkpoints(SCHEMA)
        self._rows = RowWriter(pieces)

    async def restore(self, shard: int) -> Restored:
        """Load the last checkpoint and fence out whoever owned the shard before."""
        async with self._pool.acquire() as connection, connection.transaction():
            return await self._checkpoints.restore(connection, shard)

    async def save(self, checkpoint: Checkpoint) -> None:
        """Rows, states and offsets, or nothing of it."""
        await self._rows.prepare(checkpoint)
        async with self._pool.acquire() as connection, connection.transaction():
            await self._checkpoints.save(connection, checkpoint)
            await self._rows.write(connection, checkpoint)

    async def candles_at(
        self, market: Market, level: int, ts_opens: Sequence[int]
    ) -> list[StoredCandle]:
        rows = await self._pool.fetch(
            f"SELECT * FROM market_data.candles_{INTERVALS[level].name}"  # noqa: S608
            " WHERE venue = $1 AND instrument = $2 AND ts_open = ANY($3::bigint[])"
            " ORDER BY ts_open",
            *market,
            ts_opens,
        )
        return [candle_of(row, level) for row in rows]

    async def candles_in(
        self, market: Market, level: int, begin: int, end: int
    ) -> list[StoredCandle]:
        rows = await self._pool.fetch(
            f"SELECT * FROM market_data.candles_{INTERVALS[level].name}"  # noqa: S608
            " WHERE venue = $1 AND instrument = $2 AND ts_open >= $3 AND ts_open < $4"
            " ORDER BY ts_open",
            *market,
            begin,
            end,
        )
        return [candle_of(row, level) for row in rows]

    async def known_trades(self, market: Market, rows: Sequence[TradeRow]) -> set[tuple[int, str]]:
        found = await self._pool.fetch(
            "SELECT kind, trade_id FROM market_data.trades JOIN"
            " unnest($3::bigint[], $4::smallint[], $5::text[]) AS w (ts_event, kind, trade_id)"
            " USING (ts_event, kind, trade_id) WHERE venue = $1 AND instrument = $2",
            *market,
            [row[7] for row in rows],
            [row[2] for row in rows],
            [row[0] for row in rows],
        )
        return {(row["kind"], row["trade_id"]) for row in found}
