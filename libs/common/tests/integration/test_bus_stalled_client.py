"""A client of Kafka that hangs while the broker answers others is replaced by itself."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from teleglas.market.v1.progress_pb2 import Progress
from teleglas_cli.stack.kafka import EmbeddedKafka
from teleglas_cli.stack.local import StackAddresses
from teleglas_common.bus.kafka import KafkaBus, KafkaSettings
from teleglas_common.bus.ports import EARLIEST, Route, TopicPartition
from teleglas_common.bus.testing import (
    MemoryStore,
    RememberingShard,
    make_topic,
    number_of,
    numbered,
    publish,
    remember,
    until,
)
from teleglas_common.bus.worker import Worker
from teleglas_common.bus.worker_settings import WorkerSettings

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]


async def test_reader_whose_fetcher_died_goes_on_where_it_stood(stack: StackAddresses) -> None:
    """The watch sees ends grow without us; no record is missed or repeated."""
    bus = KafkaBus(KafkaSettings(stack.kafka_bootstrap, stall_after_s=1.0))
    topic = make_topic(partitions=1)
    await bus.create([topic])
    await publish(bus, [numbered(topic, 0, n) for n in range(10)])
    reader = bus.reader({TopicPartition(topic.name, 0): EARLIEST})
    await reader.start()
    seen: list[int] = []

    async def read_until(count: int) -> None:
        async with asyncio.timeout(30):
            while len(seen) < count:
                for records in (await reader.poll(max_records=100, timeout_s=0.1)).values():
                    seen.extend(number_of(record) for record in records)

    await read_until(10)
    fetcher = getattr(reader._client, "_fetcher", None)
    assert fetcher is not None
    fetcher._fetch_task.cancel()
    await publish(bus, [numbered(topic, 0, n) for n in range(10, 20)])
    await read_until(20)
    await reader.stop()
    assert seen == list(range(20))


async def test_worker_whose_fetcher_died_is_given_its_partitions_again(
    stack: StackAddresses,
) -> None:
    """To the worker a replaced client is a rebalance: effects are as without it."""
    bus = KafkaBus(KafkaSettings(stack.kafka_bootstrap, stall_after_s=1.0, session_timeout_s=6))
    topic = make_topic(partitions=2)
    await bus.create([topic])
    store, publisher = MemoryStore(), bus.publisher()
    await publisher.start()
    worker = Worker(
        bus,
        [Route(topic, Progress, remember)],
        group=f"{topic.name}.stalled",
        shard_factory=lambda number: RememberingShard(number, store),
        publisher=publisher,
        service="tests",
        settings=WorkerSettings(checkpoint_interval_s=0.1),
    )
    working = asyncio.create_task(worker.run())
    await publish(bus, [numbered(topic, n % 2, n) for n in range(20)])
    await until(lambda: stored(store) == 20)
    worker._consumer._client._fetcher._fetch_task.cancel()  # type: ignore[attr-defined]
    await publish(bus, [numbered(topic, n % 2, n) for n in range(20, 40)])
    await until(lambda: stored(store) == 40)
    worker.stop()
    await working
    await publisher.stop()
    assert store.numbers[TopicPartition(topic.name, 1)] == tuple(range(1, 40, 2))


@pytest.fixture
async def kafka(tmp_path: Path) -> AsyncIterator[EmbeddedKafka]:
    server = EmbeddedKafka(tmp_path / "kafka")
    await server.start()
    yield server
    await server.stop()


async def test_frozen_broker_is_waited_out(kafka: EmbeddedKafka) -> None:
    """A broker that hangs, sockets open, for longer than requests and sessions last."""
    bus = KafkaBus(
        KafkaSettings(
            kafka.bootstrap,
            request_timeout_s=1.5,
            session_timeout_s=3.0,
            heartbeat_interval_s=0.6,
        )
    )
    topic = make_topic(partitions=2)
    await bus.create([topic])
    store, publisher = MemoryStore(), bus.publisher()
    await publisher.start()
    worker = Worker(
        bus,
        [Route(topic, Progress, remember)],
        group="frozen",
        shard_factory=lambda number: RememberingShard(number, store),
        publisher=publisher,
        service="tests",
        settings=WorkerSettings(checkpoint_interval_s=0.1),
    )
    working = asyncio.create_task(worker.run())
    for n in range(100):
        await publisher.send(numbered(topic, n % 2, n))
    await until(lambda: stored(store) == 100)
    assert kafka.process is not None
    assert kafka.process.pid is not None
    os.killpg(kafka.process.pid, signal.SIGSTOP)
    for n in range(100, 200):
        await publisher.send(numbered(topic, n % 2, n))
    flushing = asyncio.create_task(publisher.flush())
    await asyncio.wait({flushing}, timeout=6)
    assert not flushing.done()
    os.killpg(kafka.process.pid, signal.SIGCONT)
    await asyncio.wait_for(flushing, 30)
    await until(lambda: stored(store) >= 200)
    worker.stop()
    await working
    await publisher.stop()
    for p in range(2):
        assert store.numbers[TopicPartition(topic.name, p)] == tuple(range(p, 200, 2))


def stored(store: MemoryStore) -> int:
    return sum(map(len, store.numbers.values()))
