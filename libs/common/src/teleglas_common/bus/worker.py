"""Runs a service's routes over a consumer group: one shard for each partition number it owns."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from teleglas_common.bus.epochs import read_epochs
from teleglas_common.bus.lineage import check_lineage
from teleglas_common.bus.metrics import NoMetrics, WorkerMetrics
from teleglas_common.bus.ports import (
    Bus,
    BusError,
    CommitRefusedError,
    GroupConsumer,
    Publisher,
    Record,
    Route,
    Shard,
    TopicPartition,
)
from teleglas_common.bus.shard_runner import Phase, ShardRunner, Wiring
from teleglas_common.bus.worker_settings import WorkerSettings

__all__ = ["StuckError", "Worker"]

S = TypeVar("S", bound=Shard)
_BUSY_POLL_TIMEOUT_S = 0.01
_COMMIT_INTERVAL_S = 2.0
_BOUNDS_AGE_S = 2.0
_log = logging.getLogger(__name__)


class StuckError(Exception):
    """A handler, a restore or a checkpoint did not come back in time."""


class Worker(Generic[S]):
    """Reads the topics of `routes` as a member of `group` and hands each record to its handler.

    Records of one partition are handled in order, those of one partition number one at a time.
    The publisher is started and stopped by whoever made it, and outlives the worker.
    """

    def __init__(
        self,
        bus: Bus,
        routes: Sequence[Route[S, Any]],
        *,
        group: str,
        shard_factory: Callable[[int], S],
        publisher: Publisher,
        service: str,
        now_ns: Callable[[], int] = time.time_ns,
        settings: WorkerSettings | None = None,
        metrics: WorkerMetrics | None = None,
    ) -> None:
        self._bus = bus
        self._settings = settings or WorkerSettings()
        self._metrics = metrics or NoMetrics()
        self._topics = {route.topic.name: route.topic for route in routes}
        self._epochs: dict[str, str] = {}
        self._consumer: GroupConsumer = bus.consumer(sorted(self._topics), group)
        self._wiring = Wiring(
            topics=self._topics,
            handlers={(route.topic.name, route.schema): route.handler for route in routes},
            make_shard=shard_factory,
            publisher=publisher,
            first_offsets=self._first_offsets,
            commit=self._commit_later,
            consumer_name=f"{service}/{group}",
            epochs=self._epochs,
            now_ns=now_ns,
            settings=self._settings,
            metrics=self._metrics,
        )
        self._runners: dict[int, ShardRunner[S]] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._uncommitted: dict[TopicPartition, int] = {}
        self._committing: asyncio.Task[None] | None = None
        self._measuring: asyncio.Task[None] | None = None
        self._asking: (
            asyncio.Task[tuple[Mapping[TopicPartition, int], Mapping[TopicPartition, int]]] | None
        ) = None
        self._asked_s = 0.0
        self._commit_due_s = 0.0
        self._lag_due_s = 0.0
        self._stopping = False
        self._failure: Exception | None = None

    @property
    def numbers(self) -> frozenset[int]:
        """The partition numbers whose shards are restored and running."""
        running = (r.number for r in self._runners.values() if r.phase is Phase.RUNNING)
        return frozenset(running)

    @property
    def is_ready(self) -> bool:
        """Whether everything that was assigned is running; also true with nothing assigned."""
        return all(runner.phase is Phase.RUNNING for runner in self._runners.values())

    def stop(self) -> None:
        """Ask `run` to finish what is under way, checkpoint and return."""
        self._stopping = True
        self._consumer.wake()

    async def run(self) -> None:
        """Work until `stop`. Raises RecreatedTopicError, RetriesExhaustedError, StuckError,
        PublishError or BusError: then nothing of the shard that failed was committed, and the
        process should end.
        """
        self._epochs.update(await read_epochs(self._bus))
        await self._consumer.start(self)
        try:
            while not self._stopping:
                self._raise_failures()
                await self._steer()
                polled = await self._consumer.poll(
                    max_records=self._settings.max_poll_records, timeout_s=self._poll_timeout_s()
                )
                self._distribute(polled)
                self._housekeep()
        finally:
            await self._shut_down()
        self._raise_failures()

    async def assigned(self, partitions: Sequence[TopicPartition]) -> None:
        self._consumer.pause(partitions)
        by_number: dict[int, list[str]] = {}
        for topic, number in partitions:
            by_number.setdefault(number, []).append(topic)
        for number, topics in sorted(by_number.items()):
            runner = ShardRunner(number, sorted(topics), self._wiring)
            self._runners[number] = runner
            self._tasks[number] = asyncio.create_task(runner.run(), name=f"shard-{number}")
        self._metrics.shards(len(self._runners))

    async def revoked(self, partitions: Sequence[TopicPartition]) -> None:
        await self._end_runners({partition.partition for partition in partitions})
        await self._commit_now()

    def _poll_timeout_s(self) -> float:
        settled = all(
            runner.phase is Phase.RUNNING and not runner.paused for runner in self._runners.values()
        )
        return self._settings.poll_timeout_s if settled else _BUSY_POLL_TIMEOUT_S

    def _raise_failures(self) -> None:
        if self._failure is not None:
            raise self._failure
        now_s = asyncio.get_running_loop().time()
        for number, task in self._tasks.items():
            if task.done():
                task.result()
            elif stuck := self._runners[number].stuck_in(now_s):
                raise StuckError(f"expected {stuck} within {self._settings.stuck_after_s} s")

    async def _steer(self) -> None:
        """Bring the consumer to where the runners want it: only this loop moves it, so that no
        record of an old position reaches a runner that was restored to another.
        """
        for runner in self._runners.values():
            if runner.phase is Phase.POSITIONED:
                for topic, offset in runner.offsets.items():
                    await self._consumer.seek(TopicPartition(topic, runner.number), offset)
                runner.go()
            for topic in runner.topics:
                partition = TopicPartition(topic, runner.number)
                restoring = runner.phase is Phase.RESTORING
                if topic not in runner.paused and (restoring or runner.inbox.is_full(topic)):
                    self._consumer.pause([partition])
                    runner.paused.add(topic)
                elif topic in runner.paused and not restoring and runner.inbox.has_room(topic):
                    self._consumer.resume([partition])
                    runner.paused.remove(topic)

    def _distribute(self, polled: Mapping[TopicPartition, Sequence[Record]]) -> None:
        for (topic, number), records in polled.items():
            runner = self._runners.get(number)
            if runner is not None and runner.phase is Phase.RUNNING and records:
                runner.inbox.put(topic, records)

    async def _first_offsets(
        self, number: int, topics: Sequence[str], restored: Mapping[str, int]
    ) -> dict[str, int]:
        """Where to start each topic: the shard's own offset, else the committed one, else earliest;
        what the log does not hold any more is skipped and counted as lost.
        """
        check_lineage(restored, topics, self._epochs)
        committed = {
            topic: await self._consumer.committed(TopicPartition(topic, number))
            for topic in topics
            if topic not in restored
        }
        offsets: dict[str, int] = {}
        for topic in topics:
            partition = TopicPartition(topic, number)
            begin, end = await self._bounds(partition)
            wanted = restored.get(topic, committed.get(topic))
            if wanted is None:
                wanted = begin
            if not begin <= wanted <= end:
                begin, end = await self._bounds(partition, fresh=True)
            if not begin <= wanted <= end:
                lost = begin - wanted if wanted < begin else 0
                _log.error("offset %d of %s expected in %d..%d", wanted, partition, begin, end)
                self._metrics.lost(topic, number, lost)
                wanted = begin
            offsets[topic] = wanted
        return offsets

    async def _bounds(self, partition: TopicPartition, *, fresh: bool = False) -> tuple[int, int]:
        """First offset and end of a partition; of a moment ago unless they must be `fresh`, since
        all partition numbers of an assignment ask at once.
        """
        now_s = asyncio.get_running_loop().time()
        failed = self._asking is not None and self._asking.done() and self._asking.exception()
        if self._asking is None or failed or fresh or now_s > self._asked_s + _BOUNDS_AGE_S:
            self._asked_s = now_s
            self._asking = asyncio.create_task(self._ask_bounds())
        begins, ends = await asyncio.shield(self._asking)
        return begins[partition], ends[partition]

    async def _ask_bounds(
        self,
    ) -> tuple[Mapping[TopicPartition, int], Mapping[TopicPartition, int]]:
        topics = sorted(self._topics)
        return await self._bus.begins(topics), await self._bus.ends(topics)

    def _commit_later(self, offsets: Mapping[TopicPartition, int]) -> None:
        self._uncommitted.update(offsets)

    def _housekeep(self) -> None:
        now_s = asyncio.get_running_loop().time()
        idle = self._committing is None or self._committing.done()
        if self._uncommitted and idle and now_s >= self._commit_due_s:
            self._commit_due_s = now_s + _COMMIT_INTERVAL_S
            self._committing = asyncio.create_task(self._commit_pending())
        idle = self._measuring is None or self._measuring.done()
        if idle and now_s >= self._lag_due_s:
            self._lag_due_s = now_s + self._settings.lag_interval_s
            self._measuring = asyncio.create_task(self._measure_lag())

    async def _commit_now(self) -> None:
        if self._committing is not None:
            await self._committing
        await self._commit_pending()

    async def _commit_pending(self) -> None:
        """Tell the group how far we are. A failure loses nothing: the next commit says more, and
        without one the records are read again.
        """
        offsets, self._uncommitted = self._uncommitted, {}
        if not offsets:
            return
        try:
            await self._consumer.commit(offsets)
        except CommitRefusedError as error:
            _log.warning("commit refused, its partitions went to another member: %s", error)
        except BusError as error:
            _log.warning("commit failed, the next one will say more: %s", error)
            self._uncommitted = offsets | self._uncommitted

    async def _measure_lag(self) -> None:
        """By what the consumer was told with its records; of partitions that it does not read at
        the moment the log is asked.
        """
        ends = self._consumer.known_ends(self._settings.lag_interval_s)
        read = {
            TopicPartition(topic, runner.number)
            for runner in self._runners.values()
            for topic in runner.offsets
        }
        try:
            if not read <= ends.keys():
                ends = await self._bus.ends(sorted(self._topics))
        except BusError as error:
            _log.warning("lag is unknown: %s", error)
            return
        for runner in self._runners.values():
            for topic, offset in runner.offsets.items():
                end = ends[TopicPartition(topic, runner.number)]
                self._metrics.lag(topic, runner.number, max(0, end - offset))

    async def _end_runners(self, numbers: set[int]) -> None:
        ending = {n: self._tasks.pop(n) for n in numbers if n in self._tasks}
        for number in ending:
            self._runners[number].stop()
        if ending:
            _, late = await asyncio.wait(ending.values(), timeout=self._settings.drain_timeout_s)
            for task in late:
                _log.error("expected %s to end within the drain time-out", task.get_name())
                task.cancel()
            results = await asyncio.gather(*ending.values(), return_exceptions=True)
            for number, result in zip(ending, results, strict=True):
                del self._runners[number]
                if isinstance(result, Exception):
                    self._failure = self._failure or result
        self._metrics.shards(len(self._runners))

    async def _shut_down(self) -> None:
        await self._end_runners(set(self._tasks))
        await self._commit_now()
        if self._measuring is not None:
            self._measuring.cancel()
        await self._consumer.stop()
