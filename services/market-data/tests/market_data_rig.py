"""The service's worker on any bus, with a store in memory that keeps the promises of PostgreSQL."""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.message import Message

from teleglas.market.v1.candle_pb2 import Candle
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
from teleglas_contracts.topic import Topic
from teleglas_market_data.counts import Counts
from teleglas_market_data.domain.composite import Definition
from teleglas_market_data.domain.trades import TradeRow
from teleglas_market_data.live import Live
from teleglas_market_data.ports import (
    Checkpoint,
    LatestRow,
    Market,
    Restored,
    Store,
    StoredCandle,
)
from teleglas_market_data.routes import GROUP, READS, ROUTES, WRITES
from teleglas_market_data.shard import MarketShard, Tools

__all__ = ["FakeLatest", "FakeStore", "Rig", "events", "last_candles", "raw"]


class FakeLatest:
    """Keeps what was put."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, str, str], bytes] = {}

    def put(self, kind: str, venue: str, instrument: str, message: bytes) -> None:
        self.values[kind, venue, instrument] = message


@dataclass
class FakeStore:
    """Everything of a checkpoint, or nothing."""

    generations: dict[int, int] = field(default_factory=dict)
    offsets: dict[int, dict[str, int]] = field(default_factory=dict)
    states: dict[int, dict[str, bytes]] = field(default_factory=dict)
    candles: dict[tuple[Market, int], dict[int, StoredCandle]] = field(default_factory=dict)
    trades: dict[tuple[str, str, int, str], TradeRow] = field(default_factory=dict)
    summaries: dict[Market, LatestRow] = field(default_factory=dict)
    liquidations: list[bytes] = field(default_factory=list)
    gaps: list[bytes] = field(default_factory=list)
    repeated: int = 0
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
        for batch in checkpoint.trades:
            for row in batch.rows:
                key = (batch.venue, batch.instrument, row[2], row[0])
                self.repeated += key in self.trades
                self.trades[key] = row
        for candle in checkpoint.candles:
            market = (candle.venue, candle.instrument)
            rows = self.candles.setdefault((market, candle.level), {})
            rows[candle.bar.ts_open] = copy.deepcopy(candle)
        self.liquidations += checkpoint.liquidations
        self.gaps += checkpoint.gaps
        self.summaries |= {(row.venue, row.instrument): row for row in checkpoint.summaries}

    async def candles_at(
        self, market: Market, level: int, ts_opens: Sequence[int]
    ) -> list[StoredCandle]:
        rows = self.candles.get((market, level), {})
        return [copy.deepcopy(rows[ts]) for ts in sorted(ts_opens) if ts in rows]

    async def candles_in(
        self, market: Market, level: int, begin: int, end: int
    ) -> list[StoredCandle]:
        rows = self.candles.get((market, level), {})
        return [copy.deepcopy(rows[ts]) for ts in sorted(rows) if begin <= ts < end]

    async def known_trades(self, market: Market, rows: Sequence[TradeRow]) -> set[tuple[int, str]]:
        return {(r[2], r[0]) for r in rows if (*market, r[2], r[0]) in self.trades}


@dataclass
class Rig:
    """One bus and one store; workers on them come and go."""

    bus: Bus = field(default_factory=MemoryBus)
    store: Store = field(default_factory=FakeStore)
    pool: Any = None
    live: Live = field(default_factory=Live)
    latest: FakeLatest = field(default_factory=FakeLatest)
    group: str = GROUP
    definition: Definition = field(
        default_factory=lambda: Definition(1, {"binance": 1, "okx": 3}, 60 * 10**9, 10 * 10**9)
    )
    checkpoint_s: float = 0.05
    turn_records: int = 128
    late_bound_ns: int = 7 * 86_400 * 10**9

    async def create(self) -> None:
        await self.bus.create([*READS, *WRITES])

    async def send(self, records: Iterable[Outgoing]) -> None:
        await publish(self.bus, list(records))

    async def start(self) -> tuple[Worker[MarketShard], asyncio.Task[None]]:
        publisher = self.bus.publisher()
        await publisher.start()
        tools = Tools(
            self.store,
            publisher,
            self.latest,
            self.live,
            SystemClock(),
            Counts(Metrics()),
            self.late_bound_ns,
            self.definition,
        )
        worker = Worker(
            self.bus,
            ROUTES,
            group=self.group,
            shard_factory=lambda number: MarketShard(number, tools),
            publisher=publisher,
            service="market-data",
            settings=WorkerSettings(
                checkpoint_interval_s=self.checkpoint_s, turn_records=self.turn_records
            ),
        )
        return worker, asyncio.create_task(worker.run())

    async def drain(self, timeout_s: float = 30.0) -> None:
        """Run until everything that is in the topics was handled and stored."""
        worker, task = await self.start()
        await until_stored(self.bus, READS, task, self.stored_offsets, timeout_s)
        worker.stop()
        await task

    async def run_and_crash(self, saves: int) -> None:
        """Run until so many checkpoints are stored, then end without another."""
        assert isinstance(self.store, FakeStore)
        until = self.store.saves + saves
        _, task = await self.start()
        with suppress(AssertionError):
            await eventually(lambda: self._store.saves >= until, timeout_s=0.3, every_s=0.001)
        await crash(task)

    @property
    def _store(self) -> FakeStore:
        assert isinstance(self.store, FakeStore)
        return self.store

    async def stored_offsets(self) -> dict[tuple[str, int], int]:
        """Offsets of the last checkpoints, by topic and partition number."""
        if self.pool is None:
            found = self._store.offsets
        else:
            rows = await self.pool.fetch("SELECT shard, offsets FROM market_data.shard_checkpoints")
            found = {row["shard"]: json.loads(row["offsets"]) for row in rows}
        return {
            (topic, number): offset
            for number, offsets in found.items()
            for topic, offset in offsets.items()
        }


def raw(topic: Topic, message: Message, instrument: str) -> Outgoing:
    """A record of a raw topic."""
    return outgoing(topic, message, key=f"binance:{instrument}", subject=instrument, now_ns=0)


async def events(bus: Bus, topic: Topic) -> dict[str, bytes]:
    """The last revision of each event id, without what may differ between two runs."""
    found: dict[str, bytes] = {}
    for records in (await read_all(bus, topic.name)).values():
        for record in records:
            event_id = header(record.headers, EVENT_ID)
            assert event_id is not None
            message = without_volatile(decode(record))
            found[event_id.decode()] = message.SerializeToString(deterministic=True)
    return found


async def last_candles(bus: Bus) -> dict[tuple[str, str, int], Candle]:
    """The last revision of each candle of the candles topic."""
    found: dict[tuple[str, str, int], Candle] = {}
    for records in (await read_all(bus, topics.MARKET_CANDLES_V1.name)).values():
        for record in records:
            candle = decode(record)
            assert isinstance(candle, Candle)
            found[f"{candle.venue}:{candle.instrument}", candle.interval, candle.ts_open] = candle
    return found
