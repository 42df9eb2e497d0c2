"""What a worker does on every bus: checkpoints, restarts, poison, retries."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial

import pytest

from teleglas.bus.v1.dead_letter_pb2 import DeadLetter
from teleglas.market.v1.gap_pb2 import Gap
from teleglas.market.v1.progress_pb2 import Progress
from teleglas_common.bus.encode import outgoing
from teleglas_common.bus.epochs import ensure_epochs
from teleglas_common.bus.lineage import RecreatedTopicError
from teleglas_common.bus.ports import (
    Bus,
    Handler,
    Incoming,
    Outgoing,
    PoisonError,
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
    read_all,
    remember,
    until,
)
from teleglas_common.bus.worker import StuckError, Worker
from teleglas_common.bus.worker_settings import WorkerSettings
from teleglas_contracts.topic import Topic

FAST = WorkerSettings(
    poll_timeout_s=0.05, checkpoint_interval_s=0.05, retry_initial_s=0.01, retries=3
)


@asynccontextmanager
async def working(
    bus: Bus,
    topics: list[Topic],
    store: MemoryStore,
    *,
    handler: Handler[RememberingShard, Progress] = remember,
    group: str = "workers",
    settings: WorkerSettings = FAST,
) -> AsyncIterator[asyncio.Task[None]]:
    """A running worker, stopped in the end as SIGTERM would."""
    publisher = bus.publisher()
    await publisher.start()
    worker = Worker(
        bus,
        [Route(topic, Progress, handler) for topic in topics],
        group=group,
        shard_factory=lambda number: RememberingShard(number, store),
        publisher=publisher,
        service="tests",
        settings=settings,
    )
    task = asyncio.create_task(worker.run())
    try:
        yield task
        worker.stop()
        await task
    finally:
        task.cancel()
        await asyncio.wait({task})
        await publisher.stop()


def stored(store: MemoryStore) -> int:
    return sum(map(len, store.numbers.values()))


def has_length(items: list[int], count: int) -> bool:
    return len(items) == count


def has_stored(store: MemoryStore, count: int) -> bool:
    return stored(store) == count


async def test_worker_handles_each_partition_in_order_and_commits(bus: Bus) -> None:
    """Every record reaches its shard once and in order; offsets are stored with the state."""
    topics = [make_topic(), make_topic()]
    await bus.create(topics)
    await publish(bus, [numbered(t, n % 4, n) for n in range(2_000) for t in topics])
    store = MemoryStore()
    async with working(bus, topics, store):
        await until(lambda: stored(store) == 4_000)
    for topic in topics:
        for p in range(4):
            expected = tuple(range(p, 2_000, 4))
            assert store.numbers[TopicPartition(topic.name, p)] == expected
            assert store.offsets[p][topic.name] == 500


async def test_restarted_worker_goes_on_from_the_shards_checkpoint(bus: Bus) -> None:
    """The stored offsets decide, not the group's: nothing is handled twice or left out."""
    topic = make_topic()
    await bus.create([topic])
    store = MemoryStore()
    for start in range(0, 900, 300):
        await publish(bus, [numbered(topic, n % 4, n) for n in range(start, start + 300)])
        async with working(bus, [topic], store, group=f"g{start}"):
            await until(partial(has_stored, store, start + 300))
    assert store.numbers[TopicPartition(topic.name, 1)] == tuple(range(1, 900, 4))


async def test_worker_refuses_offsets_of_a_topic_that_was_created_anew(bus: Bus) -> None:
    """An offset of a log that is gone would skip records of the new one without a word."""
    topic = make_topic(partitions=1)
    await bus.create([topic])
    await publish(bus, [numbered(topic, 0, n) for n in range(10)])
    store = MemoryStore()
    async with working(bus, [topic], store):
        await until(lambda: stored(store) == 10)
    publisher = bus.publisher()
    await publisher.start()
    await ensure_epochs(bus, publisher, [topic], {topic.name})
    await publisher.stop()
    before = store.checkpoints
    with pytest.raises(RecreatedTopicError, match="created anew"):
        async with working(bus, [topic], store) as task:
            await asyncio.wait_for(asyncio.shield(task), 30)
    assert store.checkpoints == before


async def test_two_workers_share_and_hand_over_without_loss(bus: Bus) -> None:
    """Workers of one group that come and go leave each record handled exactly once."""
    topic = make_topic()
    await bus.create([topic])
    store = MemoryStore()
    async with working(bus, [topic], store):
        await publish(bus, [numbered(topic, n % 4, n) for n in range(400)])
        async with working(bus, [topic], store):
            await publish(bus, [numbered(topic, n % 4, n) for n in range(400, 800)])
            await until(lambda: stored(store) >= 600)
        await publish(bus, [numbered(topic, n % 4, n) for n in range(800, 1_200)])
        await until(lambda: stored(store) == 1_200)
    for p in range(4):
        assert store.numbers[TopicPartition(topic.name, p)] == tuple(range(p, 1_200, 4))


async def test_poison_goes_to_the_twin_and_the_partition_goes_on(bus: Bus) -> None:
    """Each kind of poison is kept with bytes, offset and cause; its neighbours are handled."""
    topic = make_topic(partitions=1)
    await bus.create([topic])
    good = numbered(topic, 0, 1)
    schema = good.headers[:1]
    poison = {
        "missing_schema": Outgoing(topic.name, 0, b"k", good.value),
        "unknown_schema": Outgoing(topic.name, 0, b"k", b"?", (("schema", b"no.Such"),)),
        "foreign_schema": Outgoing(
            topic.name, 0, b"k", b"", (("schema", b"teleglas.market.v1.Candle"),)
        ),
        "decode_failed": Outgoing(topic.name, 0, b"k", b"\xff\xff\xff", schema),
        "missing_value": Outgoing(topic.name, 0, b"k", None, schema),
        "too_large": Outgoing(topic.name, 0, b"k", bytes(5_000), schema),
        "refused_value": numbered(topic, 0, -5),
    }
    sent = [record for bad in poison.values() for record in (good, bad)]
    await publish(bus, [*sent, good])
    store = MemoryStore()
    settings = replace(FAST, max_record_bytes=4_000)
    async with working(bus, [topic], store, settings=settings):
        await until(lambda: store.offsets.get(0, {}).get(topic.name) == len(sent) + 1)
    assert stored(store) == len(poison) + 1
    (records,) = (await read_all(bus, f"{topic.name}.dlt")).values()
    letters = [DeadLetter.FromString(record.value or b"") for record in records]
    assert [letter.cause for letter in letters] == list(poison)
    for position, (letter, bad) in enumerate(zip(letters, poison.values(), strict=True)):
        assert (letter.topic, letter.partition) == (topic.name, 0)
        assert letter.offset == 2 * position + 1
        assert letter.value == (bad.value or b"")
        assert tuple((h.name, h.value) for h in letter.headers) == bad.headers
        assert letter.consumer == "tests/workers"
        assert "expected" in letter.detail


async def test_failing_handler_is_retried_from_the_checkpoint(bus: Bus) -> None:
    """An error that is not poison drops the shard and reads again: the effect is as without it."""
    topic = make_topic(partitions=2)
    await bus.create([topic])
    await publish(bus, [numbered(topic, n % 2, n) for n in range(200)])
    store, failures = MemoryStore(), iter([True, True])

    async def flaky(shard: RememberingShard, incoming: Incoming[Progress]) -> None:
        if incoming.message.ts_event == 101 and next(failures, False):
            raise ConnectionError("the database is away")
        await remember(shard, incoming)

    async with working(bus, [topic], store, handler=flaky):
        await until(lambda: stored(store) == 200)
    assert next(failures, None) is None
    for p in range(2):
        assert store.numbers[TopicPartition(topic.name, p)] == tuple(range(p, 200, 2))


async def test_lasting_failure_stops_loudly_without_commit(bus: Bus) -> None:
    """When the retries are used up `run` raises, and what failed is not committed anywhere."""
    topic = make_topic(partitions=1)
    await bus.create([topic])
    await publish(bus, [numbered(topic, 0, n) for n in range(10)])
    store = MemoryStore()
    tries = 0

    async def broken(_: RememberingShard, __: Incoming[Progress]) -> None:
        nonlocal tries
        tries += 1
        raise ConnectionError("the database is gone")

    with pytest.raises(RetriesExhaustedError, match="the database is gone"):
        async with working(bus, [topic], store, handler=broken) as task:
            await asyncio.wait({task}, timeout=30)
    assert tries == FAST.retries + 1
    assert store.checkpoints == 0
    observer = bus.consumer([topic.name], "workers")

    class Idle:
        async def assigned(self, partitions: object) -> None: ...
        async def revoked(self, partitions: object) -> None: ...

    await observer.start(Idle())
    await observer.poll(max_records=1, timeout_s=0.1)
    assert await observer.committed(TopicPartition(topic.name, 0)) is None
    await observer.stop()


async def test_stuck_handler_stops_the_worker(bus: Bus) -> None:
    """A handler that never comes back is named instead of waited for."""
    topic = make_topic(partitions=1)
    await bus.create([topic])
    await publish(bus, [numbered(topic, 0, 1)])

    async def stuck(_: RememberingShard, __: Incoming[Progress]) -> None:
        await asyncio.Event().wait()

    settings = WorkerSettings(poll_timeout_s=0.05, stuck_after_s=0.3, drain_timeout_s=0.2)
    with pytest.raises(StuckError, match=r"at offset 0"):
        async with working(bus, [topic], MemoryStore(), handler=stuck, settings=settings) as task:
            await asyncio.wait({task}, timeout=30)


async def test_slow_shard_holds_the_log_back(bus: Bus) -> None:
    """What waits for a slow handler stays bounded, and other partitions are not held back."""
    topic = make_topic(partitions=2)
    await bus.create([topic])
    await publish(bus, [numbered(topic, n % 2, n) for n in range(4_000)])
    store, gate = MemoryStore(), asyncio.Event()

    async def slow(shard: RememberingShard, incoming: Incoming[Progress]) -> None:
        if shard.number == 0:
            await gate.wait()
        await remember(shard, incoming)

    settings = WorkerSettings(
        poll_timeout_s=0.05, checkpoint_interval_s=0.05, max_inbox_records=100, max_poll_records=50
    )
    async with working(bus, [topic], store, handler=slow, settings=settings):
        await until(lambda: len(store.numbers.get(TopicPartition(topic.name, 1), ())) == 2_000)
        assert not store.numbers.get(TopicPartition(topic.name, 0))
        gate.set()
        await until(lambda: stored(store) == 4_000)
    assert store.numbers[TopicPartition(topic.name, 0)] == tuple(range(0, 4_000, 2))


async def test_stateless_worker_goes_on_from_the_committed_offsets(bus: Bus) -> None:
    """Without state of its own a shard stands on the group's commits."""
    topic = make_topic(partitions=2)
    await bus.create([topic])
    seen: list[int] = []

    async def note(_: StatelessShard, incoming: Incoming[Progress]) -> None:
        if incoming.message.ts_event == 13:
            raise PoisonError("refused_value", "expected another number, was 13")
        seen.append(incoming.message.ts_event)

    publisher = bus.publisher()
    await publisher.start()
    for start in (0, 50):
        await publish(bus, [numbered(topic, n % 2, n) for n in range(start, start + 50)])
        worker = Worker(
            bus,
            [Route(topic, Progress, note)],
            group="stateless",
            shard_factory=lambda _: StatelessShard(),
            publisher=publisher,
            service="tests",
            settings=FAST,
        )
        task = asyncio.create_task(worker.run())
        await until(partial(has_length, seen, start + 49))
        worker.stop()
        await task
    await publisher.stop()
    assert sorted(seen) == [n for n in range(100) if n != 13]


async def test_offset_passes_records_that_have_no_handler(bus: Bus) -> None:
    """A partition that ends in a schema without a route, or in tombstones, has no lag left."""
    topic = replace(
        make_topic(partitions=1), schemas=(Progress.DESCRIPTOR.full_name, Gap.DESCRIPTOR.full_name)
    )
    kept = replace(make_topic(partitions=1), compacted=True)
    await bus.create([topic, kept])
    unrouted = outgoing(topic, Gap(), key="k", subject="s", now_ns=0)
    tombstone = Outgoing(kept.name, 0, b"k", None)
    await publish(bus, [numbered(topic, 0, 1), unrouted, unrouted, numbered(kept, 0, 1), tombstone])
    store = MemoryStore()
    async with working(bus, [topic, kept], store):
        ends = {topic.name: 3, kept.name: 2}
        await until(lambda: ends.items() <= store.offsets.get(0, {}).items())
    assert stored(store) == 2
