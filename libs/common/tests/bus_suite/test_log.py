"""What every bus does as a log: order, partitions, headers, positions, epochs."""

import asyncio
from collections.abc import Callable

import pytest

from teleglas_common.bus.epochs import read_epochs
from teleglas_common.bus.ports import (
    EARLIEST,
    LATEST,
    Bus,
    BusError,
    Outgoing,
    PublishError,
    TopicPartition,
)
from teleglas_common.bus.testing import make_topic, number_of, numbered, publish, read_all


async def test_publish_many_keeps_the_order_of_each_partition(bus: Bus) -> None:
    """Records of one partition come back in the order in which they were sent."""
    topic = make_topic()
    await bus.create([topic])
    await publish(bus, [numbered(topic, n % 4, n) for n in range(5_000)])
    for partition, records in (await read_all(bus, topic.name)).items():
        assert [number_of(r) for r in records] == list(range(partition.partition, 5_000, 4))
        assert [r.offset for r in records] == list(range(1_250))


async def test_publish_returns_key_value_headers_and_append_time(bus: Bus) -> None:
    """What was sent is what is read, on the partition that was named."""
    topic = make_topic()
    await bus.create([topic])
    headers = (("schema", b"x"), ("event-id", b"1"), ("event-id", b"2"), ("empty", b""))
    await publish(
        bus,
        [
            Outgoing(topic.name, 3, b"key", b"value", headers),
            Outgoing(topic.name, 3, None, b"", ()),
            Outgoing(topic.name, 3, b"gone", None, ()),
        ],
    )
    records = (await read_all(bus, topic.name))[TopicPartition(topic.name, 3)]
    assert [(r.key, r.value, r.headers) for r in records] == [
        (b"key", b"value", headers),
        (None, b"", ()),
        (b"gone", None, ()),
    ]
    assert all(r.timestamp_ms > 1_600_000_000_000 for r in records)


async def test_flush_returns_when_every_record_is_in_the_log(bus: Bus) -> None:
    """After a flush the ends cover all that was sent."""
    topic = make_topic()
    await bus.create([topic])
    publisher = bus.publisher()
    await publisher.start()
    for n in range(300):
        await publisher.send(numbered(topic, 1, n))
    await publisher.flush()
    assert (await bus.ends([topic.name]))[TopicPartition(topic.name, 1)] == 300
    await publisher.stop()


async def test_publish_large_record_arrives_whole(bus: Bus) -> None:
    """A record of 3 MiB is not split, cut or refused."""
    topic = make_topic()
    await bus.create([topic])
    value = bytes(range(256)) * (3 << 12)
    await publish(bus, [Outgoing(topic.name, 0, b"k", value), numbered(topic, 0, 7)])
    records = (await read_all(bus, topic.name))[TopicPartition(topic.name, 0)]
    assert records[0].value == value
    assert number_of(records[1]) == 7


async def test_publish_after_stop_is_refused(bus: Bus) -> None:
    """A stopped publisher takes nothing."""
    topic = make_topic()
    await bus.create([topic])
    publisher = bus.publisher()
    await publisher.start()
    await publisher.stop()
    with pytest.raises(PublishError):
        await publisher.send(numbered(topic, 0, 1))


async def test_concurrent_publishers_lose_nothing(bus: Bus) -> None:
    """Several publishers on one partition interleave, each in its own order."""
    topic = make_topic(partitions=1)
    await bus.create([topic])
    streams = [[numbered(topic, 0, n, source=str(p)) for n in range(400)] for p in range(3)]
    await asyncio.gather(*(publish(bus, stream) for stream in streams))
    records = (await read_all(bus, topic.name))[TopicPartition(topic.name, 0)]
    sent = [[r.value for r in stream] for stream in streams]
    for stream in sent:
        assert [r.value for r in records if r.value in set(stream)] == stream


async def test_reader_starts_at_earliest_latest_or_an_offset(bus: Bus) -> None:
    """Each partition starts where its position says."""
    topic = make_topic(partitions=3)
    await bus.create([topic])
    await publish(bus, [numbered(topic, p, n) for n in range(10) for p in range(3)])
    first, middle, last = (TopicPartition(topic.name, p) for p in range(3))
    reader = bus.reader({first: EARLIEST, middle: 4, last: LATEST})
    await reader.start()
    await publish(bus, [numbered(topic, 2, 99)])
    seen: dict[TopicPartition, list[int]] = {first: [], middle: [], last: []}
    while sum(map(len, seen.values())) < 17:
        for partition, records in (await reader.poll(max_records=4, timeout_s=10)).items():
            seen[partition] += [number_of(r) for r in records]
    await reader.seek(middle, 8)
    again = (await reader.poll(max_records=10, timeout_s=10))[middle]
    await reader.stop()
    assert seen == {first: list(range(10)), middle: list(range(4, 10)), last: [99]}
    assert [number_of(r) for r in again] == [8, 9]


async def test_poll_gives_up_after_its_timeout(bus: Bus) -> None:
    """A poll of a quiet partition returns nothing in time."""
    topic = make_topic(partitions=1)
    await bus.create([topic])
    reader = bus.reader({TopicPartition(topic.name, 0): EARLIEST})
    await reader.start()
    began = asyncio.get_running_loop().time()
    assert not await reader.poll(max_records=10, timeout_s=0.2)
    assert 0.1 < asyncio.get_running_loop().time() - began < 5
    await reader.stop()


async def test_begins_and_ends_name_every_partition(bus: Bus) -> None:
    """Empty partitions begin and end at 0."""
    topic, other = make_topic(partitions=2), make_topic(partitions=1)
    await bus.create([topic, other])
    await publish(bus, [numbered(topic, 1, n) for n in range(3)])
    names = [topic.name, other.name]
    assert await bus.begins(names) == dict.fromkeys(await bus.ends(names), 0)
    assert await bus.ends(names) == {
        TopicPartition(topic.name, 0): 0,
        TopicPartition(topic.name, 1): 3,
        TopicPartition(other.name, 0): 0,
    }


async def test_ends_of_a_missing_topic_fail_by_name(bus: Bus) -> None:
    """A topic that is not there is named in the error."""
    with pytest.raises(BusError, match=r"test\.missing"):
        await bus.ends(["test.missing"])


async def test_create_twice_keeps_the_epoch_and_makes_the_twin(bus: Bus) -> None:
    """An epoch is written once, whoever asks; the dead-letter twin has one partition."""
    topics = [make_topic(), make_topic()]
    first = await bus.create(topics[:1])
    both, again = await asyncio.gather(bus.create(topics), bus.create(topics))
    assert first.items() <= both.items()
    assert both == again
    assert len(set(both.values())) == 2
    assert both.items() <= (await read_epochs(bus)).items()
    assert len(await bus.ends([f"{topics[0].name}.dlt"])) == 1


async def test_publisher_holds_no_more_than_its_bound(make_bus: Callable[[int], Bus]) -> None:
    """`send` waits at the bound: what is in flight never exceeds it, and nothing is lost."""
    bus = make_bus(2_000)
    topic = make_topic(partitions=2)
    await bus.create([topic])
    publisher = bus.publisher()
    await publisher.start()
    highest = 0
    for n in range(1_000):
        await publisher.send(numbered(topic, n % 2, n))
        highest = max(highest, publisher.in_flight_bytes)  # type: ignore[attr-defined]
    await publisher.stop()
    assert highest <= 2_000
    assert sum((await bus.ends([topic.name])).values()) == 1_000
