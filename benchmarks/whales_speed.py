"""Trades a second of one whale-detector worker on Faust, at 1, 4 and 64 trades a record.

Ours runs from a record's bytes to the acknowledged changelog value that covers it: decoding,
clustering, distribution, scores of slices, alerts published. The ratio is to a bare Faust agent
that only writes one table value a record, in a process of its own on the same records and broker.
What Faust costs a record bounds both, so batches decide.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from teleglas.market.v1.progress_pb2 import Progress
from teleglas.market.v1.trade_pb2 import TradeBatch
from teleglas_cli.stack.kafka import EmbeddedKafka
from teleglas_common.bus.encode import outgoing
from teleglas_common.bus.kafka import KafkaBus, KafkaSettings
from teleglas_common.bus.ports import Outgoing
from teleglas_contracts.topics import MARKET_TRADES_V1

TARGET = 25_000.0
JUDGED = 4
SIZES = (1, 4, 64)
ASSETS = ("BTC", "ETH", "SOL", "XRP", "DOGE", "ADA", "LTC", "LINK")
BEGIN_NS = 1_735_689_600_000_000_000
TRADE_EVERY_NS = 200_000
MARK_EVERY = 2_000
LIMIT_S = 400.0


def feed(records: int, per_record: int) -> Iterator[Outgoing]:
    """Records of eight instruments in turn, 5,000 trades a second of event time."""
    rng = random.Random(7)
    ts, sequences = BEGIN_NS, dict.fromkeys(ASSETS, 1_000)
    for number in range(records):
        asset = ASSETS[number % len(ASSETS)]
        instrument, source = f"{asset}-USDT", f"binance/0/{asset}"
        key = f"binance:{instrument}"
        if number % MARK_EVERY >= MARK_EVERY - len(ASSETS):
            mark = Progress(
                venue="binance", source=source, writer_epoch=1, ts_event=ts,
                instruments=[instrument], lease_ns=10**10,
            )  # fmt: skip
            yield outgoing(MARKET_TRADES_V1, mark, key=key, subject=instrument, now_ns=ts)
            continue
        batch = TradeBatch(
            venue="binance", instrument=instrument, price_exponent=-2, size_exponent=-8,
            contiguous=True, source=source, writer_epoch=1,
        )  # fmt: skip
        for _ in range(per_record):
            ts += TRADE_EVERY_NS
            sequence = sequences[asset] = sequences[asset] + 1
            batch.trades.add(
                id=str(sequence), sequence=sequence, kind=1, side=1 + rng.getrandbits(1),
                price=6_000_000 + sequence * 7_919 % 997,
                size=1 + int(1e5 * rng.lognormvariate(0.0, 2.0)), ts_event=ts, ts_basis=1,
                ts_ingest=ts + 4_000_000, print=1,
            )  # fmt: skip
        yield outgoing(MARKET_TRADES_V1, batch, key=key, subject=instrument, now_ns=ts)


async def worker(side: str, bootstrap: str, ends: Mapping[int, int]) -> tuple[float, float]:
    """Seconds and changelog bytes of one side."""
    script = str(Path(__file__).with_name("_whales_speed_worker.py"))
    process = await asyncio.create_subprocess_exec(
        sys.executable, script, side, bootstrap, json.dumps(ends),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        out, said = await asyncio.wait_for(process.communicate(), LIMIT_S)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise SystemExit(f"{side} ended by {process.returncode}: {said.decode()[-2_000:]}")
    took_s, size = json.loads(out)
    return took_s, size


async def measure(per_record: int, trades: int) -> tuple[float, float]:
    """Trades a second of ours, and the ratio to the bare agent."""
    records = min(trades // per_record, trades // 4)
    with tempfile.TemporaryDirectory() as folder:
        kafka = EmbeddedKafka(Path(folder) / "kafka")
        await kafka.start()
        try:
            bootstrap = f"127.0.0.1:{kafka.port}"
            bus = KafkaBus(KafkaSettings(bootstrap))
            await bus.create([MARKET_TRADES_V1])
            publisher = bus.publisher()
            await publisher.start()
            ends: Counter[int] = Counter()
            for record in feed(records, per_record):
                await publisher.send(record)
                ends[record.partition] += 1
            await publisher.stop()
            ours_s, ours_bytes = await worker("ours", bootstrap, ends)
            bare_s, bare_bytes = await worker("bare", bootstrap, ends)
        finally:
            await kafka.stop()
    rate = records * per_record / ours_s
    print(
        f"{per_record:>2} a record: ours {rate:>9,.0f} trades/s,"
        f" {records / ours_s:>6,.0f} records/s,"
        f" changelog {ours_bytes / ours_s / 1e3:,.0f} kB/s;"
        f" bare {records / bare_s:>6,.0f} records/s,"
        f" changelog {bare_bytes / bare_s / 1e3:,.0f} kB/s; ratio {bare_s / ours_s:.2f}"
    )
    return rate, bare_s / ours_s


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trades", type=int, default=120_000, help="of a round")
    options = parser.parse_args()
    judged = ratio = 0.0
    for per_record in SIZES:
        trades = options.trades * (4 if per_record > JUDGED else 1)
        rate, to_bare = asyncio.run(measure(per_record, trades))
        if per_record == JUDGED:
            judged, ratio = rate, to_bare
    verdict = "ok" if judged >= TARGET else "short"
    print(f"{judged:,.0f} trades/s at {JUDGED} a record, {ratio:.2f} of a bare agent's records")
    print(f"whales-speed ratio={judged / TARGET:.2f} target=1 {verdict}")


if __name__ == "__main__":
    main()
