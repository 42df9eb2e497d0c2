"""Calls to aiokafka that end in bounded time and fail as the bus does."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Iterable
from itertools import chain
from operator import attrgetter
from typing import Any, Protocol, TypeVar

from aiokafka import AIOKafkaConsumer
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.errors import KafkaError

from teleglas_common.bus.ports import BusError, Record, TopicPartition

__all__ = ["Stoppable", "bounded", "last_answers", "release", "to_records"]

T = TypeVar("T")
_RELEASE_TIMEOUT_S = 5.0
_fields: Callable[[Any], tuple[Any, ...]] = attrgetter(*Record._fields[:-1], "timestamp")
_headers: Callable[[Record], Iterable[tuple[Any, ...]]] = attrgetter("headers")
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


def to_records(raws: Iterable[Any]) -> list[Record]:
    """Our records of aiokafka's; a header without a value has an empty one."""
    records = list(map(Record._make, map(_fields, raws)))
    if None in chain.from_iterable(chain.from_iterable(map(_headers, records))):
        return [
            record._replace(headers=tuple((name, value or b"") for name, value in record.headers))
            for record in records
        ]
    return records
