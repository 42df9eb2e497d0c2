"""A bus in memory for unit tests: it behaves as Kafka does, in one process and without waiting."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from teleglas_common.bus.epochs import ensure_epochs
from teleglas_common.bus.memory_group import MemoryConsumer, MemoryGroup, drain
from teleglas_common.bus.memory_log import MemoryLog, Signal
from teleglas_common.bus.ports import (
    BusError,
    Outgoing,
    PublishError,
    Record,
    TopicPartition,
)
from teleglas_contracts.topic import Topic
from teleglas_contracts.topics import CONTROL_TOPICS_V1

__all__ = ["MemoryBus", "MemoryPublisher", "MemoryReader"]


class MemoryBus:
    """Holds the log and its groups. `now_ms` stamps appended records.

    `stall` and `recover` play a broker that does not answer for a while.
    """

    def __init__(
        self,
        *,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        max_records_per_partition: int = 100_000,
        max_in_flight_bytes: int = 16 << 20,
        delivery_timeout_s: float = 60.0,
    ) -> None:
        self.log = MemoryLog(now_ms, max_records_per_partition)
        self._groups: dict[str, MemoryGroup] = {}
        self._outage = _Outage()
        self._max_in_flight_bytes = max_in_flight_bytes
        self._delivery_timeout_s = delivery_timeout_s

    def stall(self) -> None:
        """Acknowledge nothing until `recover`."""
        self._outage.on = True

    def recover(self) -> None:
        self._outage.on = False
        self._outage.over.notify()

    def publisher(self) -> MemoryPublisher:
        return MemoryPublisher(
            self.log, self._outage, self._max_in_flight_bytes, self._delivery_timeout_s
        )

    def consumer(self, topics: Sequence[str], group: str) -> MemoryConsumer:
        return MemoryConsumer(
            self.log, self._groups.setdefault(group, MemoryGroup(self.log)), topics
        )

    def reader(
        self,
        positions: Mapping[TopicPartition, int],
        *,
        follows: bool = False,  # noqa: ARG002 - nothing to save in memory
    ) -> MemoryReader:
        return MemoryReader(self.log, positions)

    async def create(self, topics: Sequence[Topic]) -> Mapping[str, str]:
        self.log.create(CONTROL_TOPICS_V1.name, CONTROL_TOPICS_V1.partitions)
        created = {topic.name for topic in topics if self.log.create(topic.name, topic.partitions)}
        for topic in topics:
            if topic.dead_letter is not None:
                self.log.create(topic.dead_letter, 1)
        publisher = self.publisher()
        await publisher.start()
        try:
            return await ensure_epochs(self, publisher, topics, created)
        finally:
            await publisher.stop()

    async def begins(self, topics: Sequence[str]) -> Mapping[TopicPartition, int]:
        return {partition: self.log.begin(partition) for partition in self._partitions(topics)}

    async def ends(self, topics: Sequence[str]) -> Mapping[TopicPartition, int]:
        return {partition: self.log.end(partition) for partition in self._partitions(topics)}

    def _partitions(self, topics: Sequence[str]) -> list[TopicPartition]:
        return [
            TopicPartition(topic, number)
            for topic in topics
            for number in range(self.log.partitions(topic))
        ]


class _Outage:
    def __init__(self) -> None:
        self.on = False
        self.over = Signal()


class MemoryPublisher:
    """Appends at once, or holds records back while the bus is stalled."""

    def __init__(
        self, log: MemoryLog, outage: _Outage, max_in_flight_bytes: int, delivery_timeout_s: float
    ) -> None:
        self._log = log
        self._outage = outage
        self._max_in_flight_bytes = max_in_flight_bytes
        self._delivery_timeout_s = delivery_timeout_s
        self._held: deque[Outgoing] = deque()
        self._started = False
        self._error: PublishError | None = None
        self.in_flight_bytes = 0

    async def start(self) -> None:
        self._started = True

    async def send(self, record: Outgoing) -> None:
        size = record.size_bytes
        over = self.in_flight_bytes + size > self._max_in_flight_bytes
        if self._outage.on and self._held and over:
            await self._settle()
        self._check()
        self._deliver_held()
        self._held.append(record)
        self.in_flight_bytes += size
        self._deliver_held()

    async def flush(self) -> None:
        if self._held:
            await self._settle()
        self._check()

    async def stop(self) -> None:
        if self._started and self._error is None:
            await self.flush()
        self._started = False

    async def _settle(self) -> None:
        """Wait for the end of a stall; records that outlive the delivery time-out fail for good."""
        deadline = asyncio.get_running_loop().time() + self._delivery_timeout_s
        while self._outage.on and self._error is None:
            left_s = deadline - asyncio.get_running_loop().time()
            if left_s <= 0:
                self._error = PublishError(
                    f"expected acknowledgements within {self._delivery_timeout_s} s,"
                    f" {len(self._held)} records have none"
                )
                break
            await self._outage.over.wait(left_s)
        self._deliver_held()

    def _deliver_held(self) -> None:
        while self._held and not self._outage.on and self._error is None:
            record = self._held.popleft()
            self.in_flight_bytes -= record.size_bytes
            try:
                self._log.append(record)
            except BusError as error:
                self._error = PublishError(str(error))

    def _check(self) -> None:
        if not self._started:
            raise PublishError("expected a started publisher, was stopped")
        if self._error is not None:
            raise self._error


class MemoryReader:
    """Reads given partitions from given positions."""

    def __init__(self, log: MemoryLog, positions: Mapping[TopicPartition, int]) -> None:
        self._log = log
        self._wanted = dict(positions)
        self._positions: dict[TopicPartition, int] = {}
        self._turn = 0

    async def start(self) -> None:
        for partition, position in self._wanted.items():
            if partition.partition >= self._log.partitions(partition.topic):
                raise BusError(f"expected a partition that exists, was {partition}")
            self._positions[partition] = self._log.resolve(partition, position)

    async def poll(
        self, *, max_records: int, timeout_s: float
    ) -> Mapping[TopicPartition, Sequence[Record]]:
        await asyncio.sleep(0)
        deadline = asyncio.get_running_loop().time() + timeout_s
        while True:
            self._turn += 1
            polled = drain(self._log, self._positions, max_records, self._turn)
            self._positions.update({p: records[-1].offset + 1 for p, records in polled.items()})
            left_s = deadline - asyncio.get_running_loop().time()
            if polled or left_s <= 0:
                return polled
            await self._log.changed.wait(left_s)

    async def seek(self, partition: TopicPartition, offset: int) -> None:
        if partition not in self._positions:
            raise BusError(f"expected one of {sorted(self._positions)}, was {partition}")
        self._positions[partition] = self._log.resolve(partition, offset)

    async def stop(self) -> None:
        self._positions.clear()
