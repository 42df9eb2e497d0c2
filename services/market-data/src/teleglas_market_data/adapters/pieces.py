"""Tables that are split by event time: pieces are made when their first row comes and dropped when
all of it is older than the table keeps.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import asyncpg

__all__ = ["TimePieces", "TimeTable"]

_LOCK = 0x7E1E61A5


@dataclass(frozen=True, slots=True)
class TimeTable:
    """A row of `time_tables`."""

    name: str
    column: str
    piece_ns: int
    retention_ns: int | None

    def piece(self, ts: int) -> int:
        """Number of the piece that holds `ts`."""
        return ts // self.piece_ns

    def piece_name(self, piece: int) -> str:
        """The piece's own table, named by the UTC day that it begins on."""
        begin = datetime.fromtimestamp(piece * self.piece_ns // 10**9, UTC)
        return f"{self.name}_p{begin:%Y%m%d}"


@dataclass(slots=True)
class TimePieces:
    """Makes pieces on demand. Hypertables make their own."""

    pool: asyncpg.Pool[Any]
    tables: dict[str, TimeTable] = field(default_factory=dict)
    hyper: bool = False
    _there: set[tuple[str, int]] = field(default_factory=set)

    async def load(self) -> None:
        """Read the catalogue; call once before use."""
        rows = await self.pool.fetch("SELECT * FROM market_data.time_tables")
        self.tables = {
            row["name"]: TimeTable(
                row["name"], row["time_column"], row["piece_ns"], row["retention_ns"]
            )
            for row in rows
        }
        self.hyper = await self.pool.fetchval(
            "SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb')"
        )

    async def ensure(self, name: str, timestamps: set[int]) -> None:
        """Make the pieces that rows of these times go to."""
        if self.hyper:
            return
        table = self.tables[name]
        wanted = {(name, table.piece(ts)) for ts in timestamps} - self._there
        for _, piece in sorted(wanted):
            await self._create(table, piece)
        self._there |= wanted

    async def drop_older(self, ts_now: int) -> list[str]:
        """Drop pieces that ended before `ts_now` less the retention; return their names.

        `ts_now` is event time, so that a capture of the past is not dropped on arrival.
        """
        dropped: list[str] = []
        for table in self.tables.values():
            if table.retention_ns is None:
                continue
            oldest = ts_now - table.retention_ns
            if self.hyper:
                await self.pool.execute(
                    "SELECT public.drop_chunks($1::regclass, older_than => $2::bigint)",
                    f"market_data.{table.name}",
                    oldest,
                )
            else:
                dropped += await self._drop(table, oldest)
        return dropped

    async def _create(self, table: TimeTable, piece: int) -> None:
        name, begin = table.piece_name(piece), piece * table.piece_ns
        async with self.pool.acquire() as connection, connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
            if await connection.fetchval("SELECT to_regclass($1)", f"market_data.{name}") is None:
                # Attaching locks out no reader or writer of the parent; PARTITION OF would.
                await connection.execute(
                    f"CREATE TABLE market_data.{name} (LIKE market_data.{table.name} INCLUDING ALL)"
                )
                await connection.execute(
                    f"ALTER TABLE market_data.{table.name} ATTACH PARTITION market_data.{name}"
                    f" FOR VALUES FROM ({begin}) TO ({begin + table.piece_ns})"
                )

    async def _drop(self, table: TimeTable, oldest: int) -> list[str]:
        rows = await self.pool.fetch(
            "SELECT relname AS name FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid"
            " WHERE inhparent = $1::regclass",
            f"market_data.{table.name}",
        )
        last_kept = table.piece_name(table.piece(oldest))
        dropped = sorted(row["name"] for row in rows if row["name"] < last_kept)
        for name in dropped:
            await self.pool.execute(f"DROP TABLE market_data.{name}")
        self._there = {key for key in self._there if key[0] != table.name}
        return dropped
