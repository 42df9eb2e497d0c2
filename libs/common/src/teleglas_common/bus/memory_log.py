"""The log behind the in-memory bus: partitions with append time and a bound."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from itertools import islice

from teleglas_common.bus.ports import EARLIEST, LATEST, BusError, Outgoing, Record, TopicPartition

__all__ = ["MemoryLog", "Signal"]


class Signal:
    """Wakes every task that waits for it."""

    def __init__(self) -> None:
        self._waiters: set[asyncio.Future[None]] = set()

    def notify(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def wait(self, timeout_s: float) -> None:
        """Return at the next `notify` or after `timeout_s`."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        try:
            await asyncio.wait({waiter}, timeout=timeout_s)
        finally:
            self._waiters.discard(waiter)


class MemoryLog:
    """Holds at most `max_records` a partition: older ones go, as retention would have it."""

    def __init__(self, now_ms: Callable[[], int], max_records: int) -> None:
        self.changed = Signal()
        self._now_ms = now_ms
        self._max_records = max_records
        self._records: dict[TopicPartition, deque[Record]] = {}
        self._ends: dict[TopicPartition, int] = {}
        self._counts: dict[str, int] = {}

    def create(self, topic: str, partitions: int) -> bool:
        """Create a topic; False if it was there."""
        if topic in self._counts:
            return False
        self._counts[topic] = partitions
        for number in range(partitions):
            partition = TopicPartition(topic, number)
            self._records[partition] = deque()
            self._ends[partition] = 0
        return True

    def partitions(self, topic: str) -> int:
        if topic not in self._counts:
            raise BusError(f"expected a topic that exists, was {topic}")
        return self._counts[topic]

    def append(self, record: Outgoing) -> Record:
        partition = TopicPartition(record.topic, record.partition)
        if partition not in self._records:
            raise BusError(f"expected a partition that exists, was {partition}")
        stored = Record(
            topic=record.topic,
            partition=record.partition,
            offset=self._ends[partition],
            key=record.key,
            value=record.value,
            headers=record.headers,
            timestamp_ms=self._now_ms(),
        )
        records = self._records[partition]
        records.append(stored)
        if len(records) > self._max_records:
            records.popleft()
        self._ends[partition] += 1
        self.changed.notify()
        return stored

    def begin(self, partition: TopicPartition) -> int:
        return self._ends[partition] - len(self._records[partition])

    def end(self, partition: TopicPartition) -> int:
        return self._ends[partition]

    def resolve(self, partition: TopicPartition, position: int) -> int:
        """Offset of a position; one that the log does not hold (any more) is the earliest."""
        if position == LATEST:
            return self.end(partition)
        begin = self.begin(partition)
        if position == EARLIEST or not begin <= position <= self.end(partition):
            return begin
        return position

    def read(self, partition: TopicPartition, offset: int, max_records: int) -> list[Record]:
        skip = max(0, offset - self.begin(partition))
        return list(islice(self._records[partition], skip, skip + max_records))
