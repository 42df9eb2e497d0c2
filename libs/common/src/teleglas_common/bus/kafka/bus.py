"""Apache Kafka behind the bus's ports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from teleglas_common.bus.dead_letter import twin
from teleglas_common.bus.epochs import ensure_epochs
from teleglas_common.bus.kafka.admin import KafkaAdmin
from teleglas_common.bus.kafka.consumer import KafkaGroupConsumer
from teleglas_common.bus.kafka.publisher import KafkaPublisher
from teleglas_common.bus.kafka.reader import KafkaReader
from teleglas_common.bus.kafka.settings import KafkaSettings
from teleglas_common.bus.ports import TopicPartition
from teleglas_contracts.topic import Topic
from teleglas_contracts.topics import CONTROL_TOPICS_V1

__all__ = ["KafkaBus"]


class KafkaBus:
    """Makes publishers, consumers and readers of one cluster. Holds no connection itself."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._admin = KafkaAdmin(settings)

    def publisher(self) -> KafkaPublisher:
        return KafkaPublisher(self._settings)

    def consumer(self, topics: Sequence[str], group: str) -> KafkaGroupConsumer:
        return KafkaGroupConsumer(self._settings, self._admin, topics, group)

    def reader(
        self, positions: Mapping[TopicPartition, int], *, follows: bool = False
    ) -> KafkaReader:
        return KafkaReader(self._settings, self._admin, positions, follows=follows)

    async def create(self, topics: Sequence[Topic]) -> Mapping[str, str]:
        twins = [twin(topic) for topic in topics if topic.dead_letter is not None]
        wanted = dict.fromkeys([CONTROL_TOPICS_V1, *topics, *twins])
        created = await self._admin.create(list(wanted))
        publisher = self.publisher()
        await publisher.start()
        try:
            return await ensure_epochs(self, publisher, topics, created)
        finally:
            await publisher.stop()

    async def begins(self, topics: Sequence[str]) -> Mapping[TopicPartition, int]:
        begins, _ = await self._admin.offsets(topics)
        return begins

    async def ends(self, topics: Sequence[str]) -> Mapping[TopicPartition, int]:
        _, ends = await self._admin.offsets(topics)
        return ends
