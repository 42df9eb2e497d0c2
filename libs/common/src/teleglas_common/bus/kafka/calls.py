"""Calls to aiokafka that end in bounded time and fail as the bus does."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Collection
from operator import itemgetter
from typing import Any, Protocol, TypeVar

from aiokafka import AIOKafkaConsumer
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.errors import KafkaError

from teleglas_common.bus.ports import BusError, Record, TopicPartition

__all__ = ["Stoppable", "bounded", "last_answers", "release", "to_record"]

T = TypeVar("T")
_RELEASE_TIMEOUT_S = 5.0
_value_of = itemgetter(1)
_log = logging.getLogger(__name__)


class Stoppable(Protocol):
    async def stop(self) -> Any: ...


async def bounded(what: str, call: Awaitable[T], timeout_s: float) -> T:
    """Await `call`; BusError when Kafka refuses or does not answer in time."""
    try:
        return await asyncio.wait_for(call, timeout_s)
    except TimeoutError as error:
        raise BusError(f"expected Kafka to {what} within {timeout_s} s") from error
    except KafkaError as error:
        raise BusError(f"expected Kafka to {what}, was {error!r}") from error


async def release(client: Stoppable) -> None:
    """Stop a client that may be broken, without waiting for it for ever."""
    try:
        await asyncio.wait_for(client.stop(), _RELEASE_TIMEOUT_S)
    except (TimeoutError, KafkaError, AssertionError) as error:
        _log.warning("a Kafka client did not stop cleanly: %r", error)


def last_answers(
    client: AIOKafkaConsumer | None, partitions: Collection[TopicPartition], max_age_s: float
) -> dict[TopicPartition, int]:
    """Ends of partitions as the broker told them to this client, none longer ago than that."""
    if client is None:
        return {}
    assigned = client.assignment()
    oldest_ms = (time.time() - max_age_s) * 1000
    found: dict[TopicPartition, int] = {}
    for partition in partitions:
        named = KafkaPartition(*partition)
        if named in assigned and (client.last_poll_timestamp(named) or 0) >= oldest_ms:
            found[partition] = client.highwater(named)
    return found


def to_record(raw: Any) -> Record:
    """Our record of aiokafka's; a header without a value has an empty one."""
    headers = raw.headers
    if None in map(_value_of, headers):
        headers = [(name, value or b"") for name, value in headers]
    return Record(
        raw.topic, raw.partition, raw.offset, raw.key, raw.value, tuple(headers), raw.timestamp
    )
