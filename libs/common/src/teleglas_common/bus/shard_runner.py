"""One partition number of a worker: restores its shard, feeds it, checkpoints it, retries it."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Generic, TypeVar

from google.protobuf.message import Message

from teleglas_common.bus.dead_letter import dead_letter
from teleglas_common.bus.encode import decode
from teleglas_common.bus.inbox import Inbox
from teleglas_common.bus.lineage import RecreatedTopicError, with_lineage
from teleglas_common.bus.metrics import WorkerMetrics
from teleglas_common.bus.ports import (
    BusError,
    FencedError,
    Handler,
    Incoming,
    PatientShard,
    PoisonError,
    Publisher,
    PublishError,
    Record,
    Shard,
    TopicPartition,
)
from teleglas_common.bus.tracing import buried_span, consumer_span, is_sampled
from teleglas_common.bus.worker_settings import WorkerSettings
from teleglas_contracts.topic import Topic

__all__ = ["Phase", "RetriesExhaustedError", "ShardRunner", "Wiring"]

S = TypeVar("S", bound=Shard)
_IDLE_S = 30.0
"""A shard that has nothing to store waits so long for records at a time."""
_log = logging.getLogger(__name__)


class RetriesExhaustedError(Exception):
    """A shard failed more often in a row than the settings allow; nothing of it was committed."""


class Phase(Enum):
    """Where a runner is: records reach it only while it is `RUNNING`."""

    RESTORING = "restoring"
    POSITIONED = "positioned"
    RUNNING = "running"


@dataclass(frozen=True, slots=True)
class Wiring(Generic[S]):
    """What all runners of a worker share."""

    topics: Mapping[str, Topic]
    handlers: Mapping[tuple[str, type[Message]], Handler[S, Any]]
    make_shard: Callable[[int], S]
    publisher: Publisher
    first_offsets: Callable[[int, Sequence[str], Mapping[str, int]], Awaitable[dict[str, int]]]
    commit: Callable[[Mapping[TopicPartition, int]], None]
    consumer_name: str
    epochs: Mapping[str, str]
    now_ns: Callable[[], int]
    settings: WorkerSettings
    metrics: WorkerMetrics


class ShardRunner(Generic[S]):
    """Runs in a task of its own. The worker's loop alone moves the consumer: it looks at `phase`,
    seeks to `offsets` when that is POSITIONED, and calls `go`.
    """

    def __init__(self, number: int, topics: Sequence[str], wiring: Wiring[S]) -> None:
        self.number = number
        self.topics = tuple(topics)
        self.phase = Phase.RESTORING
        self.offsets: dict[str, int] = {}
        """Topic → offset of the next record to handle."""
        self.paused: set[str] = set(self.topics)
        settings = wiring.settings
        self.inbox = Inbox(
            self.topics, max_records=settings.max_inbox_records, max_bytes=settings.max_inbox_bytes
        )
        self._wiring = wiring
        self._stopping = asyncio.Event()
        self._go = asyncio.Event()
        self._failures = 0
        self._failing_since_s = 0.0
        self._since_checkpoint = 0
        self._checkpointed_at = 0.0
        self._busy_since_s: float | None = None
        self._doing = "restore"
        self._record: Record | None = None

    def go(self) -> None:
        """The consumer stands at `offsets` now."""
        self.phase = Phase.RUNNING
        self._go.set()

    def stop(self) -> None:
        """Finish the turn, checkpoint and end."""
        self._stopping.set()
        self._go.set()
        self.inbox.wake()

    def stuck_in(self, now_s: float) -> str | None:
        """What has been going on for longer than the settings allow."""
        limit_s = self._wiring.settings.stuck_after_s
        if self._busy_since_s is None or now_s - self._busy_since_s < limit_s:
            return None
        return self._whereabouts()

    async def run(self) -> None:
        """Return when stopped; raise RetriesExhaustedError, or at once PublishError and
        RecreatedTopicError.
        """
        while not self._stopping.is_set():
            try:
                await self._live()
            except (PublishError, RecreatedTopicError):
                raise
            except Exception as error:  # noqa: BLE001 - retried, then raised by _fail
                await self._fail(error)

    async def _live(self) -> None:
        wiring = self._wiring
        self.phase = Phase.RESTORING
        self.inbox.clear()
        self._go.clear()
        self._begin("restore")
        shard = wiring.make_shard(self.number)
        try:
            self.offsets = await wiring.first_offsets(
                self.number, self.topics, await shard.restore()
            )
            self._end()
            if self._stopping.is_set():
                return
            self.phase = Phase.POSITIONED
            await self._go.wait()
            await self._work(shard)
        finally:
            self._end()
            await shard.close()

    async def _work(self, shard: S) -> None:
        loop = asyncio.get_running_loop()
        patient = shard if isinstance(shard, PatientShard) else None
        self._since_checkpoint = 0
        self._checkpointed_at = loop.time()
        while not self._stopping.is_set():
            is_idle = not self._since_checkpoint
            left_s = self._checkpointed_at + self._limits(patient)[0] - loop.time()
            if await self.inbox.wait(_IDLE_S if is_idle else max(0.001, left_s)):
                if is_idle:
                    self._checkpointed_at = loop.time()  # nothing to store until now
                await self._go_around(shard)
            limit_s, limit_records = self._limits(patient)
            due = loop.time() - self._checkpointed_at >= limit_s
            if due or self._since_checkpoint >= limit_records:
                await self._checkpoint(shard)
        await self._checkpoint(shard)

    def _limits(self, patient: PatientShard | None) -> tuple[float, int]:
        """Seconds and records after which the next checkpoint is due."""
        settings = self._wiring.settings
        if patient is not None and patient.may_wait:
            return (
                max(settings.checkpoint_interval_s, settings.patient_interval_s),
                max(settings.checkpoint_records, settings.patient_records),
            )
        return settings.checkpoint_interval_s, settings.checkpoint_records

    async def _go_around(self, shard: S) -> None:
        metrics = self._wiring.metrics
        loop = asyncio.get_running_loop()
        for records in self.inbox.turns(self._wiring.settings.turn_records):
            name = records[0].topic
            began_s = self._begin(name)
            await self._handle(shard, self._wiring.topics[name], records)
            self._end()
            self._since_checkpoint += len(records)
            metrics.records(name, len(records))
            metrics.batch(name, len(records), loop.time() - began_s)
            await asyncio.sleep(0)
            if self._stopping.is_set():
                return

    async def _handle(self, shard: S, topic: Topic, records: Sequence[Record]) -> None:
        """The offset advances over records that nobody asked for as well: lag falls to 0 and a
        restart does not read them again.
        """
        loop = asyncio.get_running_loop()
        for record in records:
            self._record = record
            self._busy_since_s = loop.time()
            missing = record.offset - self.offsets[topic.name]
            if missing > 0 and not topic.compacted:
                self._say_lost(record, missing)
            try:
                if wanted := self._opened(topic, record):
                    handler, incoming = wanted
                    if is_sampled(record):
                        with consumer_span(f"process {topic.name}", (record,)):
                            await handler(shard, incoming)
                    else:
                        await handler(shard, incoming)
            except PoisonError as poison:
                await self._bury(topic, record, poison)
            self.offsets[topic.name] = record.offset + 1

    def _opened(self, topic: Topic, record: Record) -> tuple[Handler[S, Any], Incoming[Any]] | None:
        """The message and who asked for it; None where nobody did."""
        wiring = self._wiring
        if record.value is None and topic.compacted:
            return None
        message = decode(record, schemas=topic.schemas, max_bytes=wiring.settings.max_record_bytes)
        handler = wiring.handlers.get((record.topic, type(message)))
        return None if handler is None else (handler, Incoming(message, record))

    def _say_lost(self, record: Record, count: int) -> None:
        """Retention took records while this shard stood: only a compacted log may have holes."""
        _log.error(
            "%d records of %s-%d before offset %d were gone before they were read",
            count, record.topic, record.partition, record.offset,
        )  # fmt: skip
        self._wiring.metrics.lost(record.topic, self.number, count)

    async def _bury(self, topic: Topic, record: Record, poison: PoisonError) -> None:
        if topic.dead_letter is None:
            raise RuntimeError(
                f"expected a topic with a dead-letter twin, {topic.name} has none for {poison}"
            ) from poison
        wiring = self._wiring
        letter = dead_letter(
            topic, record, poison, consumer=wiring.consumer_name, now_ns=wiring.now_ns()
        )
        with buried_span(record, poison):
            await wiring.publisher.send(letter)
        wiring.metrics.poison(topic.name, poison.cause)

    async def _checkpoint(self, shard: S) -> None:
        """The order is the guarantee: what was published is acknowledged before the offsets that
        cover it are stored, and Kafka's committed offsets never lead the shard's own.
        """
        loop = asyncio.get_running_loop()
        if self._since_checkpoint:
            await self._wiring.publisher.flush()
            began_s = self._begin("checkpoint")
            await shard.checkpoint(with_lineage(self.offsets, self._wiring.epochs))
            self._wiring.commit(
                {TopicPartition(topic, self.number): at for topic, at in self.offsets.items()}
            )
            self._end()
            self._wiring.metrics.checkpoint(loop.time() - began_s)
            self._since_checkpoint = 0
            self._failures = 0
        self._checkpointed_at = loop.time()

    async def _fail(self, error: Exception) -> None:
        wiring = self._wiring
        self.phase = Phase.RESTORING
        self.inbox.clear()
        if not self._failures:
            self._failing_since_s = asyncio.get_running_loop().time()
        self._failures += 1
        wiring.metrics.retry(type(error).__name__)
        if self._is_hopeless(error):
            raise RetriesExhaustedError(
                f"expected partition number {self.number} to recover within"
                f" {wiring.settings.retries} retries, failed in {self._whereabouts()}: {error!r}"
            ) from error
        wait_s = wiring.settings.backoff_s(self._failures, random.random())
        _log.warning(
            "partition number %d restarts in %.1f s after failure %d in %s",
            self.number,
            wait_s,
            self._failures,
            self._whereabouts(),
            exc_info=error,
        )
        try:
            await asyncio.wait_for(self._stopping.wait(), wait_s)
        except TimeoutError:
            return

    def _is_hopeless(self, error: Exception) -> bool:
        """A fenced shard waits for its revocation; an outage of the log ends for all at once, so it
        is waited for by the clock, not by the number of tries.
        """
        settings = self._wiring.settings
        if isinstance(error, FencedError) or self._failures <= settings.retries:
            return False
        failing_s = asyncio.get_running_loop().time() - self._failing_since_s
        return not isinstance(error, BusError) or failing_s > settings.outage_limit_s

    def _begin(self, what: str) -> float:
        self._doing = what
        self._record = None
        self._busy_since_s = asyncio.get_running_loop().time()
        return self._busy_since_s

    def _end(self) -> None:
        self._busy_since_s = None

    def _whereabouts(self) -> str:
        at = "" if self._record is None else f" at offset {self._record.offset}"
        return f"{self._doing}{at}, partition number {self.number}"
