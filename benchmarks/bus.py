"""Produce records with headers to Apache Kafka: our publisher against aiokafka's `send`.

Both are idempotent, wait for all replicas, linger 5 ms and fill batches of 256 KiB; both send the
same records to the same 12 partitions of one broker, in turns, and end each round with a flush.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from aiokafka import AIOKafkaProducer

from teleglas_cli.stack.kafka import EmbeddedKafka
from teleglas_common.bus.kafka import KafkaBus, KafkaSettings
from teleglas_common.bus.ports import Outgoing
from teleglas_common.bus.testing import make_topic

TARGET = 2.0
BATCH_BYTES = 256 << 10
LINGER_MS = 5


def records(topic: str, count: int, value_bytes: int) -> list[Outgoing]:
    """Records as ingest makes them: a key, a small batch of trades, three headers."""
    value = bytes(range(256)) * (value_bytes // 256 + 1)
    schema = ("schema", b"teleglas.market.v1.TradeBatch")
    return [
        Outgoing(
            topic,
            number % 12,
            b"binance:BTC-USDT",
            value[:value_bytes],
            (schema, ("produced-at", b"%d" % (10**18 + number)), ("event-id", b"%020d" % number)),
        )
        for number in range(count)
    ]


async def ours(bootstrap: str, batch: Sequence[Outgoing]) -> float:
    """Records a second through our publisher."""
    settings = KafkaSettings(bootstrap, batch_bytes=BATCH_BYTES, linger_s=LINGER_MS / 1000)
    publisher = KafkaBus(settings).publisher()
    await publisher.start()
    began_s = time.perf_counter()
    for record in batch:
        await publisher.send(record)
    await publisher.flush()
    took_s = time.perf_counter() - began_s
    await publisher.stop()
    return len(batch) / took_s


async def peer(bootstrap: str, batch: Sequence[Outgoing]) -> float:
    """Records a second through `send`, which takes its headers as a list."""
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        acks="all",
        enable_idempotence=True,
        linger_ms=LINGER_MS,
        max_batch_size=BATCH_BYTES,
    )
    await producer.start()
    prepared = [(r.topic, r.value, r.key, r.partition, list(r.headers)) for r in batch]
    began_s = time.perf_counter()
    for topic, value, key, partition, headers in prepared:
        await producer.send(topic, value, key, partition, headers=headers)
    await producer.flush()
    took_s = time.perf_counter() - began_s
    await producer.stop()
    return len(batch) / took_s


async def measure(bootstrap: str, count: int, value_bytes: int, rounds: int) -> float:
    topic = make_topic(partitions=12)
    await KafkaBus(KafkaSettings(bootstrap)).create([topic])
    batch = records(topic.name, count, value_bytes)
    await ours(bootstrap, batch[: count // 4])
    await peer(bootstrap, batch[: count // 4])
    rates: dict[str, list[float]] = {"ours": [], "aiokafka send": []}
    for number in range(rounds):
        rates["ours"].append(await ours(bootstrap, batch))
        rates["aiokafka send"].append(await peer(bootstrap, batch))
        print(f"round {number + 1}: " + ", ".join(f"{n} {r[-1]:,.0f}/s" for n, r in rates.items()))
    medians = {name: statistics.median(each) for name, each in rates.items()}
    print("median: " + ", ".join(f"{name} {rate:,.0f}/s" for name, rate in medians.items()))
    pairs = zip(rates["ours"], rates["aiokafka send"], strict=True)
    return statistics.median(own / other for own, other in pairs)  # each pair ran back to back


async def run(arguments: argparse.Namespace) -> float:
    if arguments.bootstrap:
        return await measure(
            arguments.bootstrap, arguments.records, arguments.bytes, arguments.rounds
        )
    with tempfile.TemporaryDirectory() as folder:
        kafka = EmbeddedKafka(Path(folder) / "kafka")
        await kafka.start()
        try:
            return await measure(
                kafka.bootstrap, arguments.records, arguments.bytes, arguments.rounds
            )
        finally:
            await kafka.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bootstrap", help="a running broker instead of one of its own")
    parser.add_argument("--records", type=int, default=100_000, help="a round")
    parser.add_argument("--bytes", type=int, default=200, help="of a record's value")
    parser.add_argument("--rounds", type=int, default=15)
    ratio = asyncio.run(run(parser.parse_args()))
    print(f"bus ratio={ratio:.2f} target={TARGET:g} {'ok' if ratio >= TARGET else 'short'}")


if __name__ == "__main__":
    main()
