"""What PostgreSQL can be asked about the ledger, and how it is kept short."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

from teleglas.prediction.v1.prediction_pb2 import Forecast, LedgerEntry

__all__ = ["LedgerPage", "Queries", "ledger_entry"]

MAX_DELETED = 20_000


@dataclass(frozen=True, slots=True)
class LedgerPage:
    """Entries of `[ts_from, ts_to)`, newest first, behind (`ts_before`, `id_before`); no instrument
    or a horizon of 0 means all.
    """

    instrument: str
    horizon_ns: int
    ts_from: int
    ts_to: int
    ts_before: int
    id_before: str
    size: int


class Queries:
    """Each method is one statement."""

    def __init__(self, pool: asyncpg.Pool[Any]) -> None:
        self._pool = pool

    async def ledger(self, page: LedgerPage) -> list[asyncpg.Record]:
        rows: list[asyncpg.Record] = await self._pool.fetch(
            "SELECT * FROM prediction.ledger WHERE ($1 = '' OR instrument = $1)"
            " AND ($2::bigint = 0 OR horizon_ns = $2) AND ts_event >= $3 AND ts_event < $4"
            " AND (ts_event, id) < ($5, $6) ORDER BY ts_event DESC, id DESC LIMIT $7",
            page.instrument,
            page.horizon_ns,
            page.ts_from,
            page.ts_to,
            page.ts_before,
            page.id_before,
            page.size,
        )
        return rows

    async def newest(
        self, asked: Sequence[tuple[str, int]], model: str = ""
    ) -> dict[tuple[str, int], Forecast]:
        """The newest forecast of each instrument and horizon that has one: of a model, or the
        champion's where none is named.
        """
        rows = await self._pool.fetch(
            "SELECT found.forecast FROM unnest($1::text[], $2::bigint[]) AS asked (name, length),"
            " LATERAL (SELECT forecast FROM prediction.ledger"
            " WHERE instrument = asked.name AND horizon_ns = asked.length"
            " AND (model = $3 OR ($3 = '' AND is_champion))"
            " ORDER BY ts_event DESC, id DESC LIMIT 1) AS found",
            [instrument for instrument, _ in asked],
            [horizon_ns for _, horizon_ns in asked],
            model,
        )
        found = [Forecast.FromString(row["forecast"]) for row in rows]
        return {(one.instrument, one.horizon_ns): one for one in found}

    async def delete_old(self, keep_ns: int) -> int:
        """Delete resolved forecasts older than the newest by more than `keep_ns`, at most
        MAX_DELETED at once; how many they were.
        """
        done = await self._pool.execute(
            "DELETE FROM prediction.ledger WHERE id IN (SELECT id FROM prediction.ledger"
            " WHERE ts_event < (SELECT max(ts_event) FROM prediction.ledger) - $1::bigint"
            " AND ts_resolved IS NOT NULL ORDER BY ts_event LIMIT $2)",
            keep_ns,
            MAX_DELETED,
        )
        return int(done.rpartition(" ")[2])


def ledger_entry(row: Any) -> LedgerEntry:
    """A row as a message."""
    forecast = Forecast.FromString(row["forecast"])
    entry = LedgerEntry(
        forecast=forecast,
        outcome_price=row["outcome_price"],
        ts_resolved=row["ts_resolved"] or 0,
        pinball_loss=row["pinball_loss"],
        baseline_pinball_loss=row["baseline_pinball_loss"],
    )
    if row["covered"] is not None:
        entry.covered.extend(
            bool(row["covered"] >> at & 1) for at in range(len(forecast.intervals))
        )
    return entry
