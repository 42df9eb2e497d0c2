"""The broker dies under load: everything goes on by itself and nothing acknowledged is lost."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from teleglas.market.v1.progress_pb2 import Progress
from teleglas_cli.stack.kafka import EmbeddedKafka
from teleglas_common.bus.kafka import KafkaBus, KafkaSettings
from teleglas_common.bus.ports import EARLIEST, Bus, Route, TopicPartition
from teleglas_common.bus.testing import (
    MemoryStore,
    RememberingShard,
    make_topic,
    number_of,
    numbered,
    read_all,
    remember,
    until,
)
from teleglas_common.bus.worker import Worker
from teleglas_common.bus.worker_settings import WorkerSettings
from teleglas_contracts.topic import Topic

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

RESUME_LIMIT_S = 30.0
BOUNDS = partial(
    KafkaSettings, request_timeout_s=3.0, session_timeout_s=3.0, heartbeat_interval_s=0.6
)
"""A broker that is away for long is so for longer than these."""
PARTITIONS = 4


@pytest.fixture
async def kafka(tmp_path: Path) -> AsyncIterator[EmbeddedKafka]:
    server = EmbeddedKafka(tmp_path / "kafka")
    await server.start()
    yield server
    await server.stop()


class Load:
    """Sends numbers without a pause and knows which are acknowledged."""

    def __init__(self, bus: Bus, topic: Topic) -> None:
        self.acknowledged = 0
        self._publisher = bus.publisher()
        self._topic = topic
        self._ending = False
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await self._publisher.start()
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        self._ending = True
        assert self._task is not None
        await self._task
        await self._publisher.stop()

    async def _run(self) -> None:
        while not self._ending:
            start = self.acknowledged
            for number in range(start, start + 100):
                await self._publisher.send(numbered(self._topic, number % PARTITIONS, number))
            await self._publisher.flush()
            self.acknowledged = start + 100
            await asyncio.sleep(0.02)


class Tail:
    """Reads without a group."""

    def __init__(self, bus: Bus, topic: Topic) -> None:
        self.numbers: list[int] = []
        partitions = [TopicPartition(topic.name, number) for number in range(PARTITIONS)]
        self._reader = bus.reader(dict.fromkeys(partitions, EARLIEST))
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await self._reader.start()
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait({self._task})
        await self._reader.stop()

    async def _run(self) -> None:
        while True:
            for records in (await self._reader.poll(max_records=500, timeout_s=0.2)).values():
                self.numbers += [number_of(record) for record in records]


@pytest.mark.parametrize(
    ("killed", "down_s"), [(True, 0.0), (True, 4.0), (False, 4.0)], ids=["kill", "long", "stop"]
)
async def test_broker_restart_under_load_loses_nothing(
    kafka: EmbeddedKafka, killed: bool, down_s: float
) -> None:
    """Publisher, worker and reader resume within 30 s; order and effects are as without it."""
    bus = KafkaBus(BOUNDS(kafka.bootstrap))
    topic = make_topic(partitions=PARTITIONS)
    await bus.create([topic])
    store, load, tail = MemoryStore(), Load(bus, topic), Tail(bus, topic)
    publisher = bus.publisher()
    await publisher.start()
    worker = Worker(
        bus,
        [Route(topic, Progress, remember)],
        group="restart",
        shard_factory=lambda number: RememberingShard(number, store),
        publisher=publisher,
        service="tests",
        settings=WorkerSettings(checkpoint_interval_s=0.1),
    )
    working = asyncio.create_task(worker.run())
    await load.start()
    await tail.start()
    await until(lambda: stored(store) > 1_000 and len(tail.numbers) > 1_000)

    if killed:
        await kafka.kill()
    else:
        await kafka.stop()
    await asyncio.sleep(down_s)
    await kafka.start()
    before = load.acknowledged
    await until(lambda: load.acknowledged > before + 1_000, timeout_s=RESUME_LIMIT_S)
    await until(
        lambda: min(stored(store), len(tail.numbers)) > before + 1_000, timeout_s=RESUME_LIMIT_S
    )
    assert not working.done()

    await load.stop()
    total = load.acknowledged
    await until(lambda: min(stored(store), len(tail.numbers)) >= total)
    worker.stop()
    await working
    await tail.stop()
    await publisher.stop()
    log = await read_all(bus, topic.name)
    for partition, records in log.items():
        expected = list(range(partition.partition, total, PARTITIONS))
        assert [number_of(record) for record in records] == expected
        assert list(store.numbers[partition]) == expected
    assert sorted(tail.numbers) == list(range(total))


def stored(store: MemoryStore) -> int:
    return sum(map(len, store.numbers.values()))
