"""The stack that test sessions share."""

from __future__ import annotations

from collections.abc import Callable

import asyncpg
import pytest
import redis.asyncio
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import UnknownTopicOrPartitionError

from teleglas_cli.stack.doctor import Health, examine_running
from teleglas_cli.stack.local import StackAddresses

pytestmark = pytest.mark.integration


async def make_topic(bootstrap: str, topic: str, partitions: int = 1) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, partitions, 1)])
    finally:
        await admin.close()


async def test_kafka_gives_back_what_was_produced(
    stack: StackAddresses, unique_name: Callable[[str], str]
) -> None:
    """A record comes back with its bytes and an append time of the broker's."""
    topic = unique_name("echo")
    await make_topic(stack.kafka_bootstrap, topic)
    async with AIOKafkaProducer(
        bootstrap_servers=stack.kafka_bootstrap, enable_idempotence=True
    ) as producer:
        await producer.send_and_wait(topic, b"value", key=b"key", timestamp_ms=1)
    consumer = AIOKafkaConsumer(bootstrap_servers=stack.kafka_bootstrap)
    async with consumer:
        partition = TopicPartition(topic, 0)
        consumer.assign([partition])
        await consumer.seek_to_beginning(partition)
        record = await consumer.getone()
    assert (record.key, record.value, record.timestamp_type) == (b"key", b"value", 1)
    assert record.timestamp > 1


async def test_topics_are_not_made_by_use(
    stack: StackAddresses, unique_name: Callable[[str], str]
) -> None:
    """A topic that nobody declared stays unknown."""
    topic = unique_name("undeclared")
    async with AIOKafkaProducer(
        bootstrap_servers=stack.kafka_bootstrap, request_timeout_ms=1000
    ) as producer:
        with pytest.raises(UnknownTopicOrPartitionError):
            await producer.partitions_for(topic)


async def test_postgres_gives_each_test_a_database(database_dsn: str) -> None:
    """A test's database is empty, UTF-8 and in UTC."""
    connection = await asyncpg.connect(database_dsn)
    try:
        tables = await connection.fetchval(
            "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
        )
        assert tables == 0
        assert await connection.fetchval("SHOW server_encoding") == "UTF8"
        assert await connection.fetchval("SHOW timezone") == "UTC"
    finally:
        await connection.close()


async def test_postgres_refuses_a_wrong_password(stack: StackAddresses) -> None:
    """The server is not open to whoever finds its port."""
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(stack.postgres_dsn, password="wrong")


async def test_valkey_speaks_redis(
    stack: StackAddresses, unique_name: Callable[[str], str]
) -> None:
    """The redis client reads what it wrote."""
    client = redis.asyncio.from_url(stack.redis_url)
    try:
        key = unique_name("key")
        await client.set(key, "1", ex=60)
        assert await client.incr(key) == 2
    finally:
        await client.aclose()


async def test_doctor_finds_the_running_stack_well(stack: StackAddresses) -> None:
    """All three servers answer the doctor's questions."""
    findings = await examine_running(stack)
    assert {(finding.subject, finding.health) for finding in findings} == {
        ("kafka", Health.OK),
        ("postgres", Health.OK),
        ("redis", Health.OK),
    }
