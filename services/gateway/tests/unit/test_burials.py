"""Poison that no consumer group reads reaches its dead-letter topic, once for all pods."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from teleglas.bus.v1.dead_letter_pb2 import DeadLetter
from teleglas_common.bus.dead_letter import twin
from teleglas_common.bus.encode import EVENT_ID, decode, header
from teleglas_common.bus.memory import MemoryBus
from teleglas_common.bus.ports import Outgoing, PoisonError, Record, TopicPartition
from teleglas_common.testing import eventually
from teleglas_contracts.topic import Topic
from teleglas_contracts.topics import MARKET_CANDLES_V1, MARKET_SUMMARIES_V1, MARKET_TRADES_V1
from teleglas_gateway.channels import CHANNELS
from teleglas_gateway.stream.burials import Burials
from teleglas_gateway.stream.context import StreamSettings
from teleglas_gateway.testing import MemoryClaims
from teleglas_gateway.testing.edge import make_bus, open_streams

ALONE = tuple(
    replace(channel, buries_poison=channel.topic in (MARKET_CANDLES_V1, MARKET_SUMMARIES_V1))
    for channel in CHANNELS
)
"""As if no consumer group read candles and summaries."""


async def poison(bus: MemoryBus, topic: Topic, value: bytes) -> None:
    publisher = bus.publisher()
    await publisher.start()
    await publisher.send(Outgoing(topic.name, 0, b"key", value, (("mark", b"1"),)))
    await publisher.stop()


async def buried(bus: MemoryBus, topic: Topic) -> list[Record]:
    reader = bus.reader({TopicPartition(twin(topic).name, 0): 0})
    await reader.start()
    polled = await reader.poll(max_records=100, timeout_s=0.0)
    await reader.stop()
    return [record for records in polled.values() for record in records]


async def test_poison_of_derived_topics_is_buried_whole_and_once_for_two_pods():
    """Where it was, its bytes and why; the pod that did not claim it writes nothing."""
    bus, claims = await make_bus(), MemoryClaims()
    settings = StreamSettings()
    async with (
        open_streams(settings, bus=bus, claims=claims, channels=ALONE),
        open_streams(settings, bus=bus, claims=MemoryClaims(claims), channels=ALONE) as edge,
    ):
        for topic in (MARKET_CANDLES_V1, MARKET_SUMMARIES_V1, MARKET_TRADES_V1):
            await poison(bus, topic, b"no message")

        async def assert_buried() -> None:
            for topic in (MARKET_CANDLES_V1, MARKET_SUMMARIES_V1):
                records = await buried(bus, topic)
                assert len(records) == 1
                (record,) = records
                letter = decode(record)
                assert isinstance(letter, DeadLetter)
                place = (letter.topic, letter.partition, letter.offset)
                assert place == (topic.name, 0, 0)
                assert (letter.key, letter.value) == (b"key", b"no message")
                assert letter.cause
                assert letter.consumer == "gateway"
                event_id = header(record.headers, EVENT_ID)
                assert event_id == f"{topic.name}:0:0:gateway".encode()

        await eventually(assert_buried)
        assert edge.streams.hub.is_live
    assert await buried(bus, MARKET_TRADES_V1) == []


async def test_without_the_claims_store_every_pod_writes_with_the_same_id():
    """A repeat is better than a loss, and consumers know it by its event id."""
    bus, first, second = await make_bus(), MemoryClaims(), MemoryClaims()
    first.away = second.away = True
    async with (
        open_streams(StreamSettings(), bus=bus, claims=first, channels=ALONE),
        open_streams(StreamSettings(), bus=bus, claims=second, channels=ALONE),
    ):
        await poison(bus, MARKET_CANDLES_V1, b"no message")

        async def assert_repeated() -> None:
            records = await buried(bus, MARKET_CANDLES_V1)
            assert len(records) == 2
            assert len({header(record.headers, EVENT_ID) for record in records}) == 1

        await eventually(assert_repeated)


async def test_letters_wait_while_the_log_takes_none_and_reading_waits_at_the_bound():
    """An outage loses no letter and fills no queue without end."""
    bus = await make_bus(MemoryBus(delivery_timeout_s=0.01))
    burials = Burials(bus, MemoryClaims(), max_bytes=1, back_off_s=0.01)
    await burials.start()
    bus.stall()
    record = Record(MARKET_CANDLES_V1.name, 0, 7, b"key", b"no message", (), 1)
    burials.add(MARKET_CANDLES_V1, record, PoisonError("unreadable", "expected a message"))
    waiting = asyncio.create_task(burials.room())
    done, _ = await asyncio.wait({waiting}, timeout=0.05)
    assert not done
    bus.recover()
    await asyncio.wait_for(waiting, 5)
    letters = [decode(one) for one in await buried(bus, MARKET_CANDLES_V1)]
    assert {letter.offset for letter in letters if isinstance(letter, DeadLetter)} == {7}
    await burials.stop()
