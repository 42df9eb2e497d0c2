"""Faults of services and servers: the alert fires, and clears when the fault is over."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from teleglas_common.bus.kafka.rebalance import NumberAssignor
from teleglas_common.bus.ports import Outgoing, Record
from teleglas_common.testing import eventually
from teleglas_contracts import topics
from tests.observability.world import FIRES_S, World, frozen, ordered
from tests.support.product import connected
from tests.support.stream import not_reading

pytestmark = [
    pytest.mark.observability,
    pytest.mark.timeout(900),
    pytest.mark.asyncio(loop_scope="session"),
]


async def test_the_watchdog_reaches_its_receiver(world: World) -> None:
    """The way from Prometheus over Alertmanager to a receiver is open."""
    await world.fires("Watchdog")
    await eventually(lambda: "Watchdog" in world.told.names("watchdog"), timeout_s=60, every_s=0.5)


async def test_a_service_that_is_away(world: World) -> None:
    """It is down, its paths burn the budget, and people are told."""
    process = world.product.processes["prediction"]
    names = ("ServiceDown", "ReplicaDown", "AvailabilityBudgetBurns")
    await world.product.stop_part("prediction")
    await world.fires(*names)
    await eventually(lambda: "ServiceDown" in world.told.names("page"), timeout_s=60, every_s=0.5)
    await process.start()
    await world.clears(*names)


async def test_a_frozen_kafka(world: World) -> None:
    with frozen(world.product.stack.kafka.process):
        await world.fires("KafkaUnreachable")
    await world.clears("KafkaUnreachable")


async def test_a_frozen_database(world: World) -> None:
    with frozen(world.product.stack.postgres.process):
        await world.fires("PostgreSQLUnreachable", "ServiceNotReady")
    await world.clears("PostgreSQLUnreachable", "ServiceNotReady")


async def test_a_frozen_cache(world: World) -> None:
    with frozen(world.product.stack.valkey.process):
        await world.fires("RedisUnreachable")
    await world.clears("RedisUnreachable")


async def test_poison(world: World) -> None:
    """Records that nobody can read are counted, buried and told of."""
    publisher = world.product.bus.publisher()
    await publisher.start()

    async def assert_told() -> None:
        await publisher.send(Outgoing(topics.MARKET_TRADES_V1.name, 0, b"poison", b"\xff\xff"))
        await publisher.flush()
        firing = {name for name, _, _ in await world.prometheus.firing()}
        assert "DeadLetters" in firing

    await eventually(assert_told, timeout_s=FIRES_S, every_s=1)
    await publisher.stop()
    await world.clears("DeadLetters")


async def test_a_bot_api_that_takes_nothing(world: World) -> None:
    """Messages wait; those that come late burn the budget."""
    url = f"{world.product.layout.chat_url}/control/fault"
    await ordered(url, kinds=["server_error"], methods=["sendMessage", "sendPhoto"], count=10**6)
    await world.fires("OutboxOld", "ChannelFails")
    await asyncio.sleep(30)
    await ordered(url, count=0)
    await world.fires("DeliveryBudgetBurns")
    await world.clears("OutboxOld", "ChannelFails", "DeliveryBudgetBurns")


async def test_a_slow_database(world: World) -> None:
    """A table that is locked: checkpoints take long, and the reader stands."""
    async with connected(world.product) as database, database.transaction():
        await database.execute("LOCK TABLE market_data.shard_checkpoints IN ACCESS EXCLUSIVE MODE")
        await world.fires("ConsumerStuck")
    await world.fires("CheckpointsSlow")
    await world.clears("ConsumerStuck", "CheckpointsSlow")


async def test_a_stranger_in_a_consumer_group(world: World) -> None:
    """It takes partitions, and nobody of ours owns them."""
    stranger = AIOKafkaConsumer(
        topics.MARKET_CANDLES_V1.name,
        bootstrap_servers=world.product.stack.kafka_bootstrap,
        group_id="prediction",
        partition_assignment_strategy=(NumberAssignor,),
        enable_auto_commit=False,
    )
    await stranger.start()
    try:
        await world.fires("ShardNotOwned")
    finally:
        await stranger.stop()
    await world.clears("ShardNotOwned")


async def test_old_data_for_clients(world: World) -> None:
    """A gateway that stands for seconds writes late."""

    async def assert_burning() -> None:
        with frozen(world.product.processes["gateway"]):
            await asyncio.sleep(2.5)
        await asyncio.sleep(1.5)
        assert "FreshnessBudgetBurns" in {name for name, _, _ in await world.prometheus.firing()}

    await eventually(assert_burning, timeout_s=FIRES_S, every_s=0.1)
    await world.clears("FreshnessBudgetBurns")


async def test_a_store_of_traces_that_is_away(world: World) -> None:
    jaeger = world.traced.jaeger.process
    await jaeger.kill9()
    await world.fires("TracesLost")
    await jaeger.start()
    await world.clears("TracesLost")


async def test_a_service_that_dies_again_and_again(world: World) -> None:
    process = world.product.processes["prediction"]
    await world.product.leave("prediction")

    async def assert_seen() -> None:
        await process.kill9()
        await process.start()
        assert "RestartLoop" in {name for name, _, _ in await world.prometheus.firing()}

    await eventually(assert_seen, timeout_s=FIRES_S, every_s=1)
    await world.clears("RestartLoop")


async def stands_at_the_end(world: World, schema: str, minutes: int, alert: str) -> None:
    """A service's shards stand while candles close, and so it makes nothing of them."""
    period_s = 60 * minutes
    await asyncio.sleep((period_s - 28 - time.time()) % period_s)
    async with connected(world.product) as database, database.transaction():
        await database.execute(f"LOCK TABLE {schema}.shard_checkpoints IN ACCESS EXCLUSIVE MODE")
        await world.fires(alert)
    await world.clears(alert)


async def test_a_scorer_that_stands(world: World) -> None:
    await stands_at_the_end(world, "signal_scorer", 1, "ScoresStop")


async def test_a_forecaster_that_stands(world: World) -> None:
    await stands_at_the_end(world, "prediction", 5, "ForecastsStop")


async def again(world: World, name: str) -> None:
    """A service ends and starts."""
    await world.product.stop_part(name)
    await world.product.processes[name].start()


async def test_a_model_that_cannot_be_used(world: World) -> None:
    """Said for as long as the process lives that read it."""
    world.models.mkdir()
    broken = world.models / "broken.json"
    broken.write_text("{")
    await again(world, "prediction")
    await world.fires("ModelRefused")
    broken.unlink()
    await again(world, "prediction")
    await world.clears("ModelRefused")


async def forget(world: World, topic: str) -> None:
    """Retention takes everything that a topic holds now."""
    ends = await world.product.bus.ends([topic])
    admin = AIOKafkaAdminClient(bootstrap_servers=world.product.stack.kafka_bootstrap)
    await admin.start()
    try:
        await admin.delete_records(
            {KafkaPartition(*part): RecordsToDelete(end) for part, end in ends.items() if end}
        )
    finally:
        await admin.close()


async def test_shards_that_fail_while_the_log_forgets(world: World) -> None:
    """A table is away, so shards begin again and again; what the log loses meanwhile is said."""
    async with connected(world.product) as database:
        await database.execute("ALTER TABLE prediction.shard_checkpoints RENAME TO away")
        try:
            await world.fires("ShardsRestart")
            await forget(world, topics.MARKET_CANDLES_V1.name)
        finally:
            await database.execute("ALTER TABLE prediction.away RENAME TO shard_checkpoints")
    await world.fires("RecordsLost")
    await world.clears("ShardsRestart", "RecordsLost")


async def test_a_reader_far_behind(world: World) -> None:
    """More than 20,000 records wait for one that stands: copies of one, which mean nothing new."""
    name = topics.MARKET_CANDLES_V1.name
    begins = await world.product.bus.begins([name])
    reader, publisher = world.product.bus.reader(begins), world.product.bus.publisher()
    await reader.start()

    async def first() -> Record:
        polled = await reader.poll(max_records=100, timeout_s=1.0)
        return next(records[0] for records in polled.values())

    async with connected(world.product) as database, database.transaction():
        await database.execute("LOCK TABLE prediction.shard_checkpoints IN ACCESS EXCLUSIVE MODE")
        one = await eventually(first, timeout_s=30, every_s=0.5)
        await publisher.start()
        for _ in range(25_000):
            copy = Outgoing(one.topic, one.partition, one.key, one.value, one.headers)
            await publisher.send(copy)
        await publisher.flush()
        await world.fires("ConsumerLags")
    await publisher.stop()
    await reader.stop()
    await world.clears("ConsumerLags")


async def test_clients_that_do_not_read(world: World) -> None:
    async with AsyncExitStack() as clients:
        for _ in range(30):
            await clients.enter_async_context(not_reading(world.product, ("BTC-USDT", "ETH-USDT")))
        await world.fires("SlowReadersClosed")
    await world.clears("SlowReadersClosed")
