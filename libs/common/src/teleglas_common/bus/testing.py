"""What tests of anything on the bus need: topics of their own, numbered records, a shard that
remembers.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress

from teleglas.market.v1.progress_pb2 import Progress
from teleglas_common.bus.encode import PRODUCED_AT, SCHEMA
from teleglas_common.bus.ports import (
    EARLIEST,
    Bus,
    Incoming,
    Outgoing,
    PoisonError,
    Record,
    TopicPartition,
)
from teleglas_common.testing import eventually
from teleglas_contracts.topic import PartitionBy, Topic

__all__ = [
    "MemoryStore",
    "RememberingShard",
    "crash",
    "make_topic",
    "number_of",
    "numbered",
    "publish",
    "read_all",
    "remember",
    "until",
    "until_stored",
]

_SCHEMA = Progress.DESCRIPTOR.full_name


def make_topic(kind: str = "events", *, partitions: int = 4) -> Topic:
    """A topic of its own for one test, with a dead-letter twin; it carries Progress messages."""
    name = f"test.{secrets.token_hex(4)}.{kind}.v1"
    return Topic(
        name=name,
        purpose="A test.",
        owner="tests",
        key="subject",
        partition_by=PartitionBy.KEY,
        schemas=(_SCHEMA,),
        producers=("tests",),
        consumers=("tests",),
        partitions=partitions,
        compacted=False,
        retention_ms=None,
        dead_letter=f"{name}.dlt",
    )


def numbered(topic: Topic, partition: int, number: int, *, source: str = "test") -> Outgoing:
    """A record that carries a number."""
    return Outgoing(
        topic.name,
        partition,
        b"%d" % number,
        Progress(source=source, ts_event=number).SerializeToString(),
        ((SCHEMA, _SCHEMA.encode()), (PRODUCED_AT, b"0")),
    )


def number_of(record: Record) -> int:
    """The number that a record carries."""
    return int(Progress.FromString(record.value or b"").ts_event)


async def publish(bus: Bus, records: Sequence[Outgoing]) -> None:
    """Append records and wait for them."""
    publisher = bus.publisher()
    await publisher.start()
    for record in records:
        await publisher.send(record)
    await publisher.stop()


async def read_all(
    bus: Bus, topic: str, *, timeout_s: float = 30.0
) -> dict[TopicPartition, list[Record]]:
    """Read everything that a topic holds now, per partition."""
    begins, ends = await bus.begins([topic]), await bus.ends([topic])
    found: dict[TopicPartition, list[Record]] = {partition: [] for partition in ends}
    missing = {partition for partition in ends if begins[partition] < ends[partition]}
    reader = bus.reader(dict.fromkeys(ends, EARLIEST))
    await reader.start()
    deadline = time.monotonic() + timeout_s
    while missing:
        if time.monotonic() > deadline:
            raise TimeoutError(f"expected {topic} up to {ends}, misses {sorted(missing)}")
        for partition, records in (await reader.poll(max_records=5000, timeout_s=0.2)).items():
            found[partition] += records
            if records[-1].offset >= ends[partition] - 1:
                missing.discard(partition)
    await reader.stop()
    return found


class MemoryStore:
    """A database as a shard sees it: numbers and offsets of a checkpoint are stored as one."""

    def __init__(self) -> None:
        self.numbers: dict[TopicPartition, tuple[int, ...]] = {}
        self.offsets: dict[int, dict[str, int]] = {}
        self.checkpoints = 0

    def save(
        self,
        number: int,
        numbers: Mapping[TopicPartition, Sequence[int]],
        offsets: Mapping[str, int],
    ) -> None:
        self.numbers.update({partition: tuple(seen) for partition, seen in numbers.items()})
        self.offsets[number] = dict(offsets)
        self.checkpoints += 1


class RememberingShard:
    """Remembers the numbers of the records that it was handed, in order."""

    def __init__(self, number: int, store: MemoryStore) -> None:
        self.number = number
        self.seen: dict[TopicPartition, list[int]] = defaultdict(list)
        self._store = store

    async def restore(self) -> Mapping[str, int]:
        for partition, numbers in self._store.numbers.items():
            if partition.partition == self.number:
                self.seen[partition] = list(numbers)
        return self._store.offsets.get(self.number, {})

    async def checkpoint(self, offsets: Mapping[str, int]) -> None:
        self._store.save(self.number, self.seen, offsets)

    async def close(self) -> None: ...


async def until(holds: Callable[[], object], *, timeout_s: float = 30.0) -> None:
    """Return as soon as `holds()` is true; TimeoutError after `timeout_s`."""
    async with asyncio.timeout(timeout_s):
        while not holds():  # noqa: ASYNC110 - what is awaited has no event to wait for
            await asyncio.sleep(0.01)


async def remember(shard: RememberingShard, incoming: Incoming[Progress]) -> None:
    """A handler for RememberingShard; a negative number is poison."""
    number = incoming.message.ts_event
    if number < 0:
        raise PoisonError("refused_value", f"expected a number of 0 or more, was {number}")
    record = incoming.record
    shard.seen[TopicPartition(record.topic, record.partition)].append(number)


async def until_stored(
    bus: Bus,
    topics: Sequence[Topic],
    working: asyncio.Task[None],
    stored: Callable[[], Awaitable[Mapping[tuple[str, int], int]]],
    timeout_s: float,
) -> None:
    """Wait until a running worker has stored offsets at the ends that topics have now; `stored`
    gives them by topic and partition number. Raises what the worker ended with.
    """
    ends = await bus.ends([topic.name for topic in topics])

    async def is_done() -> bool:
        if working.done():
            working.result()
        found = await stored()
        return all(found.get(at, 0) >= end for at, end in ends.items())

    await eventually(is_done, timeout_s=timeout_s, every_s=0.02)


async def crash(working: asyncio.Task[None]) -> None:
    """End a worker with its shards, without another checkpoint."""
    for task in asyncio.all_tasks():
        if task is working or task.get_name().startswith("shard-"):
            task.cancel()
    with suppress(asyncio.CancelledError):
        await working
