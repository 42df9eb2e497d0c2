"""The three servers are killed, restarted and stopped."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import psutil
import pytest
import pytest_asyncio
import redis.asyncio
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError

from teleglas_cli.stack.kafka import EmbeddedKafka
from teleglas_cli.stack.local import EmbeddedServer, LocalStack
from teleglas_cli.stack.ports import is_free
from teleglas_cli.stack.postgres import EmbeddedPostgres
from teleglas_cli.stack.process import ManagedProcess, ProcessError
from teleglas_cli.stack.valkey import EmbeddedValkey

pytestmark = pytest.mark.integration

TOPIC = "survivors"


@pytest_asyncio.fixture
async def kafka(tmp_path: Path) -> AsyncIterator[EmbeddedKafka]:
    server = EmbeddedKafka(tmp_path / "kafka")
    await server.start()
    yield server
    await server.stop()


@pytest_asyncio.fixture
async def postgres(tmp_path: Path) -> AsyncIterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(tmp_path / "postgres")
    await server.start()
    yield server
    await server.stop()


@pytest_asyncio.fixture
async def valkey(tmp_path: Path) -> AsyncIterator[EmbeddedValkey]:
    server = EmbeddedValkey(tmp_path / "valkey")
    await server.start()
    yield server
    await server.stop()


async def create_topic(kafka: EmbeddedKafka) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(TOPIC, 4, 1)])
    finally:
        await admin.close()


async def read_all(kafka: EmbeddedKafka) -> list[bytes]:
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka.bootstrap)
    async with consumer:
        partitions = [TopicPartition(TOPIC, number) for number in range(4)]
        consumer.assign(partitions)
        await consumer.seek_to_beginning()
        ends = await consumer.end_offsets(partitions)
        values: list[bytes] = []
        for partition in partitions:
            while await consumer.position(partition) < ends[partition]:
                batch = await consumer.getmany(partition, timeout_ms=1000)
                values += [record.value or b"" for record in batch.get(partition, [])]
    return values


class Acknowledged:
    """Values that the broker said it has."""

    def __init__(self) -> None:
        self.values: list[bytes] = []
        self._grown = asyncio.Condition()

    async def add(self, values: list[bytes]) -> None:
        async with self._grown:
            self.values += values
            self._grown.notify_all()

    async def reach(self, count: int) -> None:
        async with asyncio.timeout(30), self._grown:
            await self._grown.wait_for(lambda: len(self.values) >= count)


async def produce_until(ended: asyncio.Event, kafka: EmbeddedKafka, sent: Acknowledged) -> None:
    """Send numbered records and note each that the broker acknowledged."""
    async with AIOKafkaProducer(
        bootstrap_servers=kafka.bootstrap, enable_idempotence=True, retry_backoff_ms=50
    ) as producer:
        number = 0
        while not ended.is_set():
            values = [b"%d" % (number + step) for step in range(100)]
            number += len(values)
            futures = [await producer.send(TOPIC, value) for value in values]
            results = await asyncio.gather(*futures, return_exceptions=True)
            outcomes = zip(values, results, strict=True)
            await sent.add([value for value, end in outcomes if not isinstance(end, KafkaError)])


async def test_killed_kafka_keeps_every_acknowledged_record(kafka: EmbeddedKafka) -> None:
    """A producer that works through a kill -9 finds each acknowledged record once, on one port."""
    await create_topic(kafka)
    address = kafka.bootstrap
    ended, sent = asyncio.Event(), Acknowledged()
    producing = asyncio.create_task(produce_until(ended, kafka, sent))
    await sent.reach(2_000)
    await kafka.kill()
    await kafka.start()
    await sent.reach(len(sent.values) + 2_000)
    ended.set()
    await producing
    stored = await read_all(kafka)
    assert kafka.bootstrap == address
    assert set(sent.values) <= set(stored)
    assert len(stored) == len(set(stored))


async def test_new_kafka_object_continues_the_data(kafka: EmbeddedKafka) -> None:
    """A later start on the same directory, on another port, has the cluster and the records."""
    await create_topic(kafka)
    async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap) as producer:
        await producer.send_and_wait(TOPIC, b"kept")
    meta = kafka.data_dir / "log" / "meta.properties"
    before = meta.read_text()
    await kafka.stop()
    later = EmbeddedKafka(kafka.data_dir)
    await later.start()
    try:
        assert await read_all(later) == [b"kept"]
        assert meta.read_text().splitlines()[1:] == before.splitlines()[1:]
    finally:
        await later.stop()


async def test_killed_postgres_keeps_committed_rows(postgres: EmbeddedPostgres) -> None:
    """What was committed is there after a kill -9, at the same address."""
    dsn = postgres.dsn
    connection = await asyncpg.connect(dsn)
    await connection.execute("CREATE TABLE kept AS SELECT generate_series(1, 1000) AS n")
    await postgres.kill()
    connection.terminate()
    await postgres.start()
    assert postgres.dsn == dsn
    connection = await asyncpg.connect(dsn)
    assert await connection.fetchval("SELECT sum(n) FROM kept") == 500_500
    await connection.close()


async def test_killed_valkey_keeps_answered_writes(valkey: EmbeddedValkey) -> None:
    """What was answered is there after a kill -9, at the same address."""
    client = redis.asyncio.from_url(valkey.url)
    await client.mset({f"key{number}": number for number in range(100)})
    await client.aclose()
    await valkey.kill()
    await valkey.restart()
    client = redis.asyncio.from_url(valkey.url)
    assert await client.dbsize() == 100
    await client.aclose()


async def test_stopped_stack_leaves_no_process_and_no_port(tmp_path: Path) -> None:
    """All three together: ready, measured, and gone without a trace but their data."""
    async with LocalStack(tmp_path) as stack:
        processes = [psutil.Process(pid) for pid in map(pid_of, stack.servers) if pid is not None]
        family = [member for p in processes for member in (p, *p.children(recursive=True))]
        ports = [server.port for server in stack.servers]
        memory_mb = stack.rss_mb()
        assert len(processes) == 3
        assert not any(map(is_free, ports))
        assert all(0 < value < 400 for value in memory_mb.values())
    assert not [member for member in family if member.is_running()]
    assert all(map(is_free, ports))


def pid_of(server: EmbeddedServer) -> int | None:
    process: ManagedProcess | None = server.process
    return None if process is None else process.pid


async def test_one_failed_server_stops_the_others(tmp_path: Path) -> None:
    """A stack is up as a whole or not at all."""
    stack = LocalStack(tmp_path)
    cluster = tmp_path / "postgres" / "cluster"
    cluster.mkdir(parents=True)
    (cluster / "PG_VERSION").write_text("9\n")
    (tmp_path / "postgres" / "password").write_text("none")
    with pytest.raises(ProcessError, match=r"postgres: expected to become ready"):
        await stack.start()
    assert [server.rss_mb() for server in stack.servers] == [0.0, 0.0, 0.0]
