"""Rows of trades into PostgreSQL: our store against asyncpg's COPY into the same keyed table.

The peer copies ready rows into the partitioned, keyed table and commits: no duplicate may come.
Ours takes trades as the service holds them, makes the rows, and commits them with state and offsets
in one checkpoint; a trade that is stored already changes nothing. A second figure shows ours when
every trade is stored already, which goes through staging. Both write the same trades of eight
instruments over two days, in the same number of transactions, in turns.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import asyncpg
from pydantic import SecretStr

from teleglas_cli.stack.postgres import EmbeddedPostgres
from teleglas_common.postgres import create_pool, migrate, migrations_in
from teleglas_common.settings import PostgresSection
from teleglas_market_data.adapters.pieces import TimePieces
from teleglas_market_data.adapters.store import PostgresStore
from teleglas_market_data.adapters.writes import TRADE_COLUMNS, trade_rows
from teleglas_market_data.app import MIGRATIONS
from teleglas_market_data.domain.trades import TradeRow
from teleglas_market_data.ports import SCHEMA, Checkpoint, StoredTrades

TARGET = 0.5
ASSETS = ("BTC", "ETH", "SOL", "XRP", "DOGE", "ADA", "LTC", "LINK")
BEGIN_NS = 1_723_161_600_000_000_000
PER_BATCH = 4


def trades(count: int) -> Iterator[StoredTrades]:
    """Batches of four trades, of eight instruments in turn."""
    step_ns = 2 * 86_400 * 10**9 // count
    for number in range(0, count, PER_BATCH):
        asset = ASSETS[number // PER_BATCH % len(ASSETS)]
        rows: list[TradeRow] = []
        for sequence in range(number, number + PER_BATCH):
            ts = BEGIN_NS + sequence * step_ns
            price, size = 6_000_000 + sequence % 997, 1_000 + sequence % 77
            side = 1 + sequence % 2
            rows.append(
                (str(sequence), sequence, 1, side, price, size, 0, ts, 1, ts + 4_000_000, 1, False)
            )
        yield StoredTrades("binance", f"{asset}-USDT", -2, -8, 0, rows)


async def peer(pool: asyncpg.Pool[Any], chunks: Sequence[list[tuple[Any, ...]]]) -> float:
    """Seconds of COPY, one transaction a chunk."""
    began_s = time.perf_counter()
    async with pool.acquire() as connection:
        for rows in chunks:
            await connection.copy_records_to_table(
                "trades", records=rows, columns=TRADE_COLUMNS, schema_name=SCHEMA
            )
    return time.perf_counter() - began_s


async def ours(store: PostgresStore, chunks: Sequence[Sequence[StoredTrades]]) -> float:
    """Seconds of checkpoints, one a chunk."""
    restored = await store.restore(0)
    began_s = time.perf_counter()
    for number, batches in enumerate(chunks):
        states = {"candles/binance:BTC-USDT": b"x" * 4_096}
        await store.save(Checkpoint(0, restored.generation, {"t": number}, states, batches))
    return time.perf_counter() - began_s


async def measure(pool: asyncpg.Pool[Any], options: argparse.Namespace) -> float:
    await migrate(pool, SCHEMA, migrations_in(MIGRATIONS))
    pieces = TimePieces(pool)
    await pieces.load()
    batches = list(trades(options.trades))
    size = options.chunk // PER_BATCH
    chunks = [batches[at : at + size] for at in range(0, len(batches), size)]
    ready = [trade_rows(chunk) for chunk in chunks]
    await pieces.ensure("trades", {row[7] for batch in batches for row in batch.rows})
    rates: dict[str, list[float]] = {"ours": [], "copy": [], "ours again": []}
    for _ in range(options.rounds):
        for name, each in rates.items():
            if name != "ours again":
                await pool.execute("TRUNCATE market_data.trades")
                await pool.execute("CHECKPOINT")
            store = PostgresStore(pool, pieces)
            took_s = await (peer(pool, ready) if name == "copy" else ours(store, chunks))
            each.append(options.trades / took_s)
        stored = await pool.fetchval("SELECT count(*) FROM market_data.trades")
        if stored != options.trades:
            raise SystemExit(f"expected {options.trades} trades, {stored} are stored")
    medians = {name: statistics.median(each) for name, each in rates.items()}
    print(", ".join(f"{name} {rate:,.0f}" for name, rate in medians.items()) + " rows/s")
    return medians["ours"] / medians["copy"]


async def run(options: argparse.Namespace) -> float:
    with tempfile.TemporaryDirectory() as folder:
        postgres = EmbeddedPostgres(Path(folder) / "postgres")
        await postgres.start()
        try:
            section = PostgresSection(dsn=SecretStr(postgres.dsn))
            pool = await create_pool(section, "bench")
            try:
                return await measure(pool, options)
            finally:
                await pool.close()
        finally:
            await postgres.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trades", type=int, default=200_000, help="a round")
    parser.add_argument("--chunk", type=int, default=5_000, help="trades of a transaction")
    parser.add_argument("--rounds", type=int, default=5)
    ratio = asyncio.run(run(parser.parse_args()))
    print(f"bulk-write ratio={ratio:.2f} target={TARGET:g} {'ok' if ratio >= TARGET else 'short'}")


if __name__ == "__main__":
    main()
