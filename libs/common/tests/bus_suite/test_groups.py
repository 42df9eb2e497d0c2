"""What every bus does with consumer groups: co-assignment, commits, rebalances."""

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from teleglas_common.bus.ports import (
    Bus,
    CommitRefusedError,
    GroupConsumer,
    Record,
    TopicPartition,
)
from teleglas_common.bus.testing import make_topic, number_of, numbered, publish, until
from teleglas_contracts.topic import Topic


class Member:
    """Polls in a task, keeps what it got, commits when a partition goes."""

    def __init__(self, bus: Bus, topics: Sequence[Topic], group: str) -> None:
        self.consumer: GroupConsumer = bus.consumer([t.name for t in topics], group)
        self.owned: set[TopicPartition] = set()
        self.got: list[Record] = []
        self.next: dict[TopicPartition, int] = {}
        self._task: asyncio.Task[None] | None = None

    async def assigned(self, partitions: Sequence[TopicPartition]) -> None:
        assert not self.owned
        self.owned = set(partitions)

    async def revoked(self, partitions: Sequence[TopicPartition]) -> None:
        assert set(partitions) <= self.owned
        await self.consumer.commit(self.next)
        self.next = {}
        self.owned -= set(partitions)

    async def start(self) -> None:
        await self.consumer.start(self)
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait({self._task})
        await self.consumer.stop()

    async def _run(self) -> None:
        while True:
            self.take(await self.consumer.poll(max_records=50, timeout_s=0.1))

    def take(self, polled: Mapping[TopicPartition, Sequence[Record]]) -> None:
        for partition, records in polled.items():
            assert partition in self.owned
            self.got += records
            self.next[partition] = records[-1].offset + 1


async def test_members_share_numbers_not_partitions(bus: Bus) -> None:
    """Who owns a number of one topic owns it of all, and every partition has one owner."""
    topics = [make_topic(), make_topic(), make_topic(partitions=1)]
    await bus.create(topics)
    members = [Member(bus, topics, "co-assigned") for _ in range(2)]
    for member in members:
        await member.start()
    await until(lambda: sum(len(m.owned) for m in members) == 9 and all(m.owned for m in members))
    for member in members:
        numbers = {
            topic.name: {p.partition for p in member.owned if p.topic == topic.name}
            for topic in topics
        }
        assert numbers[topics[0].name] == numbers[topics[1].name]
        assert numbers[topics[2].name] == numbers[topics[0].name] & {0}
    for member in members:
        await member.stop()


async def test_commits_are_where_the_group_goes_on(bus: Bus) -> None:
    """A new member starts behind the last commit; without one at the earliest record."""
    topic = make_topic(partitions=2)
    await bus.create([topic])
    await publish(bus, [numbered(topic, p, n) for n in range(20) for p in range(2)])
    first = Member(bus, [topic], "commits")
    await first.start()
    await until(lambda: len(first.got) == 40)
    await first.consumer.commit({TopicPartition(topic.name, 0): 15})
    assert await first.consumer.committed(TopicPartition(topic.name, 0)) == 15
    assert await first.consumer.committed(TopicPartition(topic.name, 1)) is None
    first.next = {}
    await first.stop()
    second = Member(bus, [topic], "commits")
    await second.start()
    await until(lambda: len(second.got) == 25)
    await second.stop()
    by_partition = [[number_of(r) for r in second.got if r.partition == p] for p in range(2)]
    assert by_partition == [list(range(15, 20)), list(range(20))]


async def test_rebalance_loses_nothing_and_repeats_nothing(bus: Bus) -> None:
    """Members that commit when told come and go under load: each record is seen once, in order."""
    topic = make_topic(partitions=4)
    await bus.create([topic])
    members = [Member(bus, [topic], "rebalanced") for _ in range(3)]
    publisher = bus.publisher()
    await publisher.start()

    async def send(start: int, stop: int) -> None:
        for n in range(start, stop):
            await publisher.send(numbered(topic, n % 4, n))
            if n % 20 == 0:
                await asyncio.sleep(0.002)
        await publisher.flush()

    def seen() -> int:
        return sum(len(member.got) for member in members)

    await members[0].start()
    await asyncio.gather(send(0, 1_000), members[1].start())
    await until(lambda: members[1].owned)
    await asyncio.gather(send(1_000, 2_000), members[2].start())
    await until(lambda: members[2].owned)
    await asyncio.gather(send(2_000, 3_000), members[0].stop())
    await until(lambda: seen() == 3_000)
    await publisher.stop()
    await asyncio.gather(members[1].stop(), members[2].stop())
    got = [record for member in members for record in member.got]
    assert sorted(number_of(r) for r in got) == list(range(3_000))
    for member in members:
        for p in range(4):
            offsets = [r.offset for r in member.got if r.partition == p]
            assert offsets == sorted(offsets)


async def test_paused_partition_waits_and_seek_moves(bus: Bus) -> None:
    """A paused partition gives nothing while others go on; after a seek it starts there."""
    topic = make_topic(partitions=2)
    await bus.create([topic])
    held, free = TopicPartition(topic.name, 0), TopicPartition(topic.name, 1)
    member = Member(bus, [topic], "paused")
    await member.consumer.start(member)
    while not member.owned:
        member.take(await member.consumer.poll(max_records=10, timeout_s=0.1))
    member.consumer.pause([held])
    await publish(bus, [numbered(topic, p, n) for n in range(10) for p in range(2)])
    while len(member.got) < 10:
        member.take(await member.consumer.poll(max_records=3, timeout_s=1))
    assert {r.partition for r in member.got} == {free.partition}
    assert not await member.consumer.poll(max_records=10, timeout_s=0.3)
    await member.consumer.seek(held, 6)
    member.consumer.resume([held])
    while len(member.got) < 14:
        member.take(await member.consumer.poll(max_records=10, timeout_s=1))
    assert [number_of(r) for r in member.got if r.partition == 0] == [6, 7, 8, 9]
    await member.consumer.stop()


async def test_partition_paused_in_the_middle_goes_on_where_it_was(bus: Bus) -> None:
    """What was fetched of it but not given yet is neither lost nor given twice."""
    topic = make_topic(partitions=2)
    await bus.create([topic])
    held = TopicPartition(topic.name, 0)
    member = Member(bus, [topic], "middle")
    await publish(bus, [numbered(topic, p, n) for n in range(200) for p in range(2)])
    await member.consumer.start(member)
    while not any(r.partition == held.partition for r in member.got):
        member.take(await member.consumer.poll(max_records=10, timeout_s=1))
    for _ in range(5):
        member.consumer.pause([held])
        before = sum(r.partition == held.partition for r in member.got)
        while polled := await member.consumer.poll(max_records=10, timeout_s=0.3):
            member.take(polled)
            assert held not in polled
        await publish(bus, [numbered(topic, 1, 200)])
        member.take(await member.consumer.poll(max_records=10, timeout_s=5))
        assert sum(r.partition == held.partition for r in member.got) == before
        member.consumer.resume([held])
        member.take(await member.consumer.poll(max_records=10, timeout_s=5))
    while sum(r.partition == held.partition for r in member.got) < 200:
        member.take(await member.consumer.poll(max_records=10, timeout_s=1))
    assert [number_of(r) for r in member.got if r.partition == held.partition] == list(range(200))
    await member.consumer.stop()


async def test_wake_ends_a_poll_that_waits(bus: Bus) -> None:
    """Nothing is lost by it."""
    topic = make_topic(partitions=1)
    await bus.create([topic])
    member = Member(bus, [topic], "woken")
    await member.consumer.start(member)
    while not member.owned:
        await member.consumer.poll(max_records=10, timeout_s=0.1)
    polling = asyncio.create_task(member.consumer.poll(max_records=10, timeout_s=30))
    await asyncio.sleep(0.2)
    assert not polling.done()
    member.consumer.wake()
    assert await asyncio.wait_for(polling, 5) == {}
    await publish(bus, [numbered(topic, 0, 1)])
    while not member.got:
        member.take(await member.consumer.poll(max_records=10, timeout_s=1))
    await member.consumer.stop()


async def test_commit_of_a_foreign_partition_is_refused(bus: Bus) -> None:
    """Only the owner of a partition may commit for it."""
    topic = make_topic(partitions=2)
    await bus.create([topic])
    members = [Member(bus, [topic], "foreign") for _ in range(2)]
    for member in members:
        await member.start()
    await until(lambda: all(len(m.owned) == 1 for m in members))
    foreign = next(iter(members[1].owned))
    with pytest.raises(CommitRefusedError):
        await members[0].consumer.commit({foreign: 1})
    for member in members:
        await member.stop()
