"""What little is written waits for a round time, and for no longer than that."""

import asyncio
import time
from dataclasses import replace

import pytest

from teleglas_cli.stack.local import StackAddresses
from teleglas_common.bus.kafka import KafkaBus, KafkaSettings
from teleglas_common.bus.ports import Outgoing
from teleglas_common.bus.testing import make_topic, numbered, read_all
from teleglas_common.rounds import to_round_s
from teleglas_common.testing import eventually

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

ROUND_S = 2.0


async def test_quiet_records_wait_for_the_round_and_a_crowd_does_not(stack: StackAddresses) -> None:
    bus = KafkaBus(KafkaSettings(stack.kafka_bootstrap, linger_round_s=ROUND_S))
    topic = make_topic(partitions=1)
    await bus.create([topic])

    async def held() -> int:
        return sum(len(records) for records in (await read_all(bus, topic.name)).values())

    async def assert_held(count: int) -> None:
        assert await held() == count

    publisher = bus.publisher()
    await publisher.start()
    try:
        await asyncio.sleep(to_round_s(time.time(), ROUND_S, 0.1))
        began_s = time.monotonic()
        await publisher.send(numbered(topic, 0, 0))
        await asyncio.sleep(ROUND_S / 4)
        assert await held() == 0
        await publisher.send(large(numbered(topic, 0, 1)))
        await eventually(lambda: assert_held(2), timeout_s=ROUND_S)
        assert time.monotonic() - began_s < ROUND_S / 2, "a crowd has waited for the round"
        await asyncio.sleep(to_round_s(time.time(), ROUND_S, 0.1) + ROUND_S)
        await publisher.send(numbered(topic, 0, 2))
        await eventually(lambda: assert_held(3), timeout_s=2 * ROUND_S)
        now_s = time.time()
        assert now_s % ROUND_S < ROUND_S / 4, "what waited has not left at the round"
    finally:
        await publisher.stop()


def large(record: Outgoing) -> Outgoing:
    """With a header that makes it a crowd of its own."""
    return replace(record, headers=(*record.headers, ("padding", b"-" * 20_000)))
