"""The service's worker on any bus, with a store in memory that keeps the promises of PostgreSQL."""

from __future__ import annotations

import asyncio
import json
import math
import random
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from teleglas.market.v1.candle_pb2 import Candle
from teleglas.prediction.v1.prediction_pb2 import Forecast
from teleglas_common.bus.encode import EVENT_ID, decode, header, outgoing
from teleglas_common.bus.memory import MemoryBus
from teleglas_common.bus.ports import Bus, FencedError, Outgoing
from teleglas_common.bus.testing import crash, publish, read_all, until_stored
from teleglas_common.bus.worker import Worker
from teleglas_common.bus.worker_settings import WorkerSettings
from teleglas_common.clock import SystemClock
from teleglas_common.telemetry import Metrics
from teleglas_common.testing import eventually
from teleglas_contracts import topics
from teleglas_contracts.messages import without_volatile
from teleglas_prediction.counts import Counts
from teleglas_prediction.lineups import Lineups
from teleglas_prediction.ports import Checkpoint, Restored, Store
from teleglas_prediction.routes import GROUP, READS, ROUTES, WRITES
from teleglas_prediction.shard import Live, PredictionShard, Tools

__all__ = [
    "BEGIN_NS",
    "LENGTHS_S",
    "FakeStore",
    "Rig",
    "candle",
    "candles",
    "digest",
    "ledger_of",
    "raw",
]

SECOND_NS = 1_000_000_000
BEGIN_NS = 1_735_689_600 * SECOND_NS
LENGTHS_S = {"1m": 60, "5m": 300, "15m": 900, "1h": 3_600, "4h": 14_400}


@dataclass
class FakeStore:
    """Everything of a checkpoint, or nothing."""

    generations: dict[int, int] = field(default_factory=dict)
    offsets: dict[int, dict[str, int]] = field(default_factory=dict)
    states: dict[int, dict[str, bytes]] = field(default_factory=dict)
    issued: dict[str, bytes] = field(default_factory=dict)
    resolved: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    saves: int = 0

    async def restore(self, shard: int) -> Restored:
        self.generations[shard] = self.generations.get(shard, 0) + 1
        return Restored(
            self.generations[shard],
            dict(self.offsets.get(shard, {})),
            dict(self.states.get(shard, {})),
        )

    async def save(self, checkpoint: Checkpoint) -> None:
        shard = checkpoint.shard
        if self.generations[shard] != checkpoint.generation:
            raise FencedError(f"expected {self.generations[shard]}, was {checkpoint.generation}")
        self.saves += 1
        self.offsets[shard] = dict(checkpoint.offsets)
        self.states.setdefault(shard, {}).update(checkpoint.states)
        for one in checkpoint.issued:
            self.issued[one.forecast.id] = one.forecast.SerializeToString(deterministic=True)
        for done in checkpoint.resolved:
            outcome = done.outcome
            self.resolved[done.forecast_id] = (
                outcome.ts_resolved, outcome.price, outcome.covered, outcome.loss, outcome.walk_loss
            )  # fmt: skip


@dataclass
class Rig:
    """One bus and one store; workers on them come and go."""

    bus: Bus = field(default_factory=MemoryBus)
    store: Store = field(default_factory=FakeStore)
    pool: Any = None
    live: Live = field(default_factory=Live)
    lineups: Lineups = field(default_factory=Lineups)
    group: str = GROUP
    checkpoint_s: float = 0.05

    async def create(self) -> None:
        await self.bus.create([*READS, *WRITES])

    async def send(self, records: Iterable[Outgoing]) -> None:
        await publish(self.bus, list(records))

    async def start(self) -> tuple[Worker[PredictionShard], asyncio.Task[None]]:
        publisher = self.bus.publisher()
        await publisher.start()
        tools = Tools(
            self.store, publisher, self.live, self.lineups, SystemClock(), Counts(Metrics())
        )
        worker = Worker(
            self.bus,
            ROUTES,
            group=self.group,
            shard_factory=lambda number: PredictionShard(number, tools),
            publisher=publisher,
            service="prediction",
            settings=WorkerSettings(checkpoint_interval_s=self.checkpoint_s, turn_records=16),
        )
        return worker, asyncio.create_task(worker.run())

    async def drain(self, timeout_s: float = 30.0) -> None:
        """Run until everything that is in the topics was handled and stored."""
        worker, task = await self.start()
        await self.handled(task, timeout_s)
        worker.stop()
        await task

    async def handled(self, task: asyncio.Task[None], timeout_s: float = 30.0) -> None:
        """Wait until a running worker has stored all that is in the topics."""
        await until_stored(self.bus, READS, task, self.stored_offsets, timeout_s)

    async def run_and_crash(self, saves: int) -> None:
        """Run until so many checkpoints are stored, then end without another."""
        until = self.fake.saves + saves
        _, task = await self.start()
        with suppress(AssertionError):
            await eventually(lambda: self.fake.saves >= until, timeout_s=0.3, every_s=0.001)
        await crash(task)

    @property
    def fake(self) -> FakeStore:
        assert isinstance(self.store, FakeStore)
        return self.store

    async def stored_offsets(self) -> dict[tuple[str, int], int]:
        """Offsets of the last checkpoints, by topic and partition number."""
        if self.pool is None:
            found = self.fake.offsets
        else:
            rows = await self.pool.fetch("SELECT shard, offsets FROM prediction.shard_checkpoints")
            found = {row["shard"]: json.loads(row["offsets"]) for row in rows}
        return {
            (topic, number): offset
            for number, offsets in found.items()
            for topic, offset in offsets.items()
        }


def candle(at: int, close: int, *, interval: str = "1m", instrument: str = "BTC-USDT") -> Candle:
    """The closed composite candle number `at`, of two decimals."""
    length_ns = LENGTHS_S[interval] * SECOND_NS
    ts_open = BEGIN_NS + at * length_ns
    return Candle(
        venue="composite",
        instrument=instrument,
        interval=interval,
        ts_open=ts_open,
        ts_close=ts_open + length_ns,
        price_exponent=-2,
        size_exponent=-8,
        quote_exponent=-10,
        open=close,
        high=close + 50,
        low=close - 50,
        close=close,
        volume=10**8,
        trades=3,
        is_closed=True,
        completeness=1.0,
    )


def candles(count: int, *, seed: int = 1, **names: str) -> list[Candle]:
    """A random walk of candles."""
    source = random.Random(seed)
    price, found = 5_000_000.0, []
    for at in range(count):
        price *= math.exp(source.gauss(0, 1e-3))
        found.append(candle(at, round(price), **names))
    return found


def raw(message: Candle) -> Outgoing:
    """A record of the candles' topic."""
    key = f"{message.venue}:{message.instrument}:{message.interval}"
    return outgoing(
        topics.MARKET_CANDLES_V1,
        message,
        key=key,
        subject=message.instrument,
        now_ns=0,
        event_id=f"{key}:{message.ts_open}",
    )


async def digest(bus: Bus) -> dict[str, bytes]:
    """The last revision of each forecast's id, without what may differ between two runs."""
    found: dict[str, bytes] = {}
    for records in (await read_all(bus, topics.PREDICTION_FORECASTS_V1.name)).values():
        for record in records:
            event_id = header(record.headers, EVENT_ID)
            assert event_id is not None
            message = without_volatile(decode(record))
            found[event_id.decode()] = message.SerializeToString(deterministic=True)
    return found


def ledger_of(store: FakeStore) -> dict[str, Forecast]:
    """The forecasts of the ledger."""
    return {name: Forecast.FromString(message) for name, message in store.issued.items()}
