"""Batched, idempotent writes by COPY."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import asyncpg

from teleglas.market.v1.gap_pb2 import Gap
from teleglas.market.v1.instrument_pb2 import Instrument
from teleglas.market.v1.liquidation_pb2 import Liquidation
from teleglas_common.postgres import copy_upsert
from teleglas_market_data.adapters.candle_rows import COLUMNS, row_of
from teleglas_market_data.adapters.pieces import TimePieces
from teleglas_market_data.domain.intervals import INTERVALS
from teleglas_market_data.ports import (
    SCHEMA,
    Checkpoint,
    LatestRow,
    StoredCandle,
    StoredTrades,
)

__all__ = ["TRADE_COLUMNS", "RowWriter", "trade_rows"]

Connection: TypeAlias = "asyncpg.Connection[Any] | asyncpg.pool.PoolConnectionProxy[Any]"
Row = tuple[Any, ...]

TRADE_COLUMNS = (
    "venue", "instrument", "ts_event", "kind", "trade_id", "sequence", "side", "price", "size",
    "contracts", "price_exponent", "size_exponent", "contracts_exponent", "ts_basis", "ts_ingest",
    "print", "backfilled",
)  # fmt: skip
TRADE_KEY = ("venue", "instrument", "ts_event", "kind", "trade_id")
MARKET_KEY = ("venue", "instrument")
GAP_KEY = ("venue", "instrument", "gap_id")
CANDLE_KEY = ("venue", "instrument", "ts_open")
CAREFUL_WRITES = 100
"""After rows that were stored already, this many writes go through staging before the direct way is
tried again."""


def trade_rows(trades: Iterable[StoredTrades]) -> list[Row]:
    """Rows of TRADE_COLUMNS."""
    return [
        (
            batch.venue, batch.instrument, ts, kind, trade_id, sequence or None, side, price, size,
            contracts, batch.price_exponent, batch.size_exponent, batch.contracts_exponent, basis,
            ts_ingest, printed, backfilled,
        )
        for batch in trades
        for (
            trade_id, sequence, kind, side, price, size, contracts, ts, basis, ts_ingest, printed,
            backfilled,
        ) in batch.rows
    ]  # fmt: skip


@dataclass(slots=True)
class RowWriter:
    """Writes a checkpoint's rows inside its transaction."""

    pieces: TimePieces
    careful: int = field(default=0)

    async def prepare(self, checkpoint: Checkpoint) -> None:
        """Make the pieces that the rows go to; before the transaction, so that it locks little."""
        await self.pieces.ensure(
            "trades", {row[7] for batch in checkpoint.trades for row in batch.rows}
        )
        liquidations = {Liquidation.FromString(one).ts_event for one in checkpoint.liquidations}
        await self.pieces.ensure("liquidations", liquidations)
        for level, candles in _by_level(checkpoint.candles).items():
            opens = {candle.bar.ts_open for candle in candles}
            await self.pieces.ensure(f"candles_{INTERVALS[level].name}", opens)
            revised = {candle.bar.ts_open for candle in candles if candle.bar.revision}
            await self.pieces.ensure("candle_revisions", revised)

    async def write(self, connection: Connection, checkpoint: Checkpoint) -> None:
        if checkpoint.trades:
            await self._write_trades(connection, trade_rows(checkpoint.trades))
        for level, candles in sorted(_by_level(checkpoint.candles).items()):
            await _write_candles(connection, INTERVALS[level].name, candles)
        for table, latest in (("summaries", checkpoint.summaries), ("tickers", checkpoint.tickers)):
            if latest:
                await _write_latest(connection, table, latest)
        if checkpoint.liquidations:
            await _write_liquidations(connection, checkpoint.liquidations)
        if checkpoint.instruments:
            await _write_instruments(connection, checkpoint.instruments)
        if checkpoint.gaps:
            await _write_gaps(connection, checkpoint.gaps)

    async def _write_trades(self, connection: Connection, rows: list[Row]) -> None:
        """Trades are new nearly always: straight into the table, and through staging only while
        some are stored already (a replay, or ids older than a shard remembers).
        """
        if not self.careful:
            try:
                async with connection.transaction():
                    await connection.copy_records_to_table(
                        "trades", records=rows, columns=TRADE_COLUMNS, schema_name=SCHEMA
                    )
            except asyncpg.UniqueViolationError:
                self.careful = CAREFUL_WRITES
            else:
                return
        self.careful -= 1
        await copy_upsert(
            connection, "trades", TRADE_COLUMNS, TRADE_KEY, rows, schema=SCHEMA, update=()
        )


def _by_level(candles: Iterable[StoredCandle]) -> dict[int, list[StoredCandle]]:
    levels: dict[int, list[StoredCandle]] = {}
    for candle in candles:
        levels.setdefault(candle.level, []).append(candle)
    return levels


async def _write_candles(connection: Connection, label: str, candles: list[StoredCandle]) -> None:
    table = f"candles_{label}"
    revised = [candle for candle in candles if candle.bar.revision]
    if revised:
        names = ", ".join(COLUMNS)
        await connection.execute(
            f"INSERT INTO {SCHEMA}.candle_revisions (label, {names})"  # noqa: S608
            f" SELECT $1, {', '.join('c.' + name for name in COLUMNS)} FROM {SCHEMA}.{table} c JOIN"
            " unnest($2::text[], $3::text[], $4::bigint[]) AS w (venue, instrument, ts_open)"
            " USING (venue, instrument, ts_open) ON CONFLICT DO NOTHING",
            label,
            [candle.venue for candle in revised],
            [candle.instrument for candle in revised],
            [candle.bar.ts_open for candle in revised],
        )
    rows = [row_of(candle) for candle in candles]
    await copy_upsert(connection, table, COLUMNS, CANDLE_KEY, rows, schema=SCHEMA)


async def _write_latest(connection: Connection, table: str, rows: Collection[LatestRow]) -> None:
    values = [(row.venue, row.instrument, row.ts_event, row.message) for row in rows]
    columns = ("venue", "instrument", "ts_event", "message")
    await copy_upsert(connection, table, columns, MARKET_KEY, values, schema=SCHEMA)


async def _write_liquidations(connection: Connection, messages: Collection[bytes]) -> None:
    known = [(Liquidation.FromString(message), message) for message in messages]
    values = [
        (one.venue, one.instrument, one.ts_event, one.id, one.side, one.price, one.size, message)
        for one, message in known
    ]
    columns = (
        "venue", "instrument", "ts_event", "liquidation_id", "side", "price", "size", "message",
    )  # fmt: skip
    key = ("venue", "instrument", "ts_event", "liquidation_id")
    await copy_upsert(connection, "liquidations", columns, key, values, schema=SCHEMA)


async def _write_instruments(connection: Connection, messages: Collection[bytes]) -> None:
    known = [(Instrument.FromString(message), message) for message in messages]
    values = [(i.venue, i.instrument, i.base, i.version, message) for i, message in known]
    columns = ("venue", "instrument", "base", "version", "message")
    await copy_upsert(connection, "instruments", columns, MARKET_KEY, values, schema=SCHEMA)


async def _write_gaps(connection: Connection, messages: Collection[bytes]) -> None:
    known = [(Gap.FromString(message), message) for message in messages]
    values = [
        (g.venue, g.instrument, g.id, g.channel, g.resolution, g.ts_from, g.ts_to, message)
        for g, message in known
    ]
    columns = (
        "venue", "instrument", "gap_id", "channel", "resolution", "ts_from", "ts_to", "message",
    )  # fmt: skip
    await copy_upsert(connection, "gaps", columns, GAP_KEY, values, schema=SCHEMA)
