"""Each service's user on a real broker: what its routes need is allowed, all else is refused."""

from __future__ import annotations

import importlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    KafkaError,
    TopicAuthorizationFailedError,
)
from pydantic import SecretStr

from teleglas_cli.up.services import STARTED
from teleglas_common.bus.dead_letter import twin
from teleglas_common.bus.epochs import read_epochs
from teleglas_common.bus.kafka import KafkaBus
from teleglas_common.bus.kafka.calls import release
from teleglas_common.bus.ports import EARLIEST, BusError, Outgoing, Rebalance, TopicPartition
from teleglas_common.kafka import create_bus, kafka_settings
from teleglas_common.settings import KafkaSection
from teleglas_contracts import topics
from teleglas_contracts.topic import Topic
from teleglas_whale_detector.adapters.faust_topics import INTERNAL
from tests.support.secure import SecureKafka, rules, users

pytestmark = [
    pytest.mark.integration,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(300),
]

EVERY_TOPIC = tuple(
    dict.fromkeys(
        [*topics.ALL, *(twin(topic) for topic in topics.ALL if topic.dead_letter), *INTERNAL]
    )
)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def kafka(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SecureKafka]:
    secure = SecureKafka(tmp_path_factory.mktemp("secure"), users())
    await secure.server.start()
    try:
        await create_bus(secure.section("migrate"), "tests").create(topics.ALL)
        yield secure
    finally:
        await secure.server.stop()


def routes_of(service: str) -> Any:
    return importlib.import_module(f"teleglas_{service.replace('-', '_')}.routes")


def bus_of(section: KafkaSection) -> KafkaBus:
    return create_bus(section, "tests")


def allowed(user: str, resource: str, operation: str) -> set[str]:
    return {
        rule.name
        for rule in rules()
        if rule[:2] == (user, resource) and rule.operation == operation
    }


async def read_one(bus: KafkaBus, topic: Topic) -> bytes | None:
    """The first record of partition 0."""
    reader = bus.reader({TopicPartition(topic.name, 0): EARLIEST})
    await reader.start()
    try:
        for _ in range(20):
            for records in (await reader.poll(max_records=1, timeout_s=0.5)).values():
                return records[0].value
    finally:
        await reader.stop()
    raise AssertionError(f"expected a record of {topic.name}")


class Ignore(Rebalance):
    async def assigned(self, partitions: Any) -> None: ...

    async def revoked(self, partitions: Any) -> None: ...


async def test_each_service_does_what_its_routes_say(kafka: SecureKafka) -> None:
    """Writes go through, dead letters too, epochs and inputs are read, groups are joined."""
    for service in STARTED:
        routes, bus = routes_of(service), bus_of(kafka.section(service))
        publisher = bus.publisher()
        await publisher.start()
        for name in sorted(allowed(service, "topic", "Write")):
            await publisher.send(Outgoing(name, 0, b"k", f"of {service}".encode()))
        await publisher.flush()
        await publisher.stop()
        assert {topic.name for topic in routes.WRITES} <= allowed(service, "topic", "Write")
        if service != "ingest":
            assert len(await read_epochs(bus)) >= len(topics.ALL) - 1
    for service in STARTED:
        routes, bus = routes_of(service), bus_of(kafka.section(service))
        for topic in routes.READS:
            if topic is not topics.CONTROL_TOPICS_V1 and topic.producers != ("ingest",):
                assert await read_one(bus, topic) is not None
        for group in allowed(service, "group", "Read"):
            consumer = bus.consumer([topic.name for topic in routes.READS], group)
            await consumer.start(Ignore())
            try:
                for _ in range(40):
                    if await consumer.poll(max_records=500, timeout_s=0.5):
                        break
                else:
                    pytest.fail(f"{service} read nothing as {group}")
            finally:
                await consumer.stop()


@asynccontextmanager
async def raw(kafka: SecureKafka, user: str) -> AsyncIterator[tuple[Any, Any]]:
    """A consumer and a producer without our retries."""
    options = kafka_settings(kafka.section(user), "tests").client_options()
    consumer = AIOKafkaConsumer(enable_auto_commit=False, **options)
    producer = AIOKafkaProducer(acks=1, **options)
    try:
        await consumer.start()
        await producer.start()
        yield consumer, producer
    finally:
        await release(consumer)
        await producer.stop()


@pytest.mark.parametrize("service", STARTED)
async def test_what_is_not_in_the_table_is_refused(kafka: SecureKafka, service: str) -> None:
    """A topic of others is not even seen; one that is read cannot be written, nor the reverse; the
    group of another cannot be joined; nothing can be created.
    """
    reads, writes = allowed(service, "topic", "Read"), allowed(service, "topic", "Write")
    async with raw(kafka, service) as (consumer, producer):
        seen = await consumer.topics()
        assert seen == reads | writes
        assert seen < {topic.name for topic in EVERY_TOPIC}
        for topic in sorted(reads - writes):
            with pytest.raises(TopicAuthorizationFailedError):
                await producer.send_and_wait(topic, b"x", partition=0)
        for topic in sorted(writes - reads)[:3]:
            consumer.assign([KafkaPartition(topic, 0)])
            consumer.seek(KafkaPartition(topic, 0), 0)
            with pytest.raises(TopicAuthorizationFailedError):
                await consumer.getone()
    bus = bus_of(kafka.section(service))
    foreign = next(group for group in ("market-data", "prediction") if group != service)
    mine = sorted(reads)[:1]
    stranger = AIOKafkaConsumer(
        *mine,
        group_id=foreign,
        **kafka_settings(kafka.section(service), "tests").client_options(),
    )
    try:
        with pytest.raises(GroupAuthorizationFailedError):
            await stranger.start()
    finally:
        await release(stranger)
    with pytest.raises(BusError, match="AuthorizationFailed"):
        await bus.create([topics.CONTROL_TOPICS_V1, _other_topic()])


def _other_topic() -> Topic:
    """One that nobody has made."""
    from dataclasses import replace

    return replace(topics.MARKET_GAPS_V1, name="teleglas.tests.other.v1", dead_letter=None)


async def test_a_wrong_password_and_an_unknown_authority_are_refused(
    kafka: SecureKafka, tmp_path: Path
) -> None:
    """And nobody speaks plain text to the secure port."""
    right = kafka.section("gateway")
    other = SecureKafka(tmp_path, ["gateway"]).certificates.ca_file
    wrong = (
        right.model_copy(update={"sasl_password": SecretStr("wrong")}),
        right.model_copy(update={"ssl_ca_file": other}),
        KafkaSection(bootstrap=right.bootstrap),
    )
    for section in wrong:
        with pytest.raises((BusError, KafkaError)):
            await bus_of(section).ends([topics.CONTROL_TOPICS_V1.name])


async def test_a_certificate_is_a_user_and_is_read_again(kafka: SecureKafka) -> None:
    """The certificate's name has the same rules; a replaced file takes effect on the next
    connection of the same bus.
    """
    bus = bus_of(kafka.certified("gateway"))
    names = [topics.CONTROL_TOPICS_V1.name]
    assert await bus.ends(names)
    with pytest.raises(BusError):
        await bus.ends([topics.NOTIFICATION_DELIVERIES_V1.name])
    kafka.certificates.issue("client.invalid", common_name="notification", file="gateway")
    assert await bus.ends([topics.NOTIFICATION_DELIVERIES_V1.name])
