"""What PostgreSQL can be asked about markets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

from teleglas.market.v1.trade_pb2 import Trade, TradeBatch
from teleglas_common.replica import Rows
from teleglas_market_data.adapters.candle_rows import COLUMNS, candle_of
from teleglas_market_data.domain.intervals import INTERVALS
from teleglas_market_data.ports import Market, StoredCandle

__all__ = ["MAX_TS", "Page", "Queries", "trade_batch"]

MAX_TS = (1 << 63) - 1
_TRADE_ORDER = "ts_event {d}, coalesce(sequence, 0) {d}, trade_id {d}"


@dataclass(frozen=True, slots=True)
class Page:
    """`[ts_from, ts_to)` by time, at most `size` rows, newest first if `descending`."""

    ts_from: int
    ts_to: int
    size: int
    descending: bool = False

    @property
    def direction(self) -> str:
        return "DESC" if self.descending else "ASC"


class Queries:
    """Reads only; each method is one statement."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    async def candles(self, market: Market, level: int, page: Page) -> list[StoredCandle]:
        rows = await self._rows.fetch(
            f"SELECT * FROM market_data.candles_{INTERVALS[level].name}"  # noqa: S608
            " WHERE venue = $1 AND instrument = $2 AND ts_open >= $3 AND ts_open < $4"
            f" ORDER BY ts_open {page.direction} LIMIT $5",
            *market,
            page.ts_from,
            page.ts_to,
            page.size,
        )
        return [candle_of(row, level) for row in rows]

    async def candles_as_of(
        self, market: Market, level: int, page: Page, as_of: int
    ) -> list[StoredCandle]:
        """Of each candle the last revision that was known at `as_of`."""
        label, names = INTERVALS[level].name, ", ".join(COLUMNS)
        where = (
            "venue = $1 AND instrument = $2 AND ts_open >= $3 AND ts_open < $4 AND ts_known <= $5"
        )
        rows = await self._rows.fetch(
            f"SELECT DISTINCT ON (ts_open) * FROM ("  # noqa: S608
            f" SELECT {names} FROM market_data.candles_{label} WHERE {where}"
            f" UNION ALL SELECT {names} FROM market_data.candle_revisions"
            f" WHERE label = $6 AND {where}"
            f") known ORDER BY ts_open {page.direction}, revision DESC LIMIT $7",
            *market,
            page.ts_from,
            page.ts_to,
            as_of,
            label,
            page.size,
        )
        return [candle_of(row, level) for row in rows]

    async def trades(
        self, market: Market, page: Page, after: tuple[int, int, str] | None
    ) -> list[asyncpg.Record]:
        """Trades in the order of (ts_event, sequence, id), behind `after`."""
        beyond = ">" if not page.descending else "<"
        values: list[Any] = [*market, page.ts_from, page.ts_to, page.size]
        cursor = ""
        if after is not None:
            cursor = (
                f" AND ts_event {beyond}= $6"
                f" AND (ts_event, coalesce(sequence, 0), trade_id) {beyond} ($6, $7, $8)"
            )
            values += after
        rows: list[asyncpg.Record] = await self._rows.fetch(
            "SELECT * FROM market_data.trades"  # noqa: S608
            " WHERE venue = $1 AND instrument = $2 AND ts_event >= $3 AND ts_event < $4"
            f"{cursor} ORDER BY {_TRADE_ORDER.format(d=page.direction)} LIMIT $5",
            *values,
        )
        return rows

    async def markets(
        self, venue: str, base: str, after: Sequence[str], size: int
    ) -> list[asyncpg.Record]:
        rows: list[asyncpg.Record] = await self._rows.fetch(
            "SELECT venue, instrument, message FROM market_data.instruments"
            " WHERE ($1 = '' OR venue = $1) AND ($2 = '' OR base = $2)"
            " AND (venue, instrument) > ($3, $4) ORDER BY venue, instrument LIMIT $5",
            venue,
            base,
            *after,
            size,
        )
        return rows

    async def tickers(self, venue: str, after: Sequence[str], size: int) -> list[asyncpg.Record]:
        """Ticker and summary, or one of both, of each market."""
        rows: list[asyncpg.Record] = await self._rows.fetch(
            "SELECT venue, instrument, t.message AS ticker, s.message AS summary"
            " FROM market_data.tickers t FULL JOIN market_data.summaries s"
            " USING (venue, instrument) WHERE ($1 = '' OR venue = $1)"
            " AND (venue, instrument) > ($2, $3) ORDER BY venue, instrument LIMIT $4",
            venue,
            *after,
            size,
        )
        return rows

    async def ticker(self, market: Market) -> asyncpg.Record | None:
        row: asyncpg.Record | None = await self._rows.fetchrow(
            "SELECT (SELECT message FROM market_data.tickers"
            " WHERE venue = $1 AND instrument = $2) AS ticker,"
            " (SELECT message FROM market_data.summaries"
            " WHERE venue = $1 AND instrument = $2) AS summary",
            *market,
        )
        return row

    async def gaps(
        self, venue: str, instrument: str, page: Page, after: tuple[int, str]
    ) -> list[asyncpg.Record]:
        rows: list[asyncpg.Record] = await self._rows.fetch(
            "SELECT ts_from, gap_id, message FROM market_data.gaps"
            " WHERE ($1 = '' OR venue = $1) AND ($2 = '' OR instrument = $2)"
            " AND ts_from >= $3 AND ts_from < $4 AND (ts_from, gap_id) > ($5, $6)"
            " ORDER BY ts_from, gap_id LIMIT $7",
            venue,
            instrument,
            page.ts_from,
            page.ts_to,
            *after,
            page.size,
        )
        return rows


def trade_batch(market: Market, rows: Sequence[asyncpg.Record]) -> TradeBatch:
    """Stored trades as one batch, at the finest of their exponents."""
    prices = min((row["price_exponent"] for row in rows), default=0)
    sizes = min((row["size_exponent"] for row in rows), default=0)
    contracts = min((row["contracts_exponent"] for row in rows), default=0)
    return TradeBatch(
        venue=market[0],
        instrument=market[1],
        price_exponent=prices,
        size_exponent=sizes,
        contracts_exponent=contracts,
        trades=[
            Trade(
                id=row["trade_id"],
                sequence=row["sequence"],
                kind=row["kind"],
                side=row["side"],
                price=row["price"] * 10 ** (row["price_exponent"] - prices),
                size=row["size"] * 10 ** (row["size_exponent"] - sizes),
                contracts=row["contracts"] * 10 ** (row["contracts_exponent"] - contracts),
                ts_event=row["ts_event"],
                ts_basis=row["ts_basis"],
                ts_ingest=row["ts_ingest"],
                print=row["print"],
                backfilled=row["backfilled"],
            )
            for row in rows
        ],
    )
