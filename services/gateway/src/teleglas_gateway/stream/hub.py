"""Reads every partition of every channel, without a group, and hands messages to their subjects."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from teleglas_common.bus.encode import decode
from teleglas_common.bus.ports import Bus, PoisonError, Reader, Record, TopicPartition
from teleglas_gateway.channels.base import Channel, Policy
from teleglas_gateway.domain.positions import SubjectKey
from teleglas_gateway.stream.burials import Burials
from teleglas_gateway.stream.recent import Recent
from teleglas_gateway.stream.sequence import Event, PartitionLog
from teleglas_gateway.stream.subject import Subject

__all__ = ["Hub", "HubWatcher", "LogLostError"]

POLL_RECORDS = 2000
POLL_TIMEOUT_S = 0.5
PIECE_MESSAGES = 128
"""Messages after which what was handled is written at the latest."""
SLICE_S = 0.005
"""How long delivery may hold the loop before sockets and other requests get a turn."""


class LogLostError(RuntimeError):
    """The log dropped records that this pod has not read: its chains are broken. It starts afresh,
    and clients that resume are told what can no longer be had.
    """


class HubWatcher(Protocol):
    """Told what the hub does: metrics and traces."""

    def poison(self, topic: str, cause: str) -> None: ...

    def delivered(
        self, channel: Channel, events: Sequence[Event], deliveries: int, sent_bytes: int
    ) -> None: ...

    def writing(self, records: Sequence[Record]) -> AbstractContextManager[None]: ...


class _Silent:
    def poison(self, topic: str, cause: str) -> None: ...

    def delivered(
        self, channel: Channel, events: Sequence[Event], deliveries: int, sent_bytes: int
    ) -> None: ...

    def writing(self, records: Sequence[Record]) -> AbstractContextManager[None]:  # noqa: ARG002
        return nullcontext()


class Hub:
    """The live end of the streams. `positions` is the next offset of each partition to be handled.

    Handling a record, moving its position and writing its messages happen without a pause in
    between, so whoever compares a position in the same breath as it attaches a listener misses
    nothing and repeats nothing.
    """

    def __init__(
        self,
        bus: Bus,
        channels: Sequence[Channel],
        epochs: Mapping[str, str],
        recent: Recent,
        *,
        watcher: HubWatcher | None = None,
        burials: Burials | None = None,
    ) -> None:
        self._bus = bus
        self._channels = {channel.topic.name: channel for channel in channels}
        self._topics = {channel.name: channel.topic for channel in channels}
        self._watcher = watcher or _Silent()
        self._burials = burials
        self._recent = recent
        self._subjects: dict[SubjectKey, Subject] = {}
        self._logs: dict[TopicPartition, PartitionLog] = {
            TopicPartition(channel.topic.name, number): PartitionLog(
                channel, epochs[channel.topic.name]
            )
            for channel in channels
            for number in range(channel.topic.partitions)
        }
        self._dirty: dict[Subject, list[Record]] = {}
        self._waiting = 0
        self._reader: Reader | None = None
        self.positions: dict[TopicPartition, int] = {}
        self.is_live = False
        self.last_poll_s = time.monotonic()

    @property
    def behind_s(self) -> float:
        """Since the log last answered."""
        return time.monotonic() - self.last_poll_s

    def partition(self, key: SubjectKey) -> TopicPartition:
        topic = self._topics[key.channel]
        return TopicPartition(topic.name, topic.partition(key.instrument))

    def subject(self, key: SubjectKey) -> Subject:
        found = self._subjects.get(key)
        if found is None:
            log = self._logs[self.partition(key)]
            found = self._subjects[key] = Subject(log.channel, key, log)
        return found

    def missed(self, key: SubjectKey, seq: int) -> list[Event] | None:
        """See `Recent.after`."""
        return self._recent.after(key, seq, self.subject(key).last_seq)

    def wanted(self, channel: str) -> Iterator[Subject]:
        """Subjects of a channel that somebody listens to."""
        for subject in self._subjects.values():
            if subject.channel.name == channel and subject.is_wanted:
                yield subject

    def known(self, channel: str) -> list[str]:
        """Instruments of which the channel has said something lately."""
        subjects = (one for one in self._subjects.values() if one.channel.name == channel)
        return sorted({one.key.instrument for one in subjects if one.last_seq is not None})

    def rest(self) -> None:
        """Forget which subjects were active: a period of heartbeats is over."""
        for subject in self._subjects.values():
            subject.is_active = False

    async def start(self) -> None:
        """Read back each channel's lookback up to now, so that `prev_seq` is known."""
        topics = list(self._channels)
        begins, ends = await self._bus.begins(topics), await self._bus.ends(topics)
        starts = {
            partition: max(begins[partition], end - self._channels[partition.topic].lookback)
            for partition, end in ends.items()
        }
        self._reader = self._bus.reader(starts, follows=True)
        await self._reader.start()
        self.positions = dict(starts)
        while any(self.positions[partition] < end for partition, end in ends.items()):
            await self._turn(self._reader)
        self.is_live = True

    async def run(self) -> None:
        """Deliver until cancelled."""
        if self._reader is None:
            raise RuntimeError("expected a started hub")
        while True:
            await self._turn(self._reader)

    async def stop(self) -> None:
        self.is_live = False
        if self._reader is not None:
            await self._reader.stop()
            self._reader = None

    async def _turn(self, reader: Reader) -> None:
        polled = await reader.poll(max_records=POLL_RECORDS, timeout_s=POLL_TIMEOUT_S)
        self.last_poll_s = time.monotonic()
        until = time.perf_counter() + SLICE_S
        for partition, records in polled.items():
            for record in records:
                self._handle(partition, record)
                if self._waiting >= PIECE_MESSAGES or time.perf_counter() > until:
                    self._flush()
                    await asyncio.sleep(0)
                    until = time.perf_counter() + SLICE_S
        self._flush()
        if self._burials is not None:
            await self._burials.room()

    def _handle(self, partition: TopicPartition, record: Record) -> None:
        expected = self.positions[partition]
        if self.is_live and record.offset > expected:
            raise LogLostError(
                f"expected offset {expected} of {partition}, was {record.offset}:"
                " records went before they were read"
            )
        log = self._logs[partition]
        try:
            message = decode(record)
            events = log.read(record.offset, message)
        except PoisonError as error:
            events = []
            self._watcher.poison(record.topic, error.cause)
            if self._burials is not None and log.channel.buries_poison:
                self._burials.add(log.channel.topic, record, error)
        self.positions[partition] = record.offset + 1
        if log.channel.policy is Policy.LOSSLESS:
            self._recent.add(events, record.size_bytes)
        for event in events:
            subject = self.subject(event.subject)
            if subject.take(event):
                records = self._dirty.setdefault(subject, [])
                if not records or records[-1] is not record:
                    records.append(record)
        self._waiting += len(events)

    def _flush(self) -> None:
        """Write what was handled since the last pause: each client gets one piece a subject."""
        dirty, self._dirty, self._waiting = self._dirty, {}, 0
        for subject, records in dirty.items():
            with self._watcher.writing(records):
                events, deliveries, sent_bytes = subject.flush()
                self._watcher.delivered(subject.channel, events, deliveries, sent_bytes)
