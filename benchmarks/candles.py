"""Trades consumed, folded into candles and checkpointed: ours against Faust and Quix Streams.

All read the same topics of TradeBatch records, with 1, 4 and 64 trades a record, from one broker,
and make candles of the same eight intervals. Ours is the service's own worker, handlers and
checkpoint into PostgreSQL, with candles stored and sent; only the rows of single trades are left
out, as the peers keep none. The peers keep open candles in their own stores with changelogs, send
closed ones and commit each second; they look for no late, repeated or missing trades. Time runs
from the first record to the checkpoint that covers the last. The target counts at 4 trades a
record: 10 times Faust and 0.8 times Quix; the ratio is the worse of both as a share of its target.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import re
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import uvloop
from pydantic import SecretStr

from teleglas.market.v1.progress_pb2 import Progress
from teleglas.market.v1.trade_pb2 import TradeBatch
from teleglas_cli.stack.local import LocalStack
from teleglas_common.bus.encode import outgoing
from teleglas_common.bus.kafka import KafkaBus, KafkaSettings
from teleglas_common.bus.ports import Outgoing, Route
from teleglas_common.bus.worker import Worker
from teleglas_common.bus.worker_settings import WorkerSettings
from teleglas_common.clock import SystemClock
from teleglas_common.collector import collect_rarely
from teleglas_common.postgres import create_pool, migrate, migrations_in
from teleglas_common.settings import PostgresSection
from teleglas_common.telemetry import Metrics
from teleglas_contracts import topics
from teleglas_contracts.topic import Topic
from teleglas_market_data.adapters.pieces import TimePieces
from teleglas_market_data.adapters.store import PostgresStore
from teleglas_market_data.app import MIGRATIONS
from teleglas_market_data.counts import Counts
from teleglas_market_data.domain.composite import Definition
from teleglas_market_data.handlers import on_trades, on_trades_progress
from teleglas_market_data.live import Live
from teleglas_market_data.ports import SCHEMA, Checkpoint
from teleglas_market_data.shard import MarketShard, Tools

FOLDER = Path(__file__).parent
SINK = replace(topics.MARKET_CANDLES_V1, name="bench.candles", dead_letter=None)
ASSETS = ("BTC", "ETH", "SOL", "XRP", "DOGE", "ADA", "LTC", "LINK")
TARGETS = {"faust": 10.0, "quix": 0.8}
TRADE_EVERY_NS = 200_000
BEGIN_NS = 1_735_689_600_000_000_000
MARK_EVERY = 250
"""Records between progress marks of an instrument: some 0.2 s of event time."""


def feed(topic: Topic, records: int, per_record: int) -> Iterator[Outgoing]:
    """Records of eight instruments in turn, 5,000 trades a second of event time."""
    ts, sequences = BEGIN_NS, dict.fromkeys(ASSETS, 1_000)
    for number in range(records):
        asset = ASSETS[number % len(ASSETS)]
        instrument, source = f"{asset}-USDT", f"binance/0/{asset}"
        key = f"binance:{instrument}"
        batch = TradeBatch(
            venue="binance", instrument=instrument, price_exponent=-2, size_exponent=-8,
            contiguous=True, source=source, writer_epoch=1,
        )  # fmt: skip
        for _ in range(per_record):
            ts += TRADE_EVERY_NS
            sequence = sequences[asset] = sequences[asset] + 1
            batch.trades.add(
                id=str(sequence), sequence=sequence, kind=1, side=1 + sequence % 2,
                price=6_000_000 + sequence * 7_919 % 997, size=1_000 + sequence % 77, ts_event=ts,
                ts_basis=1, ts_ingest=ts + 4_000_000, print=1,
            )  # fmt: skip
        yield outgoing(topic, batch, key=key, subject=instrument, now_ns=ts)
        if number % (MARK_EVERY * len(ASSETS)) >= (MARK_EVERY - 1) * len(ASSETS):
            mark = Progress(
                venue="binance", source=source, writer_epoch=1, ts_event=ts,
                instruments=[instrument], lease_ns=10**10,
            )  # fmt: skip
            yield outgoing(topic, mark, key=key, subject=instrument, now_ns=ts)


class CandlesOnly(PostgresStore):
    """The service's store without the rows of single trades; remembers when it stored last."""

    stored_s = 0.0

    async def save(self, checkpoint: Checkpoint) -> None:
        await super().save(replace(checkpoint, trades=()))
        self.stored_s = time.perf_counter()


class NoCache:
    """Latest values go nowhere."""

    def put(self, kind: str, venue: str, instrument: str, message: bytes) -> None: ...


async def ours(bus: KafkaBus, dsn: str, topic: Topic, total: int) -> float:
    """Seconds from the first record to the checkpoint that covers the last."""
    pool = await create_pool(PostgresSection(dsn=SecretStr(dsn), pool_size=8), "bench")
    await pool.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")
    await migrate(pool, SCHEMA, migrations_in(MIGRATIONS))
    pieces = TimePieces(pool)
    await pieces.load()
    store = CandlesOnly(pool, pieces)
    publisher = bus.publisher()
    await publisher.start()
    composite = Definition(1, {"none": 1}, 60 * 10**9, 10**10)
    tools = Tools(
        store, publisher, NoCache(), Live(), SystemClock(), Counts(Metrics()), 10**15, composite
    )
    began: list[float] = []
    seen = itertools.count(1)

    async def trades(shard: MarketShard, incoming: Any) -> None:
        if not began:
            began.append(time.perf_counter())
        await on_trades(shard, incoming)
        if next(seen) == total:
            worker.stop()

    async def progress(shard: MarketShard, incoming: Any) -> None:
        await on_trades_progress(shard, incoming)
        if next(seen) == total:
            worker.stop()

    worker = Worker(
        bus,
        [Route(topic, TradeBatch, trades), Route(topic, Progress, progress)],
        group=f"ours-{time.time_ns()}",
        shard_factory=lambda number: MarketShard(number, tools),
        publisher=publisher,
        service="bench",
        settings=WorkerSettings(),
    )
    await worker.run()
    await publisher.stop()
    await pool.close()
    return store.stored_s - began[0]


def peer(name: str, bootstrap: str, topic: Topic, count: int) -> float:
    """The same of a peer, in a process and a virtual environment of its own."""
    python = os.environ.get("TELEGLAS_PEERS_PYTHON") or FOLDER.parent / ".venv-peers/bin/python"
    contracts = FOLDER.parent / "libs/contracts/src"
    numbers = (str(topic.partitions), str(count))
    script = str(FOLDER / f"_candles_{name}.py")
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [python, "-W", "ignore", script, bootstrap, topic.name, SINK.name, *numbers],
            env={**os.environ, "PYTHONPATH": f"{contracts}:{FOLDER}"},
            cwd=folder,
            stdout=subprocess.PIPE,
            text=True,
            timeout=600,
            check=False,
        )
    found = re.findall(r"\d+\.\d+", done.stdout)
    if found:
        return float(found[-1])
    raise SystemExit(f"expected seconds from {name}, it ended with {done.returncode}")


async def written(bus: KafkaBus, topic: Topic, records: Iterable[Outgoing]) -> int:
    """Write the topic; how many records it holds."""
    await bus.create([topic])
    publisher = bus.publisher()
    await publisher.start()
    for record in records:
        await publisher.send(record)
    await publisher.stop()
    return sum((await bus.ends([topic.name])).values())


async def measure(
    bus: KafkaBus, bootstrap: str, dsn: str, per_record: int, options: argparse.Namespace
) -> dict[str, float]:
    """Median trades a second of each."""
    count = options.records if per_record < 64 else options.records // 4
    rates: dict[str, list[float]] = {"ours": [], "faust": [], "quix": []}
    topic = replace(topics.MARKET_TRADES_V1, name=f"bench.trades.{per_record}", dead_letter=None)
    total = await written(bus, topic, feed(topic, count, per_record))
    for _ in range(options.rounds):
        rates["ours"].append(count * per_record / await ours(bus, dsn, topic, total))
        few = min(total, options.faust_records)
        took_s = await asyncio.to_thread(peer, "faust", bootstrap, topic, few)
        rates["faust"].append(few * per_record / took_s)
        took_s = await asyncio.to_thread(peer, "quix", bootstrap, topic, total)
        rates["quix"].append(count * per_record / took_s)
    medians = {name: statistics.median(each) for name, each in rates.items()}
    shown = ", ".join(f"{name} {rate:,.0f}" for name, rate in medians.items())
    print(f"{per_record} trades a record: {shown} trades/s", flush=True)
    return medians


async def run(options: argparse.Namespace) -> float:
    with tempfile.TemporaryDirectory() as folder:
        stack = LocalStack(Path(folder))
        await stack.start()
        try:
            at = stack.addresses
            bus = KafkaBus(KafkaSettings(at.kafka_bootstrap))
            await bus.create([topics.MARKET_CANDLES_V1, topics.MARKET_SUMMARIES_V1, SINK])
            shares = 0.0
            for per_record in (1, 4, 64):
                rates = await measure(bus, at.kafka_bootstrap, at.postgres_dsn, per_record, options)
                if per_record == 4:
                    ratios = {name: rates["ours"] / rates[name] for name in TARGETS}
                    shares = min(ratios[name] / target for name, target in TARGETS.items())
                    for name, target in TARGETS.items():
                        print(f"against {name} {ratios[name]:.2f}, target {target:g}", flush=True)
            return shares
        finally:
            await stack.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=100_000, help="of a topic")
    parser.add_argument("--faust-records", type=int, default=30_000, help="of them for Faust")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    collect_rarely()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        ratio = runner.run(run(options))
    print(f"candles ratio={ratio:.2f} target=1 {'ok' if ratio >= 1 else 'short'}")


if __name__ == "__main__":
    main()
