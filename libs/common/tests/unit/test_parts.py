import asyncio
from pathlib import Path

import pytest
from pydantic import SecretStr

from teleglas.market.v1.progress_pb2 import Progress
from teleglas_common.bus.memory import MemoryBus
from teleglas_common.bus.ports import Bus, Publisher, Route, TopicPartition
from teleglas_common.bus.testing import (
    MemoryStore,
    RememberingShard,
    make_topic,
    numbered,
    publish,
    remember,
)
from teleglas_common.bus.worker import Worker
from teleglas_common.bus.worker_settings import WorkerSettings
from teleglas_common.parts import Database, Periodic, Shards
from teleglas_common.settings import PostgresSection
from teleglas_common.testing import eventually
from teleglas_contracts.topic import Topic


def worker(
    bus: Bus, topic: Topic, made: list[RememberingShard], store: MemoryStore, publisher: Publisher
) -> Worker[RememberingShard]:
    """Stores nothing before it is stopped."""

    def make(number: int) -> RememberingShard:
        made.append(RememberingShard(number, store))
        return made[-1]

    return Worker(
        bus,
        [Route(topic, Progress, remember)],
        group="g",
        shard_factory=make,
        publisher=publisher,
        service="tests",
        settings=WorkerSettings(poll_timeout_s=0.01, checkpoint_interval_s=3_600.0),
    )


async def test_shards_are_ready_once_restored_and_store_when_they_stop() -> None:
    """What was handled before the stop is stored when the stop is over."""
    bus, topic, store = MemoryBus(), make_topic(partitions=1), MemoryStore()
    made: list[RememberingShard] = []
    await bus.create([topic])
    await publish(bus, [numbered(topic, 0, 7), numbered(topic, 0, 8)])
    publisher = bus.publisher()
    await publisher.start()
    shards = Shards(lambda: worker(bus, topic, made, store, publisher))
    assert await shards.check() == "shards are being restored"
    await shards.start()
    running = asyncio.create_task(shards.run())
    await eventually(lambda: made and len(made[0].seen[TopicPartition(topic.name, 0)]) == 2)
    assert await shards.check() is None
    assert store.checkpoints == 0
    await shards.stop()
    await running
    assert store.numbers == {TopicPartition(topic.name, 0): (7, 8)}
    assert store.offsets[0][topic.name] == 2
    await publisher.stop()


async def test_shards_that_never_started_stop_at_once_and_do_not_run() -> None:
    """A start that failed leaves nothing to wait for."""

    def fails() -> Worker[RememberingShard]:
        raise OSError("no database")

    shards = Shards(fails)
    with pytest.raises(OSError, match="no database"):
        await shards.start()
    await asyncio.wait_for(shards.stop(), 5)
    with pytest.raises(RuntimeError, match="expected a started worker"):
        await shards.run()


async def test_periodic_work_is_done_again_and_again_until_stopped() -> None:
    """Each turn waits for the one before; the stop ends it."""
    done: list[int] = []

    async def work() -> None:
        done.append(1)

    part = Periodic(0.001, work)
    await part.start()
    running = asyncio.create_task(part.run())
    await eventually(lambda: len(done) >= 3)
    await part.stop()
    await asyncio.wait_for(running, 5)


async def test_periodic_work_that_is_not_due_is_not_begun_by_the_stop() -> None:
    """The first turn comes after the time, and a stop does not wait for it."""
    done: list[int] = []

    async def work() -> None:
        done.append(1)

    part = Periodic(3_600.0, work)
    running = asyncio.create_task(part.run())
    await asyncio.sleep(0)
    await part.stop()
    await asyncio.wait_for(running, 5)
    assert not done


async def test_periodic_work_that_fails_ends_its_run() -> None:
    """So the process ends loudly; what may pass is the work's own to catch."""

    async def work() -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        await asyncio.wait_for(Periodic(0.001, work).run(), 5)


async def test_a_database_that_is_not_started_has_no_pool_and_stops(tmp_path: Path) -> None:
    """Who asks too early is told so."""
    section = PostgresSection(dsn=SecretStr("postgresql://localhost/none"))
    database = Database(section, "tests", "tests", tmp_path)
    with pytest.raises(RuntimeError, match="expected a started database"):
        await database.check()
    await database.stop()
