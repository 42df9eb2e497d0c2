"""A worker on the in-memory bus, in the situations that a broker makes hard to reach."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from teleglas.market.v1.progress_pb2 import Progress
from teleglas_common.bus import tracing
from teleglas_common.bus.encode import outgoing
from teleglas_common.bus.memory import MemoryBus
from teleglas_common.bus.memory_group import MemoryConsumer
from teleglas_common.bus.metrics import NoMetrics
from teleglas_common.bus.ports import (
    FencedError,
    GroupConsumer,
    Incoming,
    Outgoing,
    Publisher,
    Route,
    TopicPartition,
)
from teleglas_common.bus.shard_runner import RetriesExhaustedError
from teleglas_common.bus.shards import StatelessShard
from teleglas_common.bus.testing import (
    MemoryStore,
    RememberingShard,
    make_topic,
    numbered,
    publish,
    remember,
    until,
)
from teleglas_common.bus.worker import Worker
from teleglas_common.bus.worker_settings import WorkerSettings
from teleglas_contracts.topic import Topic
from teleglas_contracts.topics import CONTROL_TOPICS_V1

FAST = WorkerSettings(
    poll_timeout_s=0.01,
    checkpoint_interval_s=0.005,
    retry_initial_s=0.001,
    retries=3,
    max_poll_records=7,
    turn_records=3,
    lag_interval_s=0.01,
)


class Heard(NoMetrics):
    """What was said of lost records and of lag."""

    def __init__(self) -> None:
        self.lost_records: list[int] = []
        self.lags: list[int] = []

    def lost(self, topic: str, partition: int, records: int) -> None:  # noqa: ARG002 - a port
        self.lost_records.append(records)

    def lag(self, topic: str, partition: int, records: int) -> None:  # noqa: ARG002 - a port
        self.lags.append(records)


class KillableBus(MemoryBus):
    """Knows the consumers that it made, so that a test can crash their owner."""

    def __init__(self) -> None:
        super().__init__()
        self.consumers: list[MemoryConsumer] = []

    def consumer(self, topics: Sequence[str], group: str) -> MemoryConsumer:
        made = super().consumer(topics, group)
        self.consumers.append(made)
        return made


class FlakyShard(RememberingShard):
    """Fails at random places: in restore, in checkpoint before and after it was stored."""

    faults: ClassVar[Counter[str]] = Counter()

    async def restore(self) -> Mapping[str, int]:
        self._maybe_fail("restore")
        return await super().restore()

    async def checkpoint(self, offsets: Mapping[str, int]) -> None:
        self._maybe_fail("before")
        await super().checkpoint(offsets)
        self._maybe_fail("after")

    def _maybe_fail(self, where: str) -> None:
        if self.faults[where] > 0:
            self.faults[where] -= 1
            raise ConnectionError(where)


async def make_publisher(bus: MemoryBus) -> Publisher:
    publisher = bus.publisher()
    await publisher.start()
    return publisher


def make_worker(
    bus: MemoryBus, topic: Topic, store: MemoryStore, publisher: Publisher
) -> Worker[FlakyShard]:
    return Worker(
        bus,
        [Route(topic, Progress, remember)],
        group="g",
        shard_factory=lambda number: FlakyShard(number, store),
        publisher=publisher,
        service="tests",
        settings=replace(FAST, retries=50),
    )


steps = st.lists(
    st.sampled_from(["send", "send", "start", "stop", "kill", "restore", "before", "after"]),
    min_size=4,
    max_size=14,
)


@settings(max_examples=20, deadline=None)
@given(steps)
def test_any_course_of_crashes_and_hand_overs_handles_each_record_once(taken: list[str]) -> None:
    """Workers start, stop and vanish, shards fail everywhere: effects are as without all that."""
    asyncio.run(run_course(taken))


async def run_course(taken: list[str]) -> None:
    bus, topic, store = KillableBus(), make_topic(partitions=3), MemoryStore()
    await bus.create([topic])
    publisher = await make_publisher(bus)
    FlakyShard.faults.clear()
    alive: list[tuple[Worker[FlakyShard], GroupConsumer, asyncio.Task[None]]] = []
    sent = 0

    def start() -> None:
        worker = make_worker(bus, topic, store, publisher)
        alive.append((worker, bus.consumers[-1], asyncio.create_task(worker.run())))

    for step in [*taken, "start"]:
        if step == "send":
            await publish(bus, [numbered(topic, n % 3, n) for n in range(sent, sent + 20)])
            sent += 20
        elif step == "start" and len(alive) < 3:
            start()
        elif step in ("restore", "before", "after"):
            FlakyShard.faults[step] += 1
        elif step == "stop" and alive:
            worker, _, task = alive.pop(0)
            worker.stop()
            await task
        elif step == "kill" and alive:
            await crash(*alive.pop(0))
        with suppress(TimeoutError):
            await until(partial(has_stored, store, sent), timeout_s=0.03)
    if not alive:
        start()
    await until(lambda: stored(store) == sent, timeout_s=20)
    for worker, _, task in alive:
        worker.stop()
        await task
    await publisher.stop()
    for partition, numbers in store.numbers.items():
        assert numbers == tuple(range(partition.partition, sent, 3))


def stored(store: MemoryStore) -> int:
    return sum(map(len, store.numbers.values()))


def has_stored(store: MemoryStore, count: int) -> bool:
    return stored(store) == count


async def crash(
    worker: Worker[FlakyShard], consumer: GroupConsumer, task: asyncio.Task[None]
) -> None:
    """As kill -9: no checkpoint and no commit; the group notices."""
    assert isinstance(consumer, MemoryConsumer)
    consumer.kill()
    ended = {task, *worker._tasks.values()}
    for each in ended:
        each.cancel()
    await asyncio.wait(ended)


async def test_fenced_checkpoint_restores_without_commit() -> None:
    """Another owner has moved on: what the shard had is dropped, and the newer state is taken."""
    bus, topic, store = MemoryBus(), make_topic(partitions=1), MemoryStore()
    await bus.create([topic])
    publisher = await make_publisher(bus)
    await publish(bus, [numbered(topic, 0, n) for n in range(10)])
    partition = TopicPartition(topic.name, 0)
    fenced = 0

    class FencedShard(RememberingShard):
        async def checkpoint(self, offsets: Mapping[str, int]) -> None:
            nonlocal fenced
            if not fenced:
                fenced += 1
                store.save(0, {partition: range(6)}, {topic.name: 6})
                raise FencedError("expected offset 0, was 6")
            await super().checkpoint(offsets)

    worker = Worker(
        bus,
        [Route(topic, Progress, remember)],
        group="g",
        shard_factory=lambda number: FencedShard(number, store),
        publisher=publisher,
        service="tests",
        settings=FAST,
    )
    task = asyncio.create_task(worker.run())
    await until(lambda: store.offsets.get(0, {}).get(topic.name) == 10)
    worker.stop()
    await task
    assert store.numbers[partition] == tuple(range(10))


async def test_offset_that_retention_took_is_counted_and_skipped() -> None:
    """The loss is loud, and the partition goes on at the earliest record."""
    bus, store = MemoryBus(max_records_per_partition=10), MemoryStore()
    topic = make_topic(partitions=1)
    await bus.create([topic])
    publisher = await make_publisher(bus)
    await publish(bus, [numbered(topic, 0, n) for n in range(50)])
    store.save(0, {}, {topic.name: 15})
    metrics = Heard()

    worker = Worker(
        bus,
        [Route(topic, Progress, remember)],
        group="g",
        shard_factory=lambda number: RememberingShard(number, store),
        publisher=publisher,
        service="tests",
        settings=FAST,
        metrics=metrics,
    )
    task = asyncio.create_task(worker.run())
    await until(lambda: store.offsets[0][topic.name] == 50 and metrics.lags[-1:] == [0])
    worker.stop()
    await task
    assert metrics.lost_records == [25]
    assert store.numbers[TopicPartition(topic.name, 0)] == tuple(range(40, 50))


async def test_what_retention_takes_from_a_reader_that_stands_is_counted() -> None:
    """Not only at a start: records that vanish before a slow shard are no silent jump."""
    bus, store, held = MemoryBus(max_records_per_partition=10), MemoryStore(), asyncio.Event()
    topic = make_topic(partitions=1)
    await bus.create([topic])
    publisher = await make_publisher(bus)
    metrics = Heard()

    async def slowly(shard: RememberingShard, incoming: Incoming[Progress]) -> None:
        await held.wait()
        await remember(shard, incoming)

    worker = Worker(
        bus,
        [Route(topic, Progress, slowly)],
        group="g",
        shard_factory=lambda number: RememberingShard(number, store),
        publisher=publisher,
        service="tests",
        settings=replace(FAST, max_inbox_records=5),
        metrics=metrics,
    )
    task = asyncio.create_task(worker.run())
    await publish(bus, [numbered(topic, 0, n) for n in range(8)])
    await asyncio.sleep(0.1)
    await publish(bus, [numbered(topic, 0, n) for n in range(8, 60)])
    held.set()
    await until(lambda: store.offsets.get(0, {}).get(topic.name) == 60)
    worker.stop()
    await task
    seen = store.numbers[TopicPartition(topic.name, 0)]
    assert len(seen) < 60
    assert sum(metrics.lost_records) == 60 - len(seen)


async def test_poison_without_a_twin_stops_the_worker() -> None:
    """A topic without dead letters cannot skip a record silently."""
    bus = MemoryBus()
    await bus.create([CONTROL_TOPICS_V1])
    await publish(bus, [Outgoing(CONTROL_TOPICS_V1.name, 0, b"k", b"\xff")])
    worker: Worker[StatelessShard] = Worker(
        bus,
        [Route(CONTROL_TOPICS_V1, Progress, ignore)],
        group="g",
        shard_factory=lambda _: StatelessShard(),
        publisher=await make_publisher(bus),
        service="tests",
        settings=FAST,
    )
    with pytest.raises(RetriesExhaustedError, match="missing_schema"):
        await asyncio.wait_for(worker.run(), 20)


async def ignore(_: StatelessShard, __: Incoming[Progress]) -> None: ...


async def test_handler_runs_within_the_producers_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sampled record's handler sees a span whose parent is the producer's; others see none."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("test")
    monkeypatch.setattr(tracing, "_tracer", tracer)
    bus, topic = MemoryBus(), make_topic(partitions=1)
    await bus.create([topic])
    with tracer.start_as_current_span("produce") as produced:
        traced = outgoing(topic, Progress(source="s"), key="k", subject="k", now_ns=1)
    await publish(bus, [traced, numbered(topic, 0, 1)])
    contexts: list[trace.SpanContext] = []

    async def note(_: StatelessShard, __: Incoming[Progress]) -> None:
        contexts.append(trace.get_current_span().get_span_context())

    worker: Worker[StatelessShard] = Worker(
        bus,
        [Route(topic, Progress, note)],
        group="g",
        shard_factory=lambda _: StatelessShard(),
        publisher=await make_publisher(bus),
        service="tests",
        settings=FAST,
    )
    task = asyncio.create_task(worker.run())
    await until(lambda: len(contexts) == 2)
    worker.stop()
    await task
    assert contexts[0].trace_id == produced.get_span_context().trace_id
    assert not contexts[1].is_valid
    consumed = exporter.get_finished_spans()[-1]
    assert consumed.parent is not None
    assert consumed.parent.span_id == produced.get_span_context().span_id


class PatientRememberingShard(RememberingShard):
    """Says what the test wants of it."""

    may_wait = True


async def test_what_may_wait_is_stored_with_what_may_not_or_at_the_end() -> None:
    bus, store = MemoryBus(), MemoryStore()
    topic = make_topic(partitions=1)
    await bus.create([topic])
    publisher = await make_publisher(bus)
    part = TopicPartition(topic.name, 0)
    shards: list[PatientRememberingShard] = []

    def make_shard(number: int) -> PatientRememberingShard:
        shards.append(PatientRememberingShard(number, store))
        return shards[-1]

    worker = Worker(
        bus,
        [Route(topic, Progress, remember)],
        group="g",
        shard_factory=make_shard,
        publisher=publisher,
        service="tests",
        settings=replace(FAST, checkpoint_records=1, patient_interval_s=60.0),
    )
    running = asyncio.create_task(worker.run())
    try:
        await publish(bus, [numbered(topic, 0, number) for number in range(3)])
        await until(lambda: bool(shards) and len(shards[0].seen[part]) == 3)
        await asyncio.sleep(20 * FAST.checkpoint_interval_s)
        assert not store.offsets, "a checkpoint has not waited"
        shards[0].may_wait = False
        await publish(bus, [numbered(topic, 0, 3)])
        await until(lambda: store.offsets.get(0, {}).get(topic.name) == 4)
        shards[0].may_wait = True
        await publish(bus, [numbered(topic, 0, 4)])
        await until(lambda: len(shards[0].seen[part]) == 5)
    finally:
        worker.stop()
        await running
    assert store.offsets[0][topic.name] == 5
