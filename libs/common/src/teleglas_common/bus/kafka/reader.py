"""Reads given partitions of Kafka without a group."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence

from aiokafka import AIOKafkaConsumer
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.errors import KafkaError

from teleglas_common.bus.kafka.admin import KafkaAdmin
from teleglas_common.bus.kafka.calls import bounded, last_answers, release, to_records
from teleglas_common.bus.kafka.guard import StallGuard
from teleglas_common.bus.kafka.settings import KafkaSettings
from teleglas_common.bus.kafka.sparing import Sparing
from teleglas_common.bus.ports import (
    EARLIEST,
    LATEST,
    BusError,
    Record,
    TopicPartition,
)

__all__ = ["KafkaReader"]

_RETRY_S = 0.5
_log = logging.getLogger(__name__)


class KafkaReader:
    """Keeps its own positions, so that a client that hangs or breaks is replaced where it stood.

    A position that the log does not hold any more is read as the earliest one: whoever needs to
    know compares the first offset with the one that it asked for.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        admin: KafkaAdmin,
        positions: Mapping[TopicPartition, int],
        *,
        follows: bool = False,
    ) -> None:
        self._settings = settings
        self._gathering = settings.gathering() if follows else None
        self._admin = admin
        self._wanted = dict(positions)
        self._positions: dict[TopicPartition, int] = {}
        self._client: AIOKafkaConsumer | None = None
        self._sparing: Sparing | None = None
        topics = sorted({partition.topic for partition in positions})
        self._topics = topics
        self._guard = StallGuard(
            admin,
            topics,
            settings.stall_after_s,
            lambda: self._positions,
            lambda max_age_s: last_answers(self._client, self._positions, max_age_s),
        )

    async def start(self) -> None:
        begins, ends = await self._admin.offsets(self._topics)
        for partition, position in self._wanted.items():
            if partition not in begins:
                raise BusError(f"expected a partition that exists, was {partition}")
            named = {EARLIEST: begins[partition], LATEST: ends[partition]}
            self._positions[partition] = named.get(position, position)
        await self._connect()
        self._guard.start()

    async def poll(
        self, *, max_records: int, timeout_s: float
    ) -> Mapping[TopicPartition, Sequence[Record]]:
        self._guard.polled()
        if self._guard.verdict is not None:
            await self._disconnect(self._guard.verdict)
        if self._client is None:
            return await self._reconnect(timeout_s)
        try:
            raw = await self._client.getmany(
                timeout_ms=int(timeout_s * 1000), max_records=max_records
            )
        except KafkaError as error:
            await self._disconnect(repr(error))
            return {}
        polled: dict[TopicPartition, list[Record]] = {}
        for source, records in raw.items():
            partition = TopicPartition(source.topic, source.partition)
            polled[partition] = to_records(records)
            self._positions[partition] = records[-1].offset + 1
        if self._sparing is not None:
            self._sparing.spoke(raw)
        if self._gathering is not None:
            self._gathering.came(sum(map(len, polled.values())))
        return polled

    async def seek(self, partition: TopicPartition, offset: int) -> None:
        if partition not in self._positions:
            raise BusError(f"expected one of {sorted(self._positions)}, was {partition}")
        if offset < 0:
            begins, ends = await self._admin.offsets([partition.topic])
            offset = (begins if offset == EARLIEST else ends)[partition]
        self._positions[partition] = offset
        if self._client is not None:
            self._client.seek(KafkaPartition(*partition), offset)

    async def stop(self) -> None:
        await self._guard.stop()
        self._positions.clear()
        if self._client is not None:
            await release(self._client)
            self._client = None

    async def _connect(self) -> None:
        settings = self._settings
        client = AIOKafkaConsumer(
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            **settings.fetch_options(self._gathering),
            **settings.client_options(),
        )
        try:
            await bounded("answer", client.start(), 2 * settings.request_timeout_s)
            client.assign([KafkaPartition(*partition) for partition in self._positions])
            for partition, offset in self._positions.items():
                client.seek(KafkaPartition(*partition), offset)
        except BaseException:
            await release(client)
            raise
        self._client = client
        if self._gathering is not None:
            self._sparing = Sparing(client, self._gathering.is_busy)

    async def _disconnect(self, reason: str) -> None:
        _log.warning("a reader of %s is rebuilt: %s", self._topics, reason)
        client, self._client = self._client, None
        if client is not None:
            await release(client)

    async def _reconnect(self, timeout_s: float) -> Mapping[TopicPartition, Sequence[Record]]:
        try:
            await self._connect()
            self._guard.reset()
        except BusError as error:
            _log.warning("a reader of %s cannot connect: %s", self._topics, error)
            await asyncio.sleep(min(timeout_s, _RETRY_S))
        return {}
