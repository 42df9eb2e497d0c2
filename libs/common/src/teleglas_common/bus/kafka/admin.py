"""Topics of the cluster: creation and offsets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError, for_code

from teleglas_common.bus.encode import MAX_RECORD_BYTES
from teleglas_common.bus.kafka.calls import bounded, release
from teleglas_common.bus.kafka.settings import KafkaSettings
from teleglas_common.bus.ports import BusError, TopicPartition
from teleglas_contracts.topic import Topic

__all__ = ["KafkaAdmin", "topic_options"]

_HEADROOM_BYTES = 64 << 10
_VISIBLE_TIMEOUT_S = 20.0


def topic_options(topic: Topic) -> dict[str, str]:
    """Kafka's settings of a topic. A dead-letter twin takes what is too large for its topic."""
    is_twin = topic.name.endswith(".dlt")
    limit = (2 if is_twin else 1) * (MAX_RECORD_BYTES + _HEADROOM_BYTES)
    return {
        "cleanup.policy": "compact" if topic.compacted else "delete",
        "retention.ms": str(-1 if topic.retention_ms is None else topic.retention_ms),
        "message.timestamp.type": "LogAppendTime",
        "max.message.bytes": str(limit),
    }


class KafkaAdmin:
    """Asks with short-lived clients: it holds nothing open between two calls."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._counts: dict[str, int] = {}

    async def create(self, topics: Sequence[Topic]) -> set[str]:
        """Create what is missing; return the names that this call created. Nothing is asked for
        where nothing is missing: who may not create topics finds them made.
        """
        created: set[str] = set()
        async with self._client() as admin:
            known = await self._describe(admin, [topic.name for topic in topics])
            wanted = [
                NewTopic(
                    topic.name,
                    topic.partitions,
                    self._settings.replication_factor,
                    topic_configs=topic_options(topic),
                )
                for topic in topics
                if topic.name not in known
            ]
            if wanted:
                created = await self._create(admin, wanted)
            await self._wait_visible(admin, {topic.name: topic.partitions for topic in topics})
        return created

    async def _create(self, admin: AIOKafkaAdminClient, wanted: list[NewTopic]) -> set[str]:
        response: Any = await bounded(
            "create topics", admin.create_topics(wanted), 2 * self._settings.request_timeout_s
        )
        created: set[str] = set()
        for name, code, *message in response.topic_errors:
            error = for_code(code)
            if code == 0:
                created.add(name)
            elif error is not TopicAlreadyExistsError:
                raise BusError(f"expected to create {name}, was {error.__name__}: {message}")
        return created

    async def counts(self, topics: Sequence[str]) -> dict[str, int]:
        """Number of partitions of each topic, which never changes."""
        unknown = [topic for topic in topics if topic not in self._counts]
        if unknown:
            async with self._client() as admin:
                self._counts.update(await self._describe(admin, unknown))
        missing = [topic for topic in topics if topic not in self._counts]
        if missing:
            raise BusError(f"expected topics that exist, {missing} do not")
        return {topic: self._counts[topic] for topic in topics}

    async def offsets(
        self, topics: Sequence[str]
    ) -> tuple[dict[TopicPartition, int], dict[TopicPartition, int]]:
        """First offsets and ends of every partition."""
        counts = await self.counts(topics)
        partitions = [KafkaPartition(t, number) for t, n in counts.items() for number in range(n)]
        timeout_s = 2 * self._settings.request_timeout_s
        options = self._settings.client_options() | {"request_timeout_ms": int(timeout_s * 1000)}
        client = AIOKafkaConsumer(enable_auto_commit=False, **options)
        try:
            await bounded("answer", client.start(), timeout_s)
            # Asked for offsets, aiokafka would learn of one unknown topic at a time, 0.1 s each.
            known = client._client.set_topics(topics)  # noqa: SLF001
            await bounded("describe topics", known, timeout_s)
            begins = await bounded("tell offsets", client.beginning_offsets(partitions), timeout_s)
            ends = await bounded("tell offsets", client.end_offsets(partitions), timeout_s)
        finally:
            await release(client)
        return _ours(begins), _ours(ends)

    @asynccontextmanager
    async def _client(self) -> AsyncIterator[AIOKafkaAdminClient]:
        admin = AIOKafkaAdminClient(**self._settings.client_options())
        try:
            await bounded("answer", admin.start(), self._settings.request_timeout_s)
            yield admin
        finally:
            await bounded("close", admin.close(), self._settings.request_timeout_s)

    async def _wait_visible(self, admin: AIOKafkaAdminClient, wanted: Mapping[str, int]) -> None:
        deadline = asyncio.get_running_loop().time() + _VISIBLE_TIMEOUT_S
        while (seen := await self._describe(admin, sorted(wanted))) != wanted:
            wrong = {t: seen[t] for t in seen if seen[t] > wanted[t]}
            if wrong or asyncio.get_running_loop().time() > deadline:
                raise BusError(f"expected partitions {wanted}, was {wrong or seen}")
            await asyncio.sleep(0.05)

    async def _describe(self, admin: AIOKafkaAdminClient, topics: Sequence[str]) -> dict[str, int]:
        """Partition counts of the topics whose partitions all have a leader."""
        described = await bounded(
            "describe topics",
            admin.describe_topics(list(topics)),
            self._settings.request_timeout_s,
        )
        return {
            topic["topic"]: len(topic["partitions"])
            for topic in described
            if topic["error_code"] == 0 and all(part["leader"] >= 0 for part in topic["partitions"])
        }


def _ours(offsets: Mapping[KafkaPartition, int]) -> dict[TopicPartition, int]:
    return {TopicPartition(tp.topic, tp.partition): offset for tp, offset in offsets.items()}
