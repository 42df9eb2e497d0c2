"""Consumer groups of the in-memory bus: eager rebalances with a barrier, as Kafka does them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from teleglas_common.bus.assign import co_assign
from teleglas_common.bus.memory_log import MemoryLog
from teleglas_common.bus.ports import (
    EARLIEST,
    BusError,
    CommitRefusedError,
    Rebalance,
    Record,
    TopicPartition,
)

__all__ = ["MemoryConsumer", "MemoryGroup", "drain"]


class MemoryGroup:
    """Who is in, who owns what, and what was committed."""

    def __init__(self, log: MemoryLog) -> None:
        self.committed: dict[TopicPartition, int] = {}
        self.generation = 0
        self._log = log
        self._members: dict[str, Sequence[str]] = {}
        self._joined: set[str] = set()
        self._made = 0

    def enter(self, topics: Sequence[str]) -> str:
        self._made += 1
        member = f"member-{self._made:04d}"
        self._members[member] = topics
        self._begin_rebalance()
        return member

    def leave(self, member: str) -> None:
        if self._members.pop(member, None) is not None:
            self._begin_rebalance()

    def has(self, member: str) -> bool:
        return member in self._members

    def join(self, member: str) -> None:
        """A member says that it let go of everything."""
        self._joined.add(member)
        self._log.changed.notify()

    @property
    def complete(self) -> bool:
        return self._joined >= self._members.keys()

    def assignment(self, member: str) -> list[TopicPartition]:
        topics = {topic for topics in self._members.values() for topic in topics}
        counts = {topic: self._log.partitions(topic) for topic in topics}
        return sorted(co_assign(counts, self._members)[member])

    def _begin_rebalance(self) -> None:
        self.generation += 1
        self._joined.clear()
        self._log.changed.notify()


class MemoryConsumer:
    """A member of a group; `kill` leaves as a crash would."""

    def __init__(self, log: MemoryLog, group: MemoryGroup, topics: Sequence[str]) -> None:
        self._log = log
        self._group = group
        self._topics = tuple(topics)
        self._member = ""
        self._listener: Rebalance | None = None
        self._joined = 0
        self._active = 0
        self._positions: dict[TopicPartition, int] = {}
        self._paused: set[TopicPartition] = set()
        self._turn = 0
        self._woken = False

    async def start(self, listener: Rebalance) -> None:
        self._listener = listener
        self._member = self._group.enter(self._topics)

    async def poll(
        self, *, max_records: int, timeout_s: float
    ) -> Mapping[TopicPartition, Sequence[Record]]:
        await asyncio.sleep(0)
        self._woken = False
        deadline = asyncio.get_running_loop().time() + timeout_s
        while True:
            await self._follow_group()
            self._turn += 1
            open_positions = {p: o for p, o in self._positions.items() if p not in self._paused}
            polled = drain(self._log, open_positions, max_records, self._turn)
            self._positions.update({p: records[-1].offset + 1 for p, records in polled.items()})
            left_s = deadline - asyncio.get_running_loop().time()
            if polled or left_s <= 0 or self._woken:
                return polled
            await self._log.changed.wait(left_s)

    def wake(self) -> None:
        self._woken = True
        self._log.changed.notify()

    async def seek(self, partition: TopicPartition, offset: int) -> None:
        if partition not in self._positions:
            raise BusError(f"expected an assigned partition, was {partition}")
        self._positions[partition] = self._log.resolve(partition, offset)

    def pause(self, partitions: Sequence[TopicPartition]) -> None:
        self._paused.update(partitions)

    def resume(self, partitions: Sequence[TopicPartition]) -> None:
        self._paused.difference_update(partitions)

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        foreign = sorted(offsets.keys() - self._positions.keys())
        if foreign or not self._group.has(self._member):
            raise CommitRefusedError(f"expected owned partitions, {self._member} has not {foreign}")
        self._group.committed.update(offsets)

    async def committed(self, partition: TopicPartition) -> int | None:
        return self._group.committed.get(partition)

    def known_ends(self, max_age_s: float) -> Mapping[TopicPartition, int]:  # noqa: ARG002
        return {p: self._log.end(p) for p in self._positions if p not in self._paused}

    async def stop(self) -> None:
        if self._group.has(self._member):
            await self._let_go()
            self._group.leave(self._member)

    def kill(self) -> None:
        """Vanish: no callback, no commit, and none accepted any more."""
        self._positions.clear()
        self._group.leave(self._member)

    async def _follow_group(self) -> None:
        group = self._group
        if not group.has(self._member):
            raise BusError(f"expected a started member, was {self._member or 'none'}")
        while self._joined != group.generation:
            joining = group.generation
            await self._let_go()
            self._joined = joining
            if joining == group.generation:
                group.join(self._member)
        if group.complete and self._active != group.generation:
            self._active = group.generation
            for partition in group.assignment(self._member):
                position = group.committed.get(partition, EARLIEST)
                self._positions[partition] = self._log.resolve(partition, position)
            if self._listener is not None:
                await self._listener.assigned(sorted(self._positions))

    async def _let_go(self) -> None:
        if self._positions and self._listener is not None:
            await self._listener.revoked(sorted(self._positions))
        self._positions.clear()
        self._paused.clear()


def drain(
    log: MemoryLog, positions: Mapping[TopicPartition, int], max_records: int, turn: int
) -> dict[TopicPartition, list[Record]]:
    """Read from the positions up to `max_records`, starting with another partition each turn."""
    partitions = sorted(positions)
    start = turn % len(partitions) if partitions else 0
    polled: dict[TopicPartition, list[Record]] = {}
    for partition in partitions[start:] + partitions[:start]:
        if max_records <= 0:
            break
        records = log.read(partition, positions[partition], max_records)
        if records:
            polled[partition] = records
            max_records -= len(records)
    return polled
