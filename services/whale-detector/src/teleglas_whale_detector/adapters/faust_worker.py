"""Runs the detector on Faust: one table, whose values carry the offsets that they cover.

Where to read from is never Kafka's committed offset: after a recovery every partition is sought to
what its table value covers. So an input is counted once whatever a crash cut off, and commits only
show lag. They follow the changelog's acknowledgement all the same.
"""

from __future__ import annotations

import asyncio
import logging
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import faust
from faust.types import TP

from teleglas.whale.v1.whale_pb2 import Threshold
from teleglas_common.bus.dead_letter import dead_letter
from teleglas_common.bus.ports import BusError, PoisonError, Publisher, Record
from teleglas_common.bus.tracing import buried_span
from teleglas_common.telemetry.metrics import BusMetrics
from teleglas_whale_detector.adapters.faust_consumer import SeekingConsumer
from teleglas_whale_detector.adapters.faust_topics import APP_ID, TABLE
from teleglas_whale_detector.engine import handle
from teleglas_whale_detector.routes import GROUP, INPUTS
from teleglas_whale_detector.shard import BOOKS, TRADES, Tools, WhaleShard
from teleglas_whale_detector.table_keys import keys_of

__all__ = ["FaustSettings", "FaustWorker"]

AHEAD_WAIT_S = 0.05
SEEK_AGAIN_S = 0.5
BUFFERED_PIECES = 64
SESSION_TIMEOUT_S = 10.0
"""A member that was killed holds its partitions for so long; Faust's own default is a minute."""
_log = logging.getLogger(__name__)
_TOPICS = {topic.name: topic for topic in INPUTS}


@dataclass(frozen=True, slots=True)
class FaustSettings:
    """How Faust runs."""

    broker: str
    flush_interval_s: float = 1.0
    flush_records: int = 5_000
    patient_interval_s: float = 5.0
    """Instead of `flush_interval_s` as long as fewer than `patient_records` came."""
    patient_records: int = 500
    acknowledge_timeout_s: float = 30.0
    start_timeout_s: float = 60.0
    credentials: Any = None


@dataclass(slots=True)
class Owned:
    """A partition number that is ours, with what was handled since its last table write: `events`
    are those whose records were all handled.
    """

    shard: WhaleShard
    events: list[Any] = field(default_factory=list)
    is_changed: bool = False
    upcoming: dict[str, int] = field(default_factory=dict)
    """The offset that comes next in each topic."""
    sought_at_s: dict[str, float] = field(default_factory=dict)


class FaustWorker:
    """A component: `start` joins the group, `run` works until it is stopped or something breaks."""

    def __init__(
        self,
        settings: FaustSettings,
        tools: Tools,
        publisher: Publisher,
        metrics: BusMetrics,
    ) -> None:
        self._settings = settings
        self._tools = tools
        self._publisher = publisher
        self._metrics = metrics
        self._owned: dict[int, Owned] = {}
        self._lock = asyncio.Lock()
        self._since_flush = 0
        self._flushed_s = 0.0
        self._handled: Counter[str] = Counter()
        self._broken: asyncio.Future[None] | None = None
        self._due = asyncio.Event()
        self._stopping = asyncio.Event()
        self._over = asyncio.Event()
        self._joined = False
        self._folder = tempfile.TemporaryDirectory(prefix="teleglas-faust-")
        self._app: Any = None
        self._table: Any = None

    @property
    def shards(self) -> list[WhaleShard]:
        """Those that are ours now."""
        return [one.shard for one in self._owned.values()]

    def thresholds(self) -> list[Threshold]:
        """What is in force in every market of ours."""
        return [one for shard in self.shards for one in shard.thresholds()]

    async def start(self) -> None:
        self._broken = asyncio.get_running_loop().create_future()
        self._app = app = self._new_app()
        app.whale_worker = self
        app.transport.Consumer = SeekingConsumer
        self._table = app.Table(
            TABLE, partitions=INPUTS[0].partitions, key_type=bytes, value_type=bytes
        )
        for topic in INPUTS:
            channel = app.topic(
                topic.name, key_type=bytes, value_type=bytes, value_serializer="raw"
            )
            app.agent(channel, name=f"read-{topic.name}")(self._read)
        app.on_partitions_revoked.connect(self._revoked)
        app.finalize()
        await app.start()

    async def run(self) -> None:
        """Write the table when it is due. Raises what broke."""
        try:
            while not self._stopping.is_set():
                await self._wait(self._settings.flush_interval_s)
                if self._is_due():
                    await self.flush()
                self._count()
        finally:
            self._over.set()

    async def stop(self) -> None:
        """Store what was handled, then leave the group."""
        self._stopping.set()
        self._due.set()
        await self._over.wait()
        if self._app is not None:
            await self._app.stop()
        self._folder.cleanup()

    async def check(self) -> str | None:
        return None if self._joined else "the table is being restored"

    def restore(self, assigned: Iterable[TP]) -> Mapping[TP, int]:
        """Make a shard of every assigned number from the table; where to read each topic from."""
        numbers = sorted({tp.partition for tp in assigned if tp.topic == TRADES})
        values: dict[bytes, bytes] = self._table.data.data
        positions: dict[TP, int] = {}
        self._owned = {}
        for number in numbers:
            shard = WhaleShard(number, self._tools)
            own = {key: values[key] for key in keys_of(number, list(values))}
            upcoming = dict(shard.restore(own))
            positions |= {TP(topic, number): offset for topic, offset in upcoming.items()}
            self._owned[number] = Owned(shard, upcoming=upcoming)
        self._metrics.shards(len(self._owned))
        self._joined = True
        return positions

    def expect(self, positions: Mapping[TP, int]) -> None:
        """Where topics begin that no state covers yet."""
        for place, offset in positions.items():
            owned = self._owned.get(place.partition)
            if owned is not None:
                owned.upcoming.setdefault(place.topic, offset)

    async def _revoked(self, *_: Any, **__: Any) -> None:
        """What was not written will be read again, by whoever owns it then."""
        self._owned = {}
        self._joined = False

    async def _read(self, stream: Any) -> None:
        async for event in stream.noack().events():
            try:
                await self._take(event)
            except Exception as error:
                self._break(error)
                raise

    async def _take(self, event: Any) -> None:
        """Handle the records of one piece; those that follow a seek or a loss are not ours."""
        owned = self._owned.get(event.message.partition)
        if owned is None or self._stopping.is_set():
            return
        for record in event.message.records:
            if owned.upcoming.get(record.topic, record.offset) == record.offset:
                owned.upcoming[record.topic] = record.offset + 1
            elif not await self._follows(owned, record):
                continue
            if record.topic == BOOKS and owned.shard.books_are_ahead():
                await self._wait_for_trades(owned)
            await self._handle(owned, record)
            if self._stopping.is_set() or self._owned.get(owned.shard.number) is not owned:
                return
        owned.events.append(event)
        if self._since_flush >= self._settings.flush_records:
            self._due.set()
            await asyncio.sleep(0)

    async def _handle(self, owned: Owned, record: Record) -> None:
        shard = owned.shard
        poison = handle(shard, record)
        owned.is_changed = True
        self._handled[record.topic] += 1
        self._since_flush += 1
        if poison is not None:
            await self._bury(record, poison)
        if shard.outbox:
            async with self._lock:
                await self._publish(shard)

    async def _follows(self, owned: Owned, record: Record) -> bool:
        """Whether a record that is not the next one counts. One that was under way when its
        partition was sought elsewhere does not: then the partition is sought again. What retention
        took is skipped.
        """
        topic, expected = record.topic, owned.upcoming[record.topic]
        if record.offset < expected:
            return False
        now_s = asyncio.get_running_loop().time()
        if now_s - owned.sought_at_s.get(topic, -SEEK_AGAIN_S) < SEEK_AGAIN_S:
            return False
        owned.sought_at_s[topic] = now_s
        partition = TP(topic, record.partition)
        begins = await self._app.consumer.earliest_offsets(partition)
        begin = begins.get(partition) or 0
        if begin > expected:
            self._metrics.lost(topic, record.partition, begin - expected)
            owned.upcoming[topic] = begin
        await self._app.consumer.seek_wait({partition: owned.upcoming[topic]})
        return False

    async def _wait_for_trades(self, owned: Owned) -> None:
        while owned.shard.books_are_ahead() and self._owned.get(owned.shard.number) is owned:
            await asyncio.sleep(AHEAD_WAIT_S)
            if self._stopping.is_set():
                return

    async def _publish(self, shard: WhaleShard) -> None:
        for record in shard.take_outbox():
            await self._publisher.send(record)

    async def _bury(self, record: Record, poison: PoisonError) -> None:
        topic = _TOPICS[record.topic]
        consumer = f"whale-detector/{GROUP}"
        now_ns = self._tools.clock.now_ns()
        letter = dead_letter(topic, record, poison, consumer=consumer, now_ns=now_ns)
        async with self._lock:
            with buried_span(record, poison):
                await self._publisher.send(letter)
        self._metrics.poison(topic.name, poison.cause)

    def _is_due(self) -> bool:
        """Whether the table is worth a write: a quiet market's few records are soon read again."""
        settings = self._settings
        waited_s = asyncio.get_running_loop().time() - self._flushed_s
        return (
            self._stopping.is_set()
            or self._since_flush >= settings.patient_records
            or waited_s >= settings.patient_interval_s
        )

    async def flush(self) -> None:
        """The order is the guarantee: what a state covers is acknowledged before the state is
        written, and the state before its inputs are committed.
        """
        loop = asyncio.get_running_loop()
        self._since_flush, self._flushed_s = 0, loop.time()
        async with self._lock:
            written: list[tuple[Owned, list[tuple[bytes, bytes]], list[Any]]] = []
            for owned in list(self._owned.values()):
                if owned.is_changed or owned.events:
                    while owned.shard.outbox:
                        await self._publish(owned.shard)
                    events, owned.events, owned.is_changed = owned.events, [], False
                    written.append((owned, owned.shard.dump(), events))
            if not written:
                return
            began_s = loop.time()
            await self._publisher.flush()
            size = 0
            sent: list[Any] = []
            for owned, values, _ in written:
                if self._owned.get(owned.shard.number) is not owned:
                    continue
                for key, value in values:
                    sent.append(self._table.send_changelog(owned.shard.number, key, value))
                    self._table.data.data[key] = value
                    size += len(key) + len(value)
            await self._acknowledged(sent)
            self._tools.counts.flushed(size, loop.time() - began_s)
        for owned, _, events in written:
            if self._owned.get(owned.shard.number) is owned:
                for event in events:
                    event.ack()

    async def _acknowledged(self, sent: list[Any]) -> None:
        limit_s = self._settings.acknowledge_timeout_s
        try:
            async with asyncio.timeout(limit_s):
                await self._app.producer.buffer.flush()
                await asyncio.gather(*sent)
        except TimeoutError:
            raise BusError(f"expected the changelog to take a state within {limit_s} s") from None

    async def _wait(self, timeout_s: float) -> None:
        """Until a write is due; raises what broke an agent or Faust itself."""
        due = asyncio.create_task(self._due.wait())
        waited: set[asyncio.Future[Any]] = {due}
        if self._broken is not None:
            waited.add(self._broken)
        await asyncio.wait(waited, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        due.cancel()
        self._due.clear()
        if self._broken is not None and self._broken.done():
            self._broken.result()
        if self._app.crashed:
            raise BusError(f"expected Faust to run, it crashed: {self._app.crash_reason!r}")

    def _break(self, error: Exception) -> None:
        if self._broken is not None and not self._broken.done():
            self._broken.set_exception(error)

    def _count(self) -> None:
        for topic, count in self._handled.items():
            self._metrics.records(topic, count)
        self._handled.clear()
        for owned in self._owned.values():
            for topic, upcoming in owned.upcoming.items():
                end = self._app.consumer.highwater(TP(topic, owned.shard.number))
                if end is not None:
                    self._metrics.lag(topic, owned.shard.number, max(0, end - upcoming))
        shards = self.shards
        desks = [desk for shard in shards for desk in shard.desks.values()]
        known = sum(desk.fills.threshold is not None for desk in desks)
        self._tools.counts.stands(
            sum(shard.open_parents() for shard in shards), len(desks) - known, known
        )

    def _new_app(self) -> Any:
        return faust.App(
            APP_ID,
            broker=self._settings.broker,
            broker_credentials=self._settings.credentials,
            store="memory://",
            topic_partitions=INPUTS[0].partitions,
            topic_allow_declare=False,
            topic_disable_leader=True,
            reply_create_topic=False,
            autodiscover=False,
            web_enabled=False,
            key_serializer="raw",
            value_serializer="raw",
            consumer_auto_offset_reset="earliest",
            broker_commit_interval=1.0,
            broker_session_timeout=SESSION_TIMEOUT_S,
            broker_heartbeat_interval=SESSION_TIMEOUT_S / 5,
            broker_rebalance_timeout=3 * SESSION_TIMEOUT_S,
            stream_wait_empty=False,
            stream_buffer_maxsize=BUFFERED_PIECES,
            table_standby_replicas=0,
            datadir=self._folder.name,
        )
