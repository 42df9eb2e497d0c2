"""What PostgreSQL can be asked about scores."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import asyncpg

from teleglas_signal_scorer.ports import SCHEMA

__all__ = ["Queries"]

PAGE = 1_000


class Queries:
    """Reads only."""

    def __init__(self, pool: asyncpg.Pool[Any]) -> None:
        self._pool = pool

    async def newest(self, instrument: str, as_of: int) -> bytes | None:
        """The last score at or before a time, as it was sent."""
        found: bytes | None = await self._pool.fetchval(
            f"SELECT message FROM {SCHEMA}.scores WHERE instrument = $1 AND ts_event <= $2"  # noqa: S608
            " ORDER BY ts_event DESC, weights_version DESC LIMIT 1",
            instrument,
            as_of,
        )
        return found

    async def one(self, instrument: str, tick: int, weights_version: int) -> bytes | None:
        """One score by the parts of its id."""
        found: bytes | None = await self._pool.fetchval(
            f"SELECT message FROM {SCHEMA}.scores"  # noqa: S608
            " WHERE instrument = $1 AND ts_event = $2 AND weights_version = $3",
            instrument,
            tick,
            weights_version,
        )
        return found

    async def page(self, instrument: str, begin: int, end: int, size: int) -> list[Any]:
        """Scores with `begin <= ts_event < end`, newest first."""
        rows: list[Any] = await self._pool.fetch(
            f"SELECT ts_event, message FROM {SCHEMA}.scores"  # noqa: S608
            " WHERE instrument = $1 AND ts_event >= $2 AND ts_event < $3"
            " ORDER BY ts_event DESC LIMIT $4",
            instrument,
            begin,
            end,
            size,
        )
        return rows

    async def count(self, instrument: str, begin: int, end: int, most: int) -> int:
        """How many scores there are in a range, counted up to `most`."""
        found: int = await self._pool.fetchval(
            f"SELECT count(*) FROM (SELECT FROM {SCHEMA}.scores WHERE instrument = $1"  # noqa: S608
            " AND ts_event >= $2 AND ts_event < $3 LIMIT $4) AS counted",
            instrument,
            begin,
            end,
            most,
        )
        return found

    async def oldest_first(self, instrument: str, begin: int, end: int) -> AsyncIterator[Any]:
        """(ts_event, price, message) of a range, read in pages."""
        while True:
            rows = await self._pool.fetch(
                f"SELECT ts_event, price, message FROM {SCHEMA}.scores"  # noqa: S608
                " WHERE instrument = $1 AND ts_event >= $2 AND ts_event < $3"
                " ORDER BY ts_event LIMIT $4",
                instrument,
                begin,
                end,
                PAGE,
            )
            for row in rows:
                yield row
            if len(rows) < PAGE:
                return
            begin = rows[-1]["ts_event"] + 1

    async def drop_older(self, keep_ns: int) -> None:
        """Drop scores that are older than the newest by so much, some at a time."""
        await self._pool.execute(
            f"DELETE FROM {SCHEMA}.scores WHERE ctid IN (SELECT ctid FROM {SCHEMA}.scores"  # noqa: S608
            f" WHERE ts_event < (SELECT max(ts_event) FROM {SCHEMA}.scores) - $1 LIMIT 50000)",
            keep_ns,
        )
