"""Carries aiokafka's rebalance callbacks over to the task that polls."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from aiokafka import ConsumerRebalanceListener
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.cluster import ClusterMetadata
from aiokafka.coordinator.assignors.abstract import AbstractPartitionAssignor
from aiokafka.coordinator.protocol import (
    ConsumerProtocolMemberAssignment,
    ConsumerProtocolMemberMetadata,
)

from teleglas_common.bus.assign import co_assign
from teleglas_common.bus.ports import TopicPartition

__all__ = ["Change", "NumberAssignor", "RebalanceBridge"]


class NumberAssignor(AbstractPartitionAssignor):
    """Co-assigns partition numbers: see `co_assign`."""

    name = "teleglas-numbers"
    version = 0

    @classmethod
    def assign(
        cls, cluster: ClusterMetadata, members: Mapping[str, ConsumerProtocolMemberMetadata]
    ) -> dict[str, ConsumerProtocolMemberAssignment]:
        topics = {member: list(data.subscription) for member, data in members.items()}
        counts: dict[str, int] = {}
        for topic in sorted({topic for subscribed in topics.values() for topic in subscribed}):
            partitions = cluster.partitions_for_topic(topic)
            if partitions:
                counts[topic] = len(partitions)
        assignments: dict[str, ConsumerProtocolMemberAssignment] = {}
        for member, owned in co_assign(counts, topics).items():
            by_topic: dict[str, list[int]] = {}
            for topic, number in owned:
                by_topic.setdefault(topic, []).append(number)
            assignments[member] = ConsumerProtocolMemberAssignment(
                cls.version, sorted(by_topic.items()), b""
            )
        return assignments

    @classmethod
    def metadata(cls, topics: Iterable[str]) -> ConsumerProtocolMemberMetadata:
        return ConsumerProtocolMemberMetadata(cls.version, sorted(topics), b"")

    @classmethod
    def on_assignment(cls, assignment: ConsumerProtocolMemberAssignment) -> None:
        """Nothing is remembered between two assignments."""


@dataclass(slots=True)
class Change:
    """Partitions that came or went; aiokafka's coordinator waits for `done`."""

    assigned: bool
    partitions: list[TopicPartition]
    done: asyncio.Future[None] = field(repr=False)


class RebalanceBridge(ConsumerRebalanceListener):
    """Queues the changes of one client (at most one is open at a time) and wakes the poll."""

    def __init__(self) -> None:
        self.pending: asyncio.Future[Change] = asyncio.get_running_loop().create_future()
        self.moving = True
        """No assignment is in force: nothing may be polled."""
        self._closed = False

    async def on_partitions_revoked(self, revoked: Collection[KafkaPartition]) -> None:
        self.moving = True
        await self._announce(False, revoked)

    async def on_partitions_assigned(self, assigned: Collection[KafkaPartition]) -> None:
        await self._announce(True, assigned)

    def finish(self, change: Change) -> None:
        """The listener has dealt with it."""
        self.pending = asyncio.get_running_loop().create_future()
        self.moving = not change.assigned
        if not change.done.done():
            change.done.set_result(None)

    def close(self) -> None:
        """Let the coordinator go on without us: the client is being stopped."""
        self._closed = True
        if self.pending.done() and not self.pending.result().done.done():
            self.pending.result().done.set_result(None)

    async def _announce(self, assigned: bool, partitions: Collection[KafkaPartition]) -> None:
        if self._closed:
            return
        done = asyncio.get_running_loop().create_future()
        ours = sorted(TopicPartition(tp.topic, tp.partition) for tp in partitions)
        self.pending.set_result(Change(assigned, ours, done))
        await done
