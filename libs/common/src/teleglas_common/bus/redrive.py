"""Sends dead letters back to where they came from."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass

from google.protobuf.message import DecodeError

from teleglas.bus.v1.dead_letter_pb2 import DeadLetter
from teleglas_common.bus.encode import REDRIVES
from teleglas_common.bus.ports import (
    EARLIEST,
    Bus,
    BusError,
    GroupConsumer,
    Outgoing,
    Publisher,
    Record,
    TopicPartition,
)

__all__ = ["RedriveReport", "redrive"]

_POLL_RECORDS = 500
_POLL_TIMEOUT_S = 1.0
_IDLE_LIMIT_S = 60.0
_Place = tuple[int, int]
"""Partition and offset of the record that could not be handled."""
NOT_A_RECORD = -1
"""Offset of a dead letter whose input never was a record: there is nowhere to send it back to."""


@dataclass(frozen=True, slots=True)
class RedriveReport:
    """What was done: dead letters sent back by cause, and those that never were a record."""

    sent: Mapping[str, int]
    skipped: int


async def redrive(
    bus: Bus,
    publisher: Publisher,
    dead_letter_topic: str,
    *,
    causes: Collection[str] = (),
    limit: int | None = None,
) -> RedriveReport:
    """Send the original records of a dead-letter topic back to their topic and partition, with the
    `redrives` header one higher; of `causes` only, if any are named, and at most `limit`.

    Each cause has a consumer group of its own, which remembers what was sent: a second run sends
    only what is new. A run that is killed may send up to one batch again. Within a cause the order
    of the dead letters is kept. A record that several consumers could not take goes back once: all
    of them read it again.
    """
    ends = await bus.ends([dead_letter_topic])
    wanted = sorted(causes) if causes else await _causes(bus, ends)
    sent: Counter[str] = Counter()
    skipped = 0
    places: set[_Place] = set()
    for cause in wanted:
        left = None if limit is None else limit - sent.total()
        if left is not None and left <= 0:
            break
        run = _CauseRun(bus, publisher, dead_letter_topic, cause, left, places)
        await run.to_ends(ends)
        sent[cause] = run.sent
        skipped += run.skipped
    return RedriveReport(dict(sent), skipped)


class _CauseRun:
    """One pass over the dead letters of one cause."""

    def __init__(
        self,
        bus: Bus,
        publisher: Publisher,
        topic: str,
        cause: str,
        limit: int | None,
        places: set[_Place],
    ) -> None:
        self.sent = 0
        self.skipped = 0
        self._publisher = publisher
        self._cause = cause
        self._limit = limit
        self._places = places
        self._consumer: GroupConsumer = bus.consumer([topic], f"redrive.{topic}.{cause}")
        self._positions: dict[TopicPartition, int] = {}
        self._begins = bus.begins

    async def assigned(self, partitions: Sequence[TopicPartition]) -> None:
        begins = await self._begins(sorted({partition.topic for partition in partitions}))
        for partition in partitions:
            committed = await self._consumer.committed(partition)
            self._positions[partition] = max(committed or 0, begins[partition])

    async def revoked(self, partitions: Sequence[TopicPartition]) -> None:
        for partition in partitions:
            self._positions.pop(partition, None)

    async def to_ends(self, ends: Mapping[TopicPartition, int]) -> None:
        await self._consumer.start(self)
        deadline_s = asyncio.get_running_loop().time() + _IDLE_LIMIT_S
        try:
            while not self._is_done(ends):
                polled = await self._consumer.poll(
                    max_records=_POLL_RECORDS, timeout_s=_POLL_TIMEOUT_S
                )
                now_s = asyncio.get_running_loop().time()
                if polled:
                    deadline_s = now_s + _IDLE_LIMIT_S
                elif now_s > deadline_s:
                    raise BusError(
                        f"expected dead letters up to {ends} within {_IDLE_LIMIT_S} s, was at"
                        f" {self._positions}: does another redrive of {self._cause} run?"
                    )
                for partition, records in polled.items():
                    await self._send_back(partition, records, ends[partition])
        finally:
            await self._consumer.stop()

    def _is_done(self, ends: Mapping[TopicPartition, int]) -> bool:
        if self._limit is not None and self.sent >= self._limit:
            return True
        return all(self._positions.get(partition, -1) >= end for partition, end in ends.items())

    async def _send_back(
        self, partition: TopicPartition, records: Sequence[Record], end: int
    ) -> None:
        position = self._positions[partition]
        for record in records:
            full = self._limit is not None and self.sent >= self._limit
            if full or record.offset >= end:
                break
            letter = _letter(record)
            if letter.cause == self._cause and letter.offset == NOT_A_RECORD:
                self.skipped += 1
            elif letter.cause == self._cause and self._is_new(letter):
                await self._publisher.send(_original(letter))
                self.sent += 1
            position = record.offset + 1
        await self._publisher.flush()
        self._positions[partition] = position
        await self._consumer.commit({partition: position})

    def _is_new(self, letter: DeadLetter) -> bool:
        place = (letter.partition, letter.offset)
        known = place in self._places
        self._places.add(place)
        return not known


async def _causes(bus: Bus, ends: Mapping[TopicPartition, int]) -> list[str]:
    found: set[str] = set()
    async for record in _records(bus, ends):
        found.add(_letter(record).cause)
    return sorted(found)


async def _records(bus: Bus, ends: Mapping[TopicPartition, int]) -> AsyncIterator[Record]:
    begins = await bus.begins(sorted({partition.topic for partition in ends}))
    missing = {partition for partition, end in ends.items() if begins[partition] < end}
    if not missing:
        return
    reader = bus.reader(dict.fromkeys(missing, EARLIEST))
    await reader.start()
    deadline_s = asyncio.get_running_loop().time() + _IDLE_LIMIT_S
    try:
        while missing:
            polled = await reader.poll(max_records=_POLL_RECORDS, timeout_s=_POLL_TIMEOUT_S)
            for partition, records in polled.items():
                deadline_s = asyncio.get_running_loop().time() + _IDLE_LIMIT_S
                for record in records:
                    yield record
                if records[-1].offset >= ends[partition] - 1:
                    missing.discard(partition)
            if asyncio.get_running_loop().time() > deadline_s:
                raise BusError(f"expected dead letters up to {ends}, none for {_IDLE_LIMIT_S} s")
    finally:
        await reader.stop()


def _letter(record: Record) -> DeadLetter:
    try:
        return DeadLetter.FromString(record.value or b"")
    except DecodeError as error:
        where = f"{record.topic}/{record.partition} at offset {record.offset}"
        raise BusError(f"expected a DeadLetter in {where}") from error


def _original(letter: DeadLetter) -> Outgoing:
    """The record as it was. An empty key was none; only `missing_value` had no value."""
    headers = tuple((h.name, h.value) for h in letter.headers if h.name != REDRIVES)
    return Outgoing(
        letter.topic,
        letter.partition,
        letter.key or None,
        None if letter.cause == "missing_value" else letter.value,
        (*headers, (REDRIVES, b"%d" % (letter.redrives + 1))),
    )
