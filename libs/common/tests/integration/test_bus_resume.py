"""How soon Kafka is asked again for a partition that was paused."""

import asyncio
import time
from collections.abc import Sequence

import pytest

from teleglas_cli.stack.local import StackAddresses
from teleglas_common.bus.kafka import KafkaBus, KafkaSettings
from teleglas_common.bus.ports import TopicPartition
from teleglas_common.bus.testing import make_topic, numbered, publish

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

WAIT_S = 6.0


class Assigned:
    """Waits for its partitions."""

    def __init__(self) -> None:
        self.partitions: set[TopicPartition] = set()

    async def assigned(self, partitions: Sequence[TopicPartition]) -> None:
        self.partitions.update(partitions)

    async def revoked(self, partitions: Sequence[TopicPartition]) -> None:
        self.partitions.difference_update(partitions)


async def test_a_resumed_partition_does_not_wait_for_a_quiet_one(stack: StackAddresses) -> None:
    """The fetch of the quiet one, which lasts seconds at the broker, ends early meanwhile."""
    bus = KafkaBus(KafkaSettings(stack.kafka_bootstrap, fetch_wait_s=WAIT_S))
    topic = make_topic(partitions=2)
    await bus.create([topic])
    busy = TopicPartition(topic.name, 0)
    await publish(bus, [numbered(topic, 0, 1)])
    consumer, members = bus.consumer([topic.name], f"{topic.name}.resume"), Assigned()
    await consumer.start(members)
    try:
        async with asyncio.timeout(60):
            while len(members.partitions) < 2:
                await consumer.poll(max_records=10, timeout_s=0.1)
            consumer.pause([busy])
            for _ in range(int(2 * WAIT_S)):  # longer than a fetch that began before the pause
                await consumer.poll(max_records=10, timeout_s=0.6)
            await consumer.seek(busy, 0)
            consumer.resume([busy])
            began_s = time.monotonic()
            while not (await consumer.poll(max_records=10, timeout_s=0.1)).get(busy):
                pass
    finally:
        await consumer.stop()
    assert time.monotonic() - began_s < WAIT_S / 2
